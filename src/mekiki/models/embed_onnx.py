"""Embedders that are ONNX graphs: ``onnx:FILE``, with ``FILE.json`` beside it that says how pictures are prepared."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import ValidationError

from mekiki.errors import BackendError
from mekiki.media.preprocessing import Preprocessing
from mekiki.models.classify_graph import has_external_data
from mekiki.models.embed_hub import first_line
from mekiki.models.embed_opening import EmbedderOpening
from mekiki.models.embed_source import LoadedTower, NetworkSource, embedder_id
from mekiki.models.opening import id_of_file
from mekiki.training.runtimes import import_onnx
from mekiki.training.vector_space import VectorSpace

OUTPUT_KEY = "output"
"""Of the file beside a graph: the name of the output that is the vectors, where there are several."""


class OnnxSource(NetworkSource):
    """A graph with one input ``(N, 3, H, W)`` float32, normalised, and an output ``(N, D)``; run as it is.

    The file beside it is JSON with the fields of `mekiki.media.preprocessing.Preprocessing`, and ``output``.
    """

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="mekiki-")  # of a graph cut to one output; gone with its tower

    def load(self, opening: EmbedderOpening) -> LoadedTower:
        """Read the graph."""
        opening.refuse_weights()
        output = opening.chosen_output(("projected",), "projected")
        path = Path(opening.what)
        model = _read(path)
        how, named = _beside(opening, path)
        _check_input(model, how, opening.name)
        wanted = _find_output(model, named, opening.name)
        shape = wanted.type.tensor_type.shape.dim
        if len(shape) != 2 or shape[1].dim_value < 1:
            found = [one.dim_value or one.dim_param or "?" for one in shape]
            raise BackendError(
                f"{opening.name}: its output {wanted.name!r} is {found}; (N, D) with a known D is wanted"
            )
        space = VectorSpace(
            embedder=opening.full_name(output, "projected"),
            embedder_id=embedder_id({}, {"kind": "onnx", "file": id_of_file(path), "output": wanted.name}, how),
            n_dims=shape[1].dim_value,
            preprocessing=how,
        )
        if len(model.graph.output) > 1:
            kept = type(wanted)()
            kept.CopyFrom(wanted)
            del model.graph.output[:]
            model.graph.output.append(kept)
            path = Path(self._folder.name) / "one-output.onnx"
            path.write_bytes(model.SerializeToString())
        return LoadedTower(space, path)


def _read(path: Path) -> Any:
    onnx, message = import_onnx(), import_module("google.protobuf.message")
    try:
        model = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise BackendError(f"no graph can be read from {path}: {error.strerror or error}") from error
    except message.DecodeError as error:
        raise BackendError(f"no graph can be read from {path}: no ONNX file") from error
    if has_external_data(model):
        raise BackendError(f"the weights of {path} lie in other files: save it again as one whole file")
    return model


def _beside(opening: EmbedderOpening, path: Path) -> tuple[Preprocessing, str]:
    """Return how pictures are prepared, and the output that is named in the file beside the graph, if any."""
    sidecar = path.with_name(f"{path.name}.json")
    if not sidecar.exists():
        return opening.stated_preprocessing(), ""
    opening.refuse_preprocessing(f"in {sidecar}")
    try:
        said = json.loads(sidecar.read_text(encoding="utf-8"))
        if not isinstance(said, dict) or not isinstance(named := said.pop(OUTPUT_KEY, ""), str):
            raise BackendError(f"{sidecar} is no JSON object with text as its {OUTPUT_KEY!r}, if it has one")
        how = Preprocessing.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        why = ": ".join([*filter(None, [".".join(map(str, first["loc"]))]), first["msg"].removeprefix("Value error, ")])
        raise BackendError(f"{sidecar} does not say how pictures are prepared: {why}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise BackendError(f"{sidecar} is no JSON object: {first_line(error)}") from error
    return how, named


def _check_input(model: Any, how: Preprocessing, name: str) -> None:
    weights = {one.name for one in model.graph.initializer}
    inputs = [one for one in model.graph.input if one.name not in weights]
    shapes = [[one.dim_value for one in each.type.tensor_type.shape.dim] for each in inputs]
    wanted = (3, *how.crop_hw)
    is_right = len(inputs) == 1 and len(shapes[0]) == 4 and inputs[0].type.tensor_type.elem_type == 1
    if not is_right or any(has not in (0, wants) for has, wants in zip(shapes[0][1:], wanted, strict=True)):
        raise BackendError(
            f"{name} takes {shapes or 'nothing'} (0 for any), and its pictures are prepared as float32 (N, 3, "
            f"{how.crop_hw[0]}, {how.crop_hw[1]}). Give the preprocessing that it was trained with"
        )


def _find_output(model: Any, named: str, name: str) -> Any:
    outputs = {one.name: one for one in model.graph.output}
    if named and named not in outputs:
        raise BackendError(f"{name} has no output {named!r}, only {', '.join(outputs)}")
    if not named and len(outputs) != 1:
        raise BackendError(
            f"{name} has {len(outputs)} outputs, {', '.join(outputs)}: say which is the vectors, as {OUTPUT_KEY!r} "
            "in the file beside it"
        )
    return outputs[named or next(iter(outputs))]
