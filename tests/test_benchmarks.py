"""Benchmarks: each has its place on the page, and the one of ingest runs at any size."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(path for path in (ROOT / "benchmarks").glob("*.py") if not path.stem.startswith("__"))
PAGE = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")


def load(name: str) -> ModuleType:
    """Import a benchmark, which is no part of the package."""
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_benchmark_is_on_the_page_and_can_be_called(path: Path) -> None:
    functions = {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}

    assert {"run", "main"} <= functions
    assert path.stem in load("__main__").NAMES
    assert PAGE.count(f"<!-- begin {path.stem} -->") == PAGE.count(f"<!-- end {path.stem} -->") == 1


def test_a_table_replaces_what_stands_between_its_markers() -> None:
    bench = load("__main__")
    page = "a\n<!-- begin x -->\nold\n<!-- end x -->\nb"

    once = bench.put_between_markers(page, "x", r"| \1 |")

    assert once == "a\n<!-- begin x -->\n" + r"| \1 |" + "\n<!-- end x -->\nb"
    assert bench.put_between_markers(once, "x", "old") == page
    with pytest.raises(SystemExit, match="needs the two comments <!-- begin y -->"):
        bench.put_between_markers(page, "y", "")


def test_the_machine_is_described_without_its_name() -> None:
    assert "CPU cores" in load("__main__").machine()


@pytest.mark.slow
def test_the_ingest_benchmark_measures_every_command() -> None:
    rows = load("ingest").run(300)

    assert [row["pictures"] for row in rows] == ["300"] * 7 + [""]
    assert rows[0]["times the loop"] == "1.00"
    assert all(row["peak memory"].endswith(" MB") for row in rows)


@pytest.mark.slow
def test_the_search_benchmark_finds_what_it_planted() -> None:
    pytest.importorskip("faiss", reason="faiss-cpu is not installed")

    found = dict(load("search").run(30_000, 300, 600))

    assert float(found["recall@10 of 1,000 queries"]) >= 0.95
    assert int(found["planted pairs found"].removesuffix(" of 600")) >= 594
    assert found["pairs found, false ones"].endswith(", 0")
    assert found["cells; share of the widest pairs that meet in one, as measured by it"].startswith("346;")


@pytest.mark.slow
@pytest.mark.parametrize(("weights", "lowest", "highest"), [("yolox_nano.onnx", 22, 36), ("yolov8n_int8.onnx", 33, 47)])
def test_detectors_are_as_precise_as_their_published_figures_make_plausible(
    weights: str, lowest: float, highest: float, shared_data: Path
) -> None:
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    bench = load("detection")
    found = bench.boxes_as_coco(bench.open_weights(weights, confidence=0.001, iou=0.65, max_boxes=300))

    whole, loose = bench.average_precision(found, 10)

    assert lowest < bench.PUBLISHED[weights] < highest
    assert lowest < whole.value < highest
    assert whole.low < whole.high < loose.high
    assert whole.value < loose.value


@pytest.mark.slow
def test_the_rarity_benchmark_measures_every_way_at_every_size() -> None:
    pytest.importorskip("faiss", reason="faiss-cpu is not installed")
    pytest.importorskip("pyod", reason="PyOD is not installed")
    bench = load("rarity")

    rows = list(bench.run((300, 600)))

    assert [row["what"] for row in rows] == [one.what for one in bench.CONTENDERS] * 2
    assert all(row["ratio"] == 1 for row in rows if row["what"] == bench.SEARCH)
    assert [row["exponent"] is None for row in rows] == [True] * len(bench.CONTENDERS) + [False] * len(bench.CONTENDERS)
    assert "GFLOP per second and core" in bench.limit_line(rows, bench.product_speed(256))


@pytest.mark.slow
def test_the_rare_truth_benchmark_measures_every_scorer_beside_chance(tmp_path: Path, shared_data: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    bench = load("rare_truth")
    assert shared_data in bench.CAMVID.parents

    lines = [line.split(" | ") for line in bench.run(tmp_path, n_draws=1, n_frames=12) if line.startswith("| ")]

    ranked, hidden = (
        [line for line in lines if len(line) == n_columns and "scorer" not in line] for n_columns in (10, 8)
    )
    assert (
        {line[2] for line in ranked} == {line[2] for line in hidden} == {*bench.BY_VECTORS, *bench.BY_CLASS, "combined"}
    )
    assert len(ranked) == 2 * (5 + 7 + 7)
    assert all(line[5] in bench.MARKS.values() for line in (*ranked, *hidden))
