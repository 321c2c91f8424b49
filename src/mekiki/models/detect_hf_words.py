"""What detectors of transformers are asked for: their own classes, or words, each family's in its own way.

N is the number of pictures, Q that of boxes a network proposes for each, C that of classes, T that of a text's tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol

from mekiki.errors import UsageError
from mekiki.models.detect import DetectorOpening
from mekiki.training.packages import import_torch

if TYPE_CHECKING:
    from torch import Tensor


class Asking(Protocol):
    """What a network is asked for beside the pictures."""

    class_names: Sequence[str]

    def inputs(self, n: int) -> Mapping[str, Tensor]:
        """Return the network's arguments for so many pictures."""
        ...

    def proposals(self, given: Any) -> Any:
        """Return ``logits`` ``(N, Q, C)`` (or C + 1, the last for nothing) and ``pred_boxes`` of what it gives."""
        ...


class OwnClasses:
    """The classes with which a network was trained."""

    def __init__(self, model: Any) -> None:
        names = model.config.id2label
        n_classes = max(model.config.num_labels, max(names, default=-1) + 1)
        self.class_names: Sequence[str] = tuple(str(names.get(place, place)) for place in range(n_classes))

    def inputs(self, n: int) -> Mapping[str, Tensor]:
        """Return none."""
        return {}

    def proposals(self, given: Any) -> Any:
        """Return what it gives."""
        return given


class OwlWords:
    """Every class is a text of its own, and shown as it is written: a class may be a phrase.

    Raises:
        UsageError: If one is longer than the network reads.
    """

    def __init__(self, model: Any, tokenizer: Any, opening: DetectorOpening) -> None:
        length = model.config.text_config.max_position_embeddings
        self.class_names: Sequence[str] = opening.classes
        for name in opening.classes:
            n_tokens = len(tokenizer(name)["input_ids"])
            if n_tokens > length:
                raise UsageError(f"class {name!r} has {n_tokens} tokens, {opening.name} reads {length}. Shorten it")
        self._tokens = tokenizer(list(opening.classes), padding="max_length", max_length=length, return_tensors="pt")

    def inputs(self, n: int) -> Mapping[str, Tensor]:
        """Return the texts once for each picture, ``(N * C, T)``."""
        return {name: self._tokens[name].repeat(n, 1) for name in ("input_ids", "attention_mask")}

    def proposals(self, given: Any) -> Any:
        """Return what it gives."""
        return given


class GroundingWords:
    """All classes are one text, ``a cat. a dog.``; a class is as sure as the surest of its tokens.

    transformers names a box after all tokens above a threshold, which may be parts of several classes, or of none.
    Here it gets the class that its surest token belongs to, so the score is the same and the name is always one of
    those that were given.

    Raises:
        UsageError: If a class has a full stop in it, or they are more than the network reads.
    """

    def __init__(self, model: Any, tokenizer: Any, opening: DetectorOpening) -> None:
        self.class_names: Sequence[str] = opening.classes
        text, spans = "", []
        for name in opening.classes:
            written = " ".join(name.lower().split())
            if "." in written or not written:
                raise UsageError(f"class {name!r} cannot be told to {opening.name}: full stops part its classes")
            spans.append((len(text), len(text) + len(written)))
            text += f"{written}. "
        made = tokenizer(text.rstrip(), return_offsets_mapping=True, return_token_type_ids=True, return_tensors="pt")
        places = [tuple(place) for place in made.pop("offset_mapping")[0].tolist()]
        if len(places) > model.config.max_text_len:
            raise UsageError(
                f"{len(spans)} classes have {len(places)} tokens, {opening.name} reads {model.config.max_text_len}. "
                "Ask for fewer"
            )
        self._tokens: Mapping[str, Tensor] = made
        self._rows = [
            [row for row, (start, end) in enumerate(places) if start < end and begin <= start < stop]
            for begin, stop in spans
        ]
        unread = [name for name, rows in zip(opening.classes, self._rows, strict=True) if not rows]
        if unread:
            raise UsageError(f"{opening.name} has no token for class {unread[0]!r}. Use other words")

    def inputs(self, n: int) -> Mapping[str, Tensor]:
        """Return the text once for each picture, ``(N, T)``."""
        return {name: tensor.repeat(n, 1) for name, tensor in self._tokens.items()}

    def proposals(self, given: Any) -> Any:
        """Return its boxes, with a logit for each class in the place of one for each token."""
        torch = import_torch()
        of_classes = [given.logits[..., rows].amax(dim=-1) for rows in self._rows]
        return SimpleNamespace(logits=torch.stack(of_classes, dim=-1), pred_boxes=given.pred_boxes)
