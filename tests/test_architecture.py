"""The rules of the house: imports point down, files are short, modules say what they are, only the CLI prints."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "mekiki"
MODULES = sorted(SOURCE.rglob("*.py"))

# A part may import from parts above it in this list, and from its own; parts on one line do not import each other.
LAYERS = [
    {"errors", "records"},
    {"registry", "settings", "neighbours", "torchvision_ops", "wholefiles"},
    {"media", "dataset", "metrics", "rarity"},
    {"explain", "audit", "training", "captioning", "intake"},
    {"models", "catalog"},
    {"engine", "reports"},
    {"stages"},
    {"api"},
    {"ui", "demo"},
    {"cli"},
]
DEPTH = {part: depth for depth, parts in enumerate(LAYERS) for part in parts}
MAX_LINES = 300
MAX_PARAMETERS = 7


def part_of(path: Path) -> str:
    first = path.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py")


def name_of(path: Path) -> str:
    return str(path.relative_to(SOURCE))


@pytest.fixture(params=MODULES, ids=name_of)
def module(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_imports_point_down(module: Path) -> None:
    here = part_of(module)
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                assert not alias.name.startswith("mekiki"), f"write `from {alias.name} import ...`"
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "mekiki":
            if here == "__init__":
                continue
            assert "." in node.module, "import from the file that has it, not from the public face"
            there = node.module.split(".")[1]
            assert there == here or DEPTH[there] < DEPTH[here], f"{here} may not import {there}"
            assert not (here == there == "stages"), "no stage imports another"


def test_a_file_is_one_topic(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= MAX_LINES


def test_a_module_says_what_it_is(module: Path) -> None:
    docstring = ast.get_docstring(ast.parse(module.read_text()))

    assert docstring
    assert docstring.splitlines()[0].endswith((".", ":"))


def test_public_functions_are_documented_and_short_of_parameters(module: Path) -> None:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            arguments = node.args
            names = [a.arg for a in arguments.posonlyargs + arguments.args + arguments.kwonlyargs]
            n_parameters = len([name for name in names if name not in ("self", "cls")])
            assert n_parameters <= MAX_PARAMETERS, f"{node.name} has {n_parameters} parameters"


def test_only_the_command_line_prints(module: Path) -> None:
    if part_of(module) == "cli":
        return
    for node in ast.walk(ast.parse(module.read_text())):
        is_print = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        assert not is_print, f"line {node.lineno} prints"


def test_sql_stays_in_the_catalog(module: Path) -> None:
    if part_of(module) == "catalog":
        return
    assert not re.search(r"\b(SELECT .+ FROM|INSERT (OR \w+ )?INTO|DELETE FROM|UPDATE \w+ SET)\b", module.read_text())
