"""Checkpoints that are not ours, turned into models: seed 1's say what they are, others have to be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mekiki.errors import UnreadableError, UsageError
from mekiki.media.preprocessing import Preprocessing
from mekiki.training.backbones import default_preprocessing
from mekiki.training.card import ModelCard
from mekiki.training.checkpoint import check_scores_id
from mekiki.training.foreign_heads import ForeignHead, find_head, head_card
from mekiki.training.keras_file import SUFFIX as KERAS
from mekiki.training.keras_head import read_keras_head
from mekiki.training.members import split_members
from mekiki.training.pretrained import TORCHVISION
from mekiki.training.projections import OWN_MEAN, OWN_WEIGHT, ProjectionMatrix
from mekiki.training.user_code import is_user_code, read_source
from mekiki.training.vector_space import Projection
from mekiki.training.weights import read_weights

if TYPE_CHECKING:
    from torch import Tensor

SEED1_KEYS = ("class_names", "threshold", "img_size", "seed", "arch")
"""What seed 1 saves beside ``model_state_dict``."""

DEFAULT_IMAGE_SIZE = 224


def read_foreign(
    path: Path,
    arch: str | None = None,
    class_names: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
    activation: Literal["sigmoid", "softmax"] | None = None,
) -> tuple[ModelCard, dict[str, Tensor]]:
    """Return a checkpoint as a model: a card, and tensors under the names of its network.

    Seed 1's checkpoint says its backbone, classes, size of picture and threshold, and its outputs are taken through a
    sigmoid. What is given as an argument goes before; where the two cannot both be true, that is an error. A file of
    ours is returned as it is, and takes no arguments. Heads that look at vectors are known by what is in them; see
    `mekiki.training.foreign_heads`.

    Args:
        path: A ``.pt``, ``.pth``, ``.th``, ``.safetensors`` or ``.keras`` file.
        arch: A backbone as in `mekiki.training.backbones.BackboneSpec`.
        class_names: In the order of the outputs. For a file that has its own: others of the same number, which
            rename them.
        preprocessing: Seed 1's for the size of picture (224 if the file does not say) if not given.
        activation: What turns outputs into scores.

    Raises:
        UsageError: If something is neither given nor in the file, or contradicts it.
        UnreadableError: If the file cannot be read, holds more than tensors and plain values, what it says of
            itself makes no sense, or a file of ours was changed. Whether its tensors are those of ``arch`` shows when
            they are loaded.
    """
    given = {"arch": arch, "class_names": class_names, "preprocessing": preprocessing, "activation": activation}
    if path.suffix.lower() == KERAS:
        return _as_head(path, read_keras_head(path), given)
    file = read_weights(path)
    if file.card is not None:
        named = [name for name, value in given.items() if value is not None]
        if named:
            raise UsageError(f"{path} is a model of mekiki's and says itself what it is. Leave out {', '.join(named)}")
        check_scores_id(file.card, file.tensors, path)
        _check_projection(file.card, file.tensors, path)
        return file.card, dict(file.tensors)
    head = find_head(path, file.tensors)
    if head is not None:
        return _as_head(path, head, given)
    said = _what_it_says(path, file.facts)
    backbone = _agreed_arch(path, arch, said.get("arch"))
    names = _agreed_classes(path, class_names, said.get("class_names"))
    if activation is None and not said:
        raise UsageError(
            f"{path} does not say how its outputs become scores. "
            "Type --activation sigmoid (each class by itself) or --activation softmax (exactly one class)"
        )
    threshold = said.get("threshold")
    image_size = said.get("img_size", DEFAULT_IMAGE_SIZE)
    card = ModelCard(
        name=path.stem,
        arch=backbone,
        source_code=read_source(backbone) if is_user_code(backbone) else "",
        class_names=names,
        preprocessing=preprocessing or default_preprocessing(backbone, image_size),
        activation=activation or "sigmoid",
        thresholds=None if threshold is None else (threshold,) * len(names),
        settings={key: said[key] for key in ("seed", "img_size") if key in said},
    )
    return card, dict(file.tensors)


def _as_head(path: Path, head: ForeignHead, given: Mapping[str, Any]) -> tuple[ModelCard, dict[str, Tensor]]:
    if given["preprocessing"] is not None:
        raise UsageError(
            f"{path} is a head on vectors ({head.kind}), which sees no pixels: leave out how pictures are prepared"
        )
    card = head_card(path, head, given["arch"], given["class_names"], given["activation"])
    return card, dict(head.tensors)


def _check_projection(card: ModelCard, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Check that the projections in a file are those that its cards name.

    Raises:
        UnreadableError: If one is not, or there is none where the card names one, or one where it names none.
    """
    for one, own in split_members(card, tensors):
        if one.vectors is None:
            continue
        said, found = one.vectors.projection, None
        if OWN_WEIGHT in own and own[OWN_WEIGHT].ndim == 2 and len(own[OWN_WEIGHT]):
            mean = own[OWN_MEAN].float().numpy() if OWN_MEAN in own else None
            kind = "file" if said is None else said.kind
            found = ProjectionMatrix(kind, own[OWN_WEIGHT].float().numpy(), mean).describe()
        if found != said:
            raise UnreadableError(
                path,
                f"model {one.name!r} was made with {_in_words(said)}, and in the file is {_in_words(found)}: "
                "take the file as it was written",
            )


def _in_words(projection: Projection | None) -> str:
    if projection is None:
        return "no projection"
    return f"projection {projection.fingerprint} ({projection.kind}, {projection.n_dims} dimensions)"


def _what_it_says(path: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a checkpoint of seed 1 says of itself; nothing for others, which may use the same words."""
    said = {key: facts[key] for key in SEED1_KEYS if facts.get(key) is not None}
    if "class_names" not in said:
        return {}
    names = said["class_names"]
    if not isinstance(names, (list, tuple)) or not names or not all(isinstance(name, str) for name in names):
        raise UnreadableError(path, "its class_names are no list of names")
    if len(set(names)) != len(names):
        raise UnreadableError(path, f"its class_names have a name twice: {', '.join(names)}")
    kinds: dict[str, tuple[type, ...]] = {"threshold": (int, float), "img_size": (int,), "seed": (int,), "arch": (str,)}
    for key, kind in kinds.items():
        if key in said and (not isinstance(said[key], kind) or isinstance(said[key], bool)):
            raise UnreadableError(path, f"its {key} is {said[key]!r}, no {kind[-1].__name__}")
    if not 0 <= said.get("threshold", 0.5) <= 1:
        raise UnreadableError(path, f"its threshold is {said['threshold']}, not within 0 and 1")
    if not said.get("img_size", DEFAULT_IMAGE_SIZE) >= 1:
        raise UnreadableError(path, f"its img_size is {said['img_size']}, not 1 or more")
    return said


def _agreed_arch(path: Path, given: str | None, said: str | None) -> str:
    if given is None and said is None:
        raise UsageError(
            f"{path} does not say what network it is. Add --arch, such as --arch {next(iter(TORCHVISION))}"
        )
    if given is not None and said is not None and given != said:
        raise UsageError(f"{path} says that it is a {said}, not a {given}. Leave out --arch")
    return str(given or said)


def _agreed_classes(path: Path, given: Sequence[str] | None, said: Sequence[str] | None) -> tuple[str, ...]:
    if given is None:
        if said is None:
            raise UsageError(f"{path} does not say what its classes are. Name them in its order: --classes")
        return tuple(said)
    if not given or len(set(given)) != len(given):
        raise UsageError(f"classes must be one or more different names, got {', '.join(given) or 'none'}")
    if said is None:
        return tuple(given)
    if len(given) != len(said):
        raise UsageError(f"{path} has {len(said)} classes ({', '.join(said)}), but {len(given)} were given")
    if set(given) == set(said) and list(given) != list(said):
        raise UsageError(f"{path} has these classes in another order: {', '.join(said)}. Leave out --classes")
    return tuple(given)
