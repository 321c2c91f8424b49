"""The section on training tells models apart, and draws what each learnt."""

from __future__ import annotations

from html import unescape

from mekiki.reports.blocks import Block, Details, Figure, Group, Page, Section, Table, iter_blocks
from mekiki.reports.page import render_page
from mekiki.reports.sections.training import TrainedModel, training_section


def model(name: str, n_epochs: int = 3, /, **settings: object) -> TrainedModel:
    rows = [
        {"epoch": float(n), "train_loss": 1 / n, "val_loss": 1 / n, "val_micro_f1": 0.5} for n in range(1, n_epochs + 1)
    ]
    return TrainedModel(name, "small-cnn", n_epochs, tuple(rows), settings)


def blocks_of(section: Section) -> list[Block]:
    return list(iter_blocks(Page("p", (section,))))


def test_each_model_has_a_row_and_its_curves() -> None:
    section = training_section([model("タヌキ網", 3), model("b", 5)])

    blocks = blocks_of(section)
    table = next(block for block in blocks if isinstance(block, Table))
    assert table.rows == (("タヌキ網", "small-cnn", 3, 3), ("b", "small-cnn", 5, 5))
    captions = [block.caption for block in blocks if isinstance(block, Figure)]
    assert captions == ["タヌキ網 (small-cnn)", "b (small-cnn)"]
    assert "タヌキ網" in unescape(render_page(Page("p", (section,))))


def test_only_settings_that_differ_are_told() -> None:
    models = [
        model("a", arch="small-cnn", name="a", lr=3 * 1e-4, ema=None, layers=[1, 2], epochs=12, mixed=True),
        model("b", arch="small-cnn", name="b", lr=1e-3, ema=0.99, layers=[1, 3], epochs=12, mixed=False),
    ]

    section = training_section(models)

    differing = next(block for block in blocks_of(section) if isinstance(block, Group) and "differ" in block.title)
    (table,) = differing.blocks
    assert isinstance(table, Table)
    assert [column.name for column in table.columns] == ["setting", "a", "b"]
    assert table.rows == (
        ("lr", "0.0003", "0.001"),
        ("ema", None, "0.99"),
        ("layers", "[1, 2]", "[1, 3]"),
        ("mixed", "yes", "no"),
    )


def test_one_model_or_equal_ones_have_no_table_of_differences() -> None:
    for models in ([model("a", lr=1.0)], [model("a", lr=1.0), model("b", lr=1.0)]):
        titles = [block.title for block in blocks_of(training_section(models)) if isinstance(block, Group)]
        assert titles == ["Learning curves"]


def test_curves_of_many_models_fold_after_the_first_and_none_is_lost() -> None:
    section = training_section([model(f"m{n}") for n in range(9)])

    (folded,) = (block for block in blocks_of(section) if isinstance(block, Details))
    assert folded.summary == "The other 3"
    inside = [
        block.caption for block in iter_blocks(Page("p", (Section("s", "S", (folded,)),))) if isinstance(block, Figure)
    ]
    assert inside == [f"m{n} (small-cnn)" for n in (6, 7, 8)]
    assert len([block for block in blocks_of(section) if isinstance(block, Figure)]) == 9


def test_a_history_that_is_gone_is_said() -> None:
    section = training_section([TrainedModel("a", problem="runs/1/history.csv is missing."), model("b")])

    html = render_page(Page("p", (section,)))
    assert "a: runs/1/history.csv is missing." in html
    assert len([block for block in blocks_of(section) if isinstance(block, Figure)]) == 1
