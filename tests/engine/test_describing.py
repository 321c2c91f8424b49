"""A model on this machine that describes pictures, and class names: what they write, and what shifts nothing."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mekiki.catalog.crops import CropSelection
from mekiki.catalog.db import Catalog
from mekiki.catalog.describing import captions_of
from mekiki.catalog.items import select_items
from mekiki.engine.describing import Among, ClassNameWork, LocalWork
from mekiki.engine.embedding import Joined
from mekiki.engine.local import LocalEngine
from mekiki.models.describe_prompts import Wording
from mekiki.records import Image
from mekiki.settings import PerItemSettings
from mined import make_crops
from workspaces import counts, query


class Painter:
    """Says how bright a picture is; sorry about every third."""

    identity, device = "painter", "cpu"

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.n_asked = 0

    def describe(self, images: Sequence[Image], prompts: Sequence[str]) -> list[str]:
        self.batches.append(len(images))
        texts = []
        for image, prompt in zip(images, prompts, strict=True):
            self.n_asked += 1
            told = f"{image.mean():.3f} {'truck' in prompt}"
            texts.append("I'm sorry." if self.n_asked % 3 == 0 else told)
        return texts


@pytest.fixture
def catalog(workspace: Path) -> Iterator[Catalog]:
    make_crops(workspace)
    with Catalog(workspace) as made:
        yield made


def crops(catalog: Catalog, only: list[str] | None = None) -> CropSelection:
    ((run_id,),) = catalog.rows("SELECT run_id FROM runs WHERE stage = 'detect'")
    return CropSelection(catalog, run_id, only)


def work_of(painter: Painter, guesses: dict[str, str]) -> LocalWork:
    return LocalWork(lambda: painter, "painter", "cpu", "qwen-vl:painter", Wording(), guesses, 64)


def test_each_picture_gets_its_own_text_and_a_failed_one_shifts_nothing(catalog: Catalog, workspace: Path) -> None:
    painter = Painter()
    ids = [item.item_id for item in crops(catalog)]
    engine = LocalEngine()

    summary = engine.map(
        catalog,
        "caption",
        PerItemSettings(batch_size=4, workers=1),
        work_of(painter, {ids[0]: "truck"}),
        crops(catalog),
    )

    assert counts(summary) == (12, 8, 0, 4)
    assert (max(painter.batches), sum(painter.batches)) == (4, 12)
    found = captions_of(catalog, summary.run_id)
    failed = {item_id for (item_id,) in query(workspace, "SELECT item_id FROM failures")}
    assert found.keys() | failed == set(ids)
    assert not found.keys() & failed
    once_more = Painter()
    for item in crops(catalog):
        work = work_of(once_more, {ids[0]: "truck"})
        work.open()
        (loaded,) = work.load(item)
        once_more.n_asked = 0
        (alone,) = work.compute([loaded])
        if item.item_id in found:
            assert found[item.item_id] == (alone.content.text, "qwen-vl:painter")  # type: ignore[union-attr]


def test_names_are_written_for_what_has_a_class(catalog: Catalog) -> None:
    ids = [item.item_id for item in crops(catalog)]
    work = ClassNameWork({ids[0]: "car", ids[5]: "truck"}, "class-name")

    summary = LocalEngine().map(catalog, "caption", PerItemSettings(), work, crops(catalog))

    assert counts(summary) == (12, 12, 0, 0)
    assert summary.n_rows == 2
    assert captions_of(catalog, summary.run_id) == {ids[0]: ("car", "class-name"), ids[5]: ("truck", "class-name")}


def _sent(work: Any) -> Any:
    return pickle.loads(pickle.dumps(work))  # noqa: S301 - our own


def test_work_travels_to_other_processes() -> None:
    sent = LocalWork(Painter, "painter", "cpu", "qwen-vl:painter", Wording(), {"a": "car"})

    assert _sent(sent).identity() == sent.identity()
    assert _sent(ClassNameWork({"a": "b"}, "x")).identity() == "x"


def test_another_question_is_another_run() -> None:
    def identity(wording: Wording, side: int = 64) -> str:
        return LocalWork(Painter, "painter", "cpu", "qwen-vl:painter", wording, {}, side).identity()

    assert len({identity(Wording()), identity(Wording("name", ("a",))), identity(Wording(), 32)}) == 3


def test_selections_can_be_cut_and_joined(catalog: Catalog) -> None:
    photos = select_items(catalog, ["image"])
    ids = [item.item_id for item in photos]

    some = Among(photos, ids[1:3])

    assert [item.item_id for item in some] == ids[1:3]
    assert len(some) == 2
    assert [item.item_id for item in Joined(some, photos)] == [*ids[1:3], *ids]
    assert len(Joined()) == 0
