"""Detectors of transformers: the DETR family with its own classes, OWL and Grounding DINO with the user's."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mekiki.errors import BackendError, UsageError
from mekiki.media.detections import Detections
from mekiki.media.nms import suppress_overlaps
from mekiki.models.classify_torch import torch_device
from mekiki.models.detect import DetectorOpening, hash_weights, identity_of
from mekiki.models.detect_hf_words import Asking, GroundingWords, OwlWords, OwnClasses
from mekiki.models.hf_files import EXTRA, FROM_DISK, HfName, find_folder, load_model, loading, parts_of, read_config
from mekiki.records import Image
from mekiki.training.arithmetic import full_float32
from mekiki.training.packages import import_torch, import_transformers

if TYPE_CHECKING:
    from torch import Tensor

OWN_CLASSES = frozenset(
    {
        *("conditional_detr", "d_fine", "dab-detr", "deformable_detr", "deimv2", "detr", "lw_detr", "rf_detr"),
        *("rt_detr", "rt_detr_v2", "table-transformer", "yolos"),
    }
)
"""Families with classes of their own. Training matches each object with one query, so they repeat no box."""

GROUNDING = frozenset({"grounding-dino", "mm-grounding-dino"})
"""Decoders of the DETR family that read the classes as one text; they repeat no box either."""

OWL = frozenset({"owlv2", "owlvit"})
"""Every patch of a picture proposes a box without a decoder that would settle which of them speaks for an object, so
neighbours propose the same one: of those that overlap the surest is kept."""

N_AT_ONCE = 4
"""Pictures that go through a network together; more need more memory and were no faster."""

OTHERWISE = "--detector FILE.onnx with a graph that you have (in mekiki run: --set detect.detector=onnx:FILE)"


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A picture as a network takes it.

    Attributes:
        image_hw: Of the picture that was shown.
        tensors: By the names of the network's arguments, without an axis for several pictures.
    """

    image_hw: tuple[int, int]
    tensors: Mapping[str, Tensor]


class HfDetector:
    """``hf:OWNER/NAME`` or ``hf:FOLDER``; see `mekiki.models.base.Detector`.

    Pictures are prepared, and proposals turned into boxes, by the model's own image processor. Only pictures that it
    makes equally large go through the network together: none is filled up for the sake of another.

    Raises:
        UsageError: If a class is unknown or, for a family that looks for words, none is given.
        BackendError: If the model cannot be had, is of another family, or the device is missing.
    """

    n_at_once = 1

    def __init__(self, opening: DetectorOpening) -> None:
        opening.refuse_weights()
        transformers, torch = import_transformers(EXTRA), import_torch()
        self._on = torch_device(opening.device)
        self.device = f"{self._on} (torch)"
        folder = find_folder(_asked(opening))
        config = read_config(folder, opening.name)
        family = config.model_type
        _check_family(family, opening)
        kind = "ObjectDetection" if family in OWN_CLASSES else "ZeroShotObjectDetection"
        auto = getattr(transformers, f"AutoModelFor{kind}")
        model = load_model(auto, folder, config, opening.name, torch.float32)
        with loading(opening.name, "image processor"):
            self._processor = transformers.AutoImageProcessor.from_pretrained(folder, **FROM_DISK)
        self._asking = _asking(family, model, folder, opening)
        self._wanted = opening.wanted_rows(self._asking.class_names)
        self._model = model.to(self._on).requires_grad_(False)
        self._takes = frozenset(inspect.signature(model.forward).parameters)
        self._finish = _finishing(self._processor, model)
        self._opening = opening
        self._drops_overlaps = family in OWL
        self.identity = identity_of(opening, self.weights_id(opening))

    @staticmethod
    def weights_id(opening: DetectorOpening) -> str:
        """Return what stands for weights, processor and words: the SHA-256 of their files in hex."""
        opening.refuse_weights()
        return hash_weights(parts_of(find_folder(_asked(opening))), opening.name)

    def prepare(self, image: Image) -> Seen:
        """Return a picture as `detect` takes it."""
        shown = image if image.flags.writeable else image.copy()  # PyTorch warns of arrays that it could not write to
        made = self._processor(images=shown, return_tensors="pt", input_data_format="channels_last")
        tensors = {name: tensor[0] for name, tensor in made.items() if name in self._takes}
        return Seen((image.shape[0], image.shape[1]), tensors)

    def detect(self, batch: Sequence[Seen]) -> list[Detections]:
        """Return what it finds in each, the surest first; no pictures give none."""
        found = [Detections.none()] * len(batch)
        for rows in _equally_large(batch):
            for row, one in zip(rows, self._detect_equal([batch[row] for row in rows]), strict=True):
                found[row] = one
        return found

    def _detect_equal(self, batch: Sequence[Seen]) -> Iterator[Detections]:
        torch = import_torch()
        shown = {name: torch.stack([one.tensors[name] for one in batch]) for name in batch[0].tensors}
        asked = shown | dict(self._asking.inputs(len(batch)))
        sizes = [one.image_hw for one in batch]
        with torch.inference_mode(), full_float32() if self._on.startswith("cuda") else nullcontext():
            given = self._model(**{name: tensor.to(self._on) for name, tensor in asked.items()})
            proposals = self._asking.proposals(given)
            is_read = proposals.pred_boxes.isfinite().all(dim=(1, 2)) & ~proposals.logits.isnan().any(dim=(1, 2))
            boxes = self._finish(proposals, self._opening.confidence, sizes)
        for one, image_hw, is_fine in zip(boxes, sizes, is_read.tolist(), strict=True):
            told = {name: one[name].cpu().numpy() for name in ("boxes", "scores", "labels")}
            strange = Detections.failed(f"{self._opening.name} gives scores or boxes that are no numbers")
            yield self._detections(told, image_hw) if is_fine else strange

    def _detections(self, one: Mapping[str, Any], image_hw: tuple[int, int]) -> Detections:
        """Return the wanted boxes, within the picture; one that lies outside of it is no box."""
        height, width = image_hw
        boxes = one["boxes"].astype(np.float32).clip(0, np.array([width, height, width, height], np.float32))
        is_wanted = np.isin(one["labels"], sorted(self._wanted))
        keep = np.flatnonzero(is_wanted & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))
        boxes, scores, labels = boxes[keep], one["scores"][keep].astype(np.float32), one["labels"][keep]
        names = tuple(self._asking.class_names[label] for label in labels)
        found = Detections(boxes, scores, names)
        if self._drops_overlaps:
            found = found.take(suppress_overlaps(boxes, scores, labels, self._opening.iou))
        return found.best(self._opening.max_boxes)


def _asked(opening: DetectorOpening) -> HfName:
    return HfName(opening.name, OTHERWISE)


def _check_family(family: str, opening: DetectorOpening) -> None:
    if family not in OWN_CLASSES | GROUNDING | OWL:
        raise BackendError(
            f"{opening.name} is a model of the family {family!r}, no detector that mekiki knows. "
            f"Known: {', '.join(sorted(OWN_CLASSES | GROUNDING | OWL))}"
        )
    if family not in OWN_CLASSES and not opening.classes:
        raise UsageError(
            f"{opening.name} finds what it is told to look for, and was told nothing. "
            "Type what, once for each: --classes car --classes bicycle"
        )


def _asking(family: str, model: Any, folder: Path, opening: DetectorOpening) -> Asking:
    if family in OWN_CLASSES:
        return OwnClasses(model)
    with loading(opening.name, "tokenizer"):
        tokenizer = import_transformers(EXTRA).AutoTokenizer.from_pretrained(folder, **FROM_DISK)
    return (OwlWords if family in OWL else GroundingWords)(model, tokenizer, opening)


def _finishing(processor: Any, model: Any) -> Any:
    """Return what turns proposals into boxes in pixels, with all that this processor's way of it wants to know."""
    how = processor.post_process_object_detection
    known = inspect.signature(how).parameters
    options = {"use_focal_loss": getattr(model.config, "use_focal_loss", True)} if "use_focal_loss" in known else {}

    def finish(proposals: Any, threshold: float, sizes: list[tuple[int, int]]) -> Any:
        # some keep the best 100 before any class is looked at; as many as there are queries is what the others keep
        most = {"top_k": proposals.logits.shape[1]} if "top_k" in known else {}
        return how(proposals, threshold=threshold, target_sizes=sizes, **options, **most)

    return finish


def _equally_large(batch: Sequence[Seen]) -> Iterator[list[int]]:
    """Return the rows of pictures that can be stacked, a few at a time."""
    alike: dict[tuple[Any, ...], list[int]] = {}
    for row, one in enumerate(batch):
        shapes = tuple((name, tuple(tensor.shape)) for name, tensor in one.tensors.items())
        alike.setdefault(shapes, []).append(row)
    for rows in alike.values():
        yield from (rows[start : start + N_AT_ONCE] for start in range(0, len(rows), N_AT_ONCE))
