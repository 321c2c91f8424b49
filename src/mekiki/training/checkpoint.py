"""A model in one file: a card and tensors, whose name follows from its bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mekiki.dataset.ids import MODEL_ID_LENGTH
from mekiki.errors import UnreadableError, UsageError
from mekiki.training.backbones import BackboneSpec, make_network
from mekiki.training.card import CARD_KEY, ModelCard
from mekiki.training.members import split_members
from mekiki.training.packages import import_safetensors, import_torch
from mekiki.training.user_code import check_same_source, is_user_code
from mekiki.training.vector_space import VectorSpace
from mekiki.training.weights import differences, load_exactly
from mekiki.wholefiles import write_whole

if TYPE_CHECKING:
    from torch import Tensor, nn


def save_model(folder: Path, card: ModelCard, tensors: Mapping[str, Tensor]) -> tuple[str, Path, ModelCard]:
    """Write a model into a folder and return its id, its file and its card with ``scores_id`` filled in.

    The same card and tensors give the same bytes, hence the same id and file name. The file is written whole: a killed
    program leaves none, or all of it.

    Args:
        folder: Made if it does not exist.
        card: Its ``scores_id`` does not matter.
        tensors: The state dict of a network, or those of an ensemble's members (see
            `mekiki.training.members.split_members`); on any device.
    """
    own = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    complete = card.model_copy(update={"scores_id": scores_id_of(card, own)})
    content: bytes = import_safetensors().save(own, metadata={CARD_KEY: complete.to_json()})
    model_id = hashlib.sha256(content).hexdigest()[:MODEL_ID_LENGTH]
    return model_id, write_whole(folder / f"{model_id}.safetensors", content), complete


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a ``.safetensors`` file to the CPU.

    Raises:
        UnreadableError: If it cannot be read, or is no whole safetensors file.
    """
    torch_files = import_safetensors()
    from safetensors import SafetensorError

    try:
        tensors: dict[str, Tensor] = torch_files.load(path.read_bytes())
    except OSError as error:
        raise UnreadableError(path, error.strerror or str(error)) from error
    except SafetensorError as error:
        raise UnreadableError(path, f"no whole safetensors file: {error}") from error
    return tensors


def load_network(card: ModelCard, tensors: Mapping[str, Tensor], *, allow_code: bool) -> nn.Module:
    """Return a card's network with its weights, on the CPU, ready for evaluation.

    Args:
        card: Of a network; the members of an ensemble are loaded one by one.
        tensors: Its state dict, complete and with nothing else in it.
        allow_code: Whether code of the user's may be run, which ``python:FILE:CLASS`` needs.

    Raises:
        ValueError: If the card is that of an ensemble.
        UnreadableError: If tensors are missing, left over or of another shape, or a head's options are none.
        UsageError: If the backbone is unknown, or is code that is not allowed.
        DataError: If the code is no longer what the network was trained with.
    """
    if card.kind != "network":
        raise ValueError(f"card must be that of a network, got {card.kind}")
    if is_user_code(card.arch) and allow_code:
        check_same_source(card.arch, card.source_code)
    torch = import_torch()
    spec = BackboneSpec(card.arch, len(card.class_names), card.arch_options)
    if card.vectors is not None:
        _check_head(card, card.vectors, tensors)
    with torch.random.fork_rng(devices=[]):  # its random weights are replaced, and nobody else's chance should move
        network = make_network(spec, pretrained=False, weights=None, allow_code=allow_code)
    trouble = load_exactly(network, tensors)
    if trouble:
        raise UnreadableError(f"model {card.name!r}", f"its weights are not those of {card.arch}: {trouble}")
    return network.eval()


def _check_head(card: ModelCard, space: VectorSpace, tensors: Mapping[str, Tensor]) -> None:
    """Refuse a head whose card and tensors do not go together before memory is taken for what the card says."""
    options = card.arch_options
    spec = BackboneSpec(card.arch, len(card.class_names), options)
    try:
        with import_torch().device("meta"):  # shapes without numbers
            wanted = make_network(spec, pretrained=False, weights=None, allow_code=False).state_dict()
    except (UsageError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise UnreadableError(f"model {card.name!r}", f"its card's options are no head's: {why}") from error
    trouble = differences(wanted, tensors)
    if trouble:
        raise UnreadableError(f"model {card.name!r}", f"its weights are not those of {card.arch}: {trouble}")
    none = (None, None)
    through = none if space.projection is None else (space.projection.n_dims, space.projection.kind)
    n_out = options.get("projection_dims")
    made_through = none if n_out is None else (n_out, options.get("projection_kind", "orthogonal"))
    made = (options["n_inputs"], options.get("normalise", True), *made_through)
    if (space.n_dims, space.is_normalised, *through) != made:
        raise UnreadableError(f"model {card.name!r}", "its card says other things of its vectors than of its layers")


def scores_id_of(card: ModelCard, tensors: Mapping[str, Tensor]) -> str:
    """Return 16 hex digits that stand for all that decides a model's raw scores.

    Thresholds, the card's own calibration, its name, settings, metrics and parents do not count.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(_bytes_of(tensor))
    digest.update(json.dumps(_what_decides(card), ensure_ascii=False, sort_keys=True).encode())
    return digest.hexdigest()[:MODEL_ID_LENGTH]


def check_scores_id(card: ModelCard, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Check that a model's weights, and those of its members, are the ones that its card was written for.

    Raises:
        UnreadableError: If one of them was changed since: stored scores of the model would be taken for its own.
    """
    for one, own in [(card, tensors), *(split_members(card, tensors) if card.members else ())]:
        found = scores_id_of(one, own)
        if found != one.scores_id:
            raise UnreadableError(
                path,
                f"its weights or its card were changed after mekiki wrote it: model {one.name!r} has scores_id "
                f"{one.scores_id or 'none'}, and what is in the file gives {found}. Take the file as it was written",
            )


def _bytes_of(tensor: Tensor) -> Any:
    """Return a tensor's memory in C order; works for types that NumPy lacks, such as bfloat16."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(import_torch().uint8).numpy()


def _what_decides(card: ModelCard) -> dict[str, Any]:
    """Return the parts of a card that decide its raw scores, as JSON."""
    included = {"kind", "arch", "arch_options", "source_code", "class_names", "preprocessing", "activation", "weights"}
    included |= {"vectors"} if card.is_head else set()  # without it, models from before heads keep their ids
    members = [(one.scores_id, one.model_dump(mode="json", include={"calibration"})) for one in card.members]
    return {**card.model_dump(mode="json", include=included), "members": members}
