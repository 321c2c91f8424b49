"""ONNX Runtime, OpenVINO and NNCF call nobody and leave nothing in the home folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from classifiers import make_model
from mekiki.training.checkpoint import read_tensors
from mekiki.training.onnx_export import export_onnx

RUNTIMES = ("onnx", "openvino")
SILENT_BY = {"onnx": "onnxruntime", "openvino": "openvino"}
NAMES_THAT_SILENCE = ("CI", "ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED")

PROGRAM = """
import json, os, sys, time
from pathlib import Path

seen = []

def watch(name, arguments):
    if name.startswith("socket.") or name in ("os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "subprocess.Popen"):
        seen.append(name)

sys.addaudithook(watch)
{first}
import numpy as np
from mekiki.media.preprocessing import at_hand
from mekiki.models.classify import open_classifier
from mekiki.models.opening import Opening
classifier = open_classifier(Opening(Path(sys.argv[1]), sys.argv[2], "cpu"))
for _ in range(3):
    classifier.score([classifier.prepare(at_hand(np.zeros((40, 50, 3), np.uint8)))])
time.sleep({wait_s})
print(json.dumps(seen))
"""

NNCF_PROGRAM = (
    PROGRAM.partition("import numpy")[0]
    + """
import torch
sys.path.insert(0, {tests!r})
from mekiki.models.int8 import write_int8
from mekiki.models.runners import open_runner
from towers import ToyTower, pixels, small_vit
tower = ToyTower(small_vit())
path = Path(sys.argv[1]) / "graph.xml"
write_int8(tower, pixels(10), path)
open_runner(tower, "openvino", "cpu", "int8", path).run(pixels(2))
time.sleep({wait_s})
print(json.dumps(seen))
"""
)


def run_program(
    first: str, home: Path, *words: object, around: tuple[str, ...] = (), wait_s: float = 0, text: str = PROGRAM
) -> list[str]:
    """Run the program with an empty home folder; return what it did of note, and what lies in that folder then."""
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if name not in NAMES_THAT_SILENCE and "XDG" not in name}
    program = text.format(first=first, wait_s=wait_s, tests=str(Path(__file__).parents[1]))
    command = [*around, sys.executable, "-c", program, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**kept, "HOME": str(home)})
    return [*json.loads(done.stdout.splitlines()[-1]), *(path.name for path in home.rglob("*"))]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graph")
    model = make_model(folder)
    return export_onnx(model.card, read_tensors(model.path), folder / "m.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_runtime_opens_no_socket_and_leaves_the_home_folder_empty(tmp_path: Path, graph: Path, runtime: str) -> None:
    assert run_program("", tmp_path / "home", graph, runtime) == []


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_left_to_itself_it_does_so_that_the_test_above_can_fail(tmp_path: Path, graph: Path, runtime: str) -> None:
    if runtime == "openvino":
        pytest.importorskip("openvino_telemetry")

    assert run_program(f"import {SILENT_BY[runtime]}", tmp_path / "home", graph, runtime) != []


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_no_library_below_python_opens_a_socket_either(tmp_path: Path, graph: Path, runtime: str) -> None:
    """Python's audit hooks do not see what compiled code does; the kernel does."""
    if not shutil.which("strace") or subprocess.run(["strace", "-o", "/dev/null", "true"], check=False).returncode:
        pytest.skip("strace is not here, or may not look")
    log = tmp_path / "calls"

    run_program(
        "", tmp_path / "home", graph, runtime, around=("strace", "-f", "-e", "trace=network", "-o", str(log)), wait_s=3
    )

    calls = [line for line in log.read_text().splitlines() if "(" in line]
    assert [line for line in calls if "AF_INET" in line or "connect(" in line] == []


@pytest.mark.slow
@pytest.mark.parametrize("first", ["", "import openvino_telemetry"])
def test_making_an_8_bit_graph_opens_no_socket_and_leaves_the_home_folder_empty(tmp_path: Path, first: str) -> None:
    pytest.importorskip("nncf")
    pytest.importorskip("openvino_telemetry")

    assert run_program(first, tmp_path / "home", tmp_path, text=NNCF_PROGRAM) == []


@pytest.mark.slow
def test_left_to_itself_nncf_does_so_that_the_test_above_can_fail(tmp_path: Path) -> None:
    pytest.importorskip("nncf")
    pytest.importorskip("openvino_telemetry")

    assert run_program("import nncf", tmp_path / "home", tmp_path, text=NNCF_PROGRAM) != []
