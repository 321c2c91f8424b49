"""What is asked of the catalog grows with the number of rows and not with its square: counted, not timed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mekiki.catalog.atoms import label_states
from mekiki.catalog.db import Catalog
from mekiki.catalog.importing import Entry, plan_import
from mekiki.catalog.items import NewItem, is_own_file, select_items, write_classes, write_items
from mekiki.catalog.overview import overview
from mekiki.catalog.results import LabelRow, read_labels, write_labels
from mekiki.catalog.sources import write_sources
from mekiki.dataset.formats.base import Record
from mekiki.records import LabelState

FEW, MANY = 3_000, 12_000
CLASSES = ("deer", "fox", "hare")
STATES: tuple[LabelState, ...] = ("present", "absent", "unsure")


def fill(catalog: Catalog, n_items: int) -> None:
    """Write stills with three labels each, and frames with files of ours."""
    stills = [f"{number:032x}" for number in range(n_items)]
    frames = [NewItem(f"f{one[1:]}", "frame", 8, 8, path=f"media/frames/{one}.jpg") for one in stills]
    with catalog.transaction("ingest", "run") as transaction:
        write_classes(transaction, CLASSES)
        write_items(transaction, [*(NewItem(one, "image", 8, 8) for one in stills), *frames])
        write_sources(transaction, ((f"/in/{one}.jpg", one, 1, 1) for one in stills))
        write_labels(
            transaction,
            (
                LabelRow(one, name, "import", STATES[(number + column) % 3], 1.0)
                for number, one in enumerate(stills)
                for column, name in enumerate(CLASSES)
            ),
        )


@pytest.fixture(scope="module")
def catalogs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Catalog, Catalog]]:
    """A small workspace, and one with four times as much in it."""
    folder = tmp_path_factory.mktemp("scale")
    with closing(Catalog(folder / "few")) as few, closing(Catalog(folder / "many")) as many:
        fill(few, FEW)
        fill(many, MANY)
        yield few, many


def n_steps(catalog: Catalog, ask: Callable[[Catalog], object]) -> int:
    """Return how many hundreds of steps SQLite's machine takes to answer."""
    steps = [0]

    def count() -> None:
        steps[0] += 1

    catalog._connection.set_progress_handler(count, 100)
    ask(catalog)
    catalog._connection.set_progress_handler(None, 0)
    return steps[0]


def import_own_frames(catalog: Catalog) -> object:
    n_items = catalog.value("SELECT count(*) FROM items WHERE kind = 'frame'")
    paths = (str(catalog.workspace / f"media/frames/{number:032x}.jpg") for number in range(n_items))
    return plan_import(catalog, [Entry(path, Record(path, 1)) for path in paths], CLASSES)


def ask_for_own_files(catalog: Catalog) -> object:
    n_items = catalog.value("SELECT count(*) FROM items WHERE kind = 'frame'")
    return [is_own_file(catalog, str(catalog.workspace / f"{number}.jpg")) for number in range(n_items)]


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda catalog: list(select_items(catalog, ["image"])), id="items of one kind"),
        pytest.param(lambda catalog: list(select_items(catalog, ["image", "frame"])), id="items of two kinds"),
        pytest.param(lambda catalog: len(select_items(catalog, ["image", "frame"])), id="number of items"),
        pytest.param(overview, id="status"),
        pytest.param(lambda catalog: label_states(catalog, []), id="labels"),
        pytest.param(import_own_frames, id="import of labels of frames"),
        pytest.param(ask_for_own_files, id="files that are not ours"),
    ],
)
def test_four_times_as_much_takes_four_times_the_work(
    ask: Callable[[Catalog], object], catalogs: tuple[Catalog, Catalog]
) -> None:
    few, many = (n_steps(catalog, ask) for catalog in catalogs)

    assert many <= 5 * few + 50


def test_the_counts_are_right_all_the_same(catalogs: tuple[Catalog, Catalog]) -> None:
    few, _ = catalogs

    counts = overview(few)

    assert counts["items"] == {"frame": FEW, "image": FEW}
    assert counts["labels"] == {"deer": FEW / 3, "fox": FEW / 3, "hare": FEW / 3, "unknown": 0}
    assert len(list(select_items(few, ["image", "frame"]))) == 2 * FEW


def test_a_split_reads_labels_in_the_order_that_it_asks_for(tmp_path: Path) -> None:
    with closing(Catalog(tmp_path / "ws")) as catalog:
        fill(catalog, 3)

        names, states = label_states(catalog, [f"{2:032x}", "no such item", f"{0:032x}"])

    assert names == CLASSES
    assert states.tolist() == [[-1, 1, 0], [-1, -1, -1], [1, 0, -1]]


def test_status_counts_the_word_that_counts_elsewhere(tmp_path: Path) -> None:
    """A person's over a model's, as export and split see it."""
    with closing(Catalog(tmp_path / "ws")) as catalog:
        items = [f"{number:032x}" for number in range(3)]
        with catalog.transaction("ingest", "run") as transaction:
            write_classes(transaction, CLASSES[:2])
            write_items(transaction, [NewItem(one, "image", 8, 8) for one in items])
            write_labels(transaction, (LabelRow(one, "deer", "vlm:m", "present", 1.0) for one in items))
        once = overview(catalog)["labels"]
        with catalog.transaction("annotate", "later") as transaction:
            write_labels(transaction, (LabelRow(one, "deer", "human:a", "absent", 1.0) for one in items[:2]))
            write_labels(transaction, [LabelRow(items[0], "fox", "human:a", "unsure", 1.0)])
        resolved = read_labels(catalog)
        counted = overview(catalog)["labels"]

    assert once == {"deer": 3, "fox": 0, "unknown": 0}
    assert counted == {"deer": 1, "fox": 0, "unknown": 1}
    assert counted["deer"] == sum(words["deer"][0] == "present" for words in resolved.values())
