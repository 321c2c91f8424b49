"""ONNX graphs as embedders, and the files beside them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from embedders import SIDE_PX, onnx_file
from mekiki.errors import BackendError, UsageError
from mekiki.media.preprocessing import Preprocessing, at_hand
from mekiki.models.embed import EmbedderOpening, open_embedder, open_space, open_tower
from workspaces import scene

torch.set_num_threads(1)


def test_an_onnx_graph_says_beside_it_how_pictures_are_prepared(tmp_path: Path) -> None:
    opening = EmbedderOpening(f"onnx:{onnx_file(tmp_path / 'net.onnx')}")

    space = open_space(opening)

    assert space.n_dims == 8
    assert space.preprocessing == Preprocessing(
        resize_hw=(SIDE_PX, SIDE_PX), crop_hw=(SIDE_PX, SIDE_PX), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)
    )
    assert open_tower(opening).network() == tmp_path / "net.onnx"


def test_without_a_file_beside_it_the_user_says_it(tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "net.onnx")
    said = open_space(EmbedderOpening(f"onnx:{path}"))
    with pytest.raises(UsageError, match=r"says itself how its pictures are prepared, in .*net.onnx.json. Leave out"):
        open_space(EmbedderOpening(f"onnx:{path}", image_size=SIDE_PX))
    (tmp_path / "net.onnx.json").unlink()

    with pytest.raises(BackendError, match=r"float32 \(N, 3, 224, 224\)"):
        open_space(EmbedderOpening(f"onnx:{path}"))
    space = open_space(EmbedderOpening(f"onnx:{path}", image_size=SIDE_PX, mean=(0.5,) * 3, std=(0.25,) * 3))

    assert space == said


def test_one_of_several_outputs_has_to_be_named(tmp_path: Path) -> None:
    side = {"resize_hw": [SIDE_PX, SIDE_PX], "crop_hw": [SIDE_PX, SIDE_PX]}
    path = onnx_file(tmp_path / "net.onnx", n_outputs=2, sidecar=side)
    with pytest.raises(BackendError, match="has 2 outputs, features, line: say which is the vectors"):
        open_space(EmbedderOpening(f"onnx:{path}"))
    found = {}
    for output in ("features", "line"):
        (tmp_path / "net.onnx.json").write_text(json.dumps({**side, "output": output}))
        for runtime in ("onnx", "openvino"):
            embedder = open_embedder(EmbedderOpening(f"onnx:{path}", runtime=runtime))
            found[output, runtime] = embedder.embed([embedder.prepare(at_hand(scene(1)))])

    assert {name: vectors.shape for name, vectors in found.items()} == {
        ("features", "onnx"): (1, 8),
        ("features", "openvino"): (1, 8),
        ("line", "onnx"): (1, 5),
        ("line", "openvino"): (1, 5),
    }
    (tmp_path / "net.onnx.json").write_text(json.dumps({**side, "output": "lime"}))
    with pytest.raises(BackendError, match="has no output 'lime', only features, line"):
        open_space(EmbedderOpening(f"onnx:{path}"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "is no JSON object"),
        ("5", "is no JSON object"),
        ("null", "is no JSON object"),
        ("[" * 100_000, "is no JSON object"),
        ("{", "is no JSON object"),
        ('{"output": ["y"]}', "with text as its 'output'"),
        ('{"std": [0, 1, 1]}', "are prepared: std must be above 0"),
        ('{"mean": [1e39, 0, 0]}', "mean and std must be"),
        ('{"resize_hw": [1000000000, 1000000000]}', "sizes must be 8192 or less"),
    ],
)
def test_a_file_beside_it_that_makes_no_sense_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = onnx_file(tmp_path / "net.onnx")
    (tmp_path / "net.onnx.json").write_text(text)

    with pytest.raises(BackendError, match=message):
        open_space(EmbedderOpening(f"onnx:{path}"))


def test_a_graph_whose_weights_lie_elsewhere_is_refused(tmp_path: Path) -> None:
    import onnx

    path = onnx_file(tmp_path / "net.onnx")
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="w.bin", size_threshold=0)

    with pytest.raises(BackendError, match="lie in other files: save it again as one whole file"):
        open_space(EmbedderOpening(f"onnx:{path}"))
