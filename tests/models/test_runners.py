"""Networks that make vectors give the same ones on every runtime, from pixels that the runtime normalises itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mekiki.errors import BackendError, UsageError
from mekiki.media.preprocessing import normalise
from mekiki.models.int8 import write_int8
from mekiki.models.precision import cosines_between
from mekiki.models.runners import RUNNERS, has_bf16, open_runner, place, precisions
from mekiki.models.runners_torch import PixelNetwork
from towers import HOW, N_DIMS, ToyTower, pixels, small_vit, write_graph

torch = pytest.importorskip("torch")
PICTURES = pixels(7)


@pytest.fixture(scope="module")
def tower() -> ToyTower:
    torch.set_num_threads(1)
    return ToyTower(small_vit())


@pytest.fixture(scope="module")
def exact(tower: ToyTower) -> NDArray[np.float32]:
    """What the bare network gives for pictures that NumPy normalised."""
    with torch.inference_mode():
        found: NDArray[np.float32] = tower.module(torch.from_numpy(np.stack([normalise(one, HOW) for one in PICTURES])))
    return np.asarray(found)


@pytest.fixture(params=RUNNERS.names())
def runtime(request: pytest.FixtureRequest) -> str:
    pytest.importorskip({"onnx": "onnxruntime"}.get(request.param, request.param))
    return str(request.param)


def test_every_runtime_gives_the_networks_vectors(tower: ToyTower, exact: NDArray[np.float32], runtime: str) -> None:
    runner = open_runner(tower, runtime, "cpu", "fp32")

    found = runner.run(PICTURES)

    assert (found.shape, found.dtype, runner.precision) == ((7, N_DIMS), np.float32, "fp32")
    np.testing.assert_allclose(found, exact, atol=1e-4)


def test_no_runner_takes_more_threads_than_it_may(tower: ToyTower, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as engine ray sets it in its workers; PyTorch reads it by itself
    runner: Any = open_runner(tower, "openvino", "cpu", "fp32")

    assert runner._request.get_compiled_model().get_property("INFERENCE_NUM_THREADS") == 1


def test_order_and_batching_change_nothing(tower: ToyTower, runtime: str) -> None:
    runner = open_runner(tower, runtime, "cpu", "fp32")
    together = runner.run(PICTURES)

    np.testing.assert_allclose(runner.run(PICTURES[::-1]), together[::-1], atol=1e-4)
    np.testing.assert_allclose(np.concatenate([runner.run(one[None]) for one in PICTURES]), together, atol=1e-4)


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_a_graph_of_the_users_gives_the_same(
    tower: ToyTower, exact: NDArray[np.float32], runtime: str, tmp_path: Path
) -> None:
    pytest.importorskip({"onnx": "onnxruntime"}.get(runtime, runtime))
    graph = write_graph(tmp_path / "m.onnx", small_vit())

    found = open_runner(ToyTower(graph), runtime, "cpu", "fp32").run(PICTURES)

    np.testing.assert_allclose(found, exact, atol=1e-4)


def test_a_network_of_another_width_than_its_space_is_refused(tower: ToyTower, runtime: str) -> None:
    runner = open_runner(ToyTower(tower.module, n_dims=5), runtime, "cpu", "fp32")

    with pytest.raises(
        BackendError, match=r"gives \(7, 12\) for 7 pictures; an embedder gives one vector of 5 numbers"
    ):
        runner.run(PICTURES)


def test_normalising_inside_equals_normalising_before() -> None:
    network = PixelNetwork(torch.nn.Identity(), HOW)
    every_value = np.arange(256, dtype=np.uint8).repeat(12).reshape(1, 32, 32, 3)

    found = network(torch.from_numpy(every_value)).numpy()[0]

    np.testing.assert_allclose(found, normalise(every_value[0], HOW), atol=1e-6)


def test_bf16_is_near_and_is_not_fp32(tower: ToyTower, exact: NDArray[np.float32]) -> None:
    pytest.importorskip("openvino")
    if not has_bf16():
        pytest.skip("this processor computes no bf16")

    found = open_runner(tower, "openvino", "cpu", "bf16").run(PICTURES)

    np.testing.assert_allclose(found, exact, atol=0.05)
    assert np.abs(found - exact).max() > 1e-4


def test_a_graph_in_int8_is_near_and_the_same_each_time_it_is_made(
    tower: ToyTower, exact: NDArray[np.float32], tmp_path: Path
) -> None:
    pytest.importorskip("nncf")
    first = write_int8(tower, pixels(40, seed=1), tmp_path / "a" / "graph.xml")
    second = write_int8(tower, pixels(40, seed=1), tmp_path / "b" / "graph.xml")

    found = open_runner(tower, "openvino", "cpu", "int8", tmp_path / "a" / "graph.xml").run(PICTURES)

    assert first == second
    assert np.abs(found - exact).max() > 1e-4
    assert cosines_between(found, exact).min() > 0.95


def test_int8_without_a_graph_is_refused(tower: ToyTower) -> None:
    pytest.importorskip("openvino")

    with pytest.raises(BackendError, match="no graph in int8"):
        open_runner(tower, "openvino", "cpu", "int8")


@pytest.mark.parametrize(("runtime", "precision"), [("torch", "bf16"), ("torch", "int8"), ("onnx", "int8")])
def test_a_precision_that_a_runtime_has_not_is_refused(tower: ToyTower, runtime: str, precision: str) -> None:
    with pytest.raises(UsageError, match=f"computes in fp32, not in {precision}. Type: --precision fp32, or --runtime"):
        open_runner(tower, runtime, "cpu", precision)


def test_the_runtime_is_openvino_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    pytest.importorskip("onnxruntime")
    has_gpu = torch.cuda.is_available()

    assert place("auto", "cpu", is_graph=False) == ("openvino", "cpu")
    assert place("auto", "auto", is_graph=True) == ("openvino", "cpu")
    assert place("auto", "auto", is_graph=False)[0] == ("torch" if has_gpu else "openvino")
    monkeypatch.setattr("mekiki.models.runners.find_spec", lambda name: name != "openvino" or None)
    assert place("auto", "cpu", is_graph=False) == ("torch", "cpu")
    assert place("auto", "cpu", is_graph=True) == ("onnx", "cpu")


def test_torch_does_not_run_a_graph() -> None:
    with pytest.raises(UsageError, match="not run by torch"):
        place("torch", "cpu", is_graph=True)


@pytest.mark.parametrize("runtime", ["openvino", "onnx", "torch"])
def test_an_unknown_device_is_refused(runtime: str) -> None:
    with pytest.raises(UsageError, match="device"):
        place(runtime, "tpu", is_graph=False)


def test_the_fastest_precision_comes_first_and_fp32_last() -> None:
    pytest.importorskip("openvino")

    assert precisions("openvino", "cpu")[0] == "int8"
    assert {precisions(*one)[-1] for one in (("openvino", "cpu"), ("torch", "cuda:0"), ("onnx", "cpu"))} == {"fp32"}
    assert precisions("torch", "cuda:0") == ("bf16", "fp32")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_gives_the_networks_vectors(tower: ToyTower, exact: NDArray[np.float32]) -> None:
    kinds: dict[str, Any] = {"fp32": 1e-4, "bf16": 0.05}
    for precision, tolerance in kinds.items():
        found = open_runner(tower, "torch", "cuda:0", precision).run(PICTURES)
        np.testing.assert_allclose(found, exact, atol=tolerance)
