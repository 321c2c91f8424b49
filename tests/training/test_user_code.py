"""Backbones of the user's own: made when allowed, refused in one line when something is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mekiki.errors import DataError, UsageError
from mekiki.training.user_code import check_same_source, make_user_network, read_source, split_arch
from networks import USER_MODULE, write_user_module

torch = pytest.importorskip("torch")
from mekiki.training.backbones import BackboneSpec, make_network  # noqa: E402
from mekiki.training.picture_size import check_output  # noqa: E402

HEADER = "from torch import nn\n"


def make(arch: str, options: dict[str, Any] | None = None, *, n_classes: int = 3) -> Any:
    return make_network(BackboneSpec(arch, n_classes, options or {}), pretrained=False, weights=None, allow_code=True)


def test_the_class_gets_the_number_of_classes_and_the_options(tmp_path: Path) -> None:
    network = make(write_user_module(tmp_path), {"scale": 2.5}, n_classes=5)

    assert network.output.out_features == 5
    assert network.scale == 2.5


@pytest.mark.parametrize(
    ("text", "width"),
    [
        pytest.param(
            "class Tiny(nn.Linear):\n    def __init__(self):\n        super().__init__(3, 7)", 7, id="no-arguments"
        ),
        pytest.param(
            "class Tiny(nn.Linear):\n    def __init__(self, **kw):\n        super().__init__(3, kw['num_classes'])",
            4,
            id="any-arguments",
        ),
        pytest.param("def Tiny(num_classes=10):\n    return nn.Linear(3, num_classes)", 4, id="a-function"),
    ],
)
def test_constructors_of_other_kinds(tmp_path: Path, text: str, width: int) -> None:
    assert make(write_user_module(tmp_path, HEADER + text), n_classes=4).out_features == width


def test_the_path_is_relative_to_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_user_module(tmp_path)
    monkeypatch.chdir(tmp_path)

    assert make("python:nets.py:Tiny").output.out_features == 3
    assert split_arch("python:C:/nets/a.py:Tiny") == (Path("C:/nets/a.py"), "Tiny")
    assert not (tmp_path / "__pycache__").exists()


def test_dataclasses_and_two_files_of_one_name_work(tmp_path: Path) -> None:
    text = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        + HEADER
        + "@dataclass\nclass Size:\n    n: int = {n}\n"
        "def Tiny():\n    return nn.Linear(Size().n, 3)\n"
    )
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    networks = [make(write_user_module(tmp_path / name, text.format(n=n))) for name, n in (("a", 4), ("b", 6))]

    assert [one.in_features for one in networks] == [4, 6]


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        pytest.param(HEADER + "class Tin(nn.Module): pass", {}, "no class 'Tiny'. Did you mean 'Tin'?", id="near"),
        pytest.param("", {}, "has no class 'Tiny'.", id="empty"),
        pytest.param("Tiny = 3", {}, "has no class 'Tiny'.", id="no-callable"),
        pytest.param(
            "def Tiny(depth, width, num_classes): pass", {}, "more arguments .*: depth, width", id="wants-more"
        ),
        pytest.param(
            "def Tiny(num_classes, depth=1): pass", {"dept": 2}, "no argument of Tiny is called 'dept'", id="option"
        ),
        pytest.param("def Tiny(): return 3", {}, "makes a int, not a torch.nn.Module", id="no-module"),
        pytest.param("def Tiny(:", {}, "is no Python: line 1", id="syntax"),
        pytest.param(
            "import nowhere_at_all", {}, "imports what is not here: No module named 'nowhere_at_all'", id="import"
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_line(
    tmp_path: Path, text: str, options: dict[str, Any], words: str
) -> None:
    arch = write_user_module(tmp_path, text)

    with pytest.raises(UsageError, match=words) as caught:
        make(arch, options)

    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named_with_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"cannot be read: No such file or directory: {tmp_path}/gone.py"):
        make(f"python:{tmp_path}/gone.py:Tiny")
    (tmp_path / "latin.py").write_bytes("# Größe".encode("latin-1"))
    with pytest.raises(UsageError, match="no UTF-8 text"):
        make(f"python:{tmp_path}/latin.py:Tiny")


def test_code_that_is_not_allowed_is_not_run(tmp_path: Path) -> None:
    arch = write_user_module(tmp_path, f"open({str(tmp_path / 'ran')!r}, 'w')")

    with pytest.raises(UsageError, match="--allow-code"):
        make_user_network(arch, 3, {}, allow_code=False)

    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("def Tiny(): return 1 / 0", "line 1: ZeroDivisionError: division by zero", id="made"),
        pytest.param("Tiny = {}['x']", "line 1: KeyError: 'x'", id="read"),
        pytest.param("raise SystemExit(7)", "line 1: SystemExit: 7", id="leaves"),
        pytest.param(
            "from torch import nn\nclass Tiny(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
            "    def forward(self, pictures):\n        return pictures.nothing",
            "line 6: AttributeError: 'Tensor' object has no attribute 'nothing'",
            id="used",
        ),
    ],
)
def test_a_bug_in_the_users_code_is_said_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    arch = write_user_module(tmp_path, text)

    with pytest.raises(UsageError, match=rf"{message}\. Mend that program"):
        check_output(make(arch), BackboneSpec(arch, 3), (32, 32))


def test_an_output_of_another_width_is_refused(tmp_path: Path) -> None:
    network = make(write_user_module(tmp_path, USER_MODULE.replace("nn.Linear(4, num_classes)", "nn.Linear(4, 10)")))

    with pytest.raises(UsageError, match=r"gives \(2, 10\) .* but there are 3 classes.*take num_classes"):
        check_output(network, BackboneSpec("python:nets.py:Tiny", 3), (32, 32))


def test_changed_code_is_noticed(tmp_path: Path) -> None:
    arch = write_user_module(tmp_path)
    recorded = read_source(arch)

    check_same_source(arch, recorded)
    write_user_module(tmp_path, USER_MODULE + "\n")
    with pytest.raises(DataError, match="its text has changed"):
        check_same_source(arch, recorded)
