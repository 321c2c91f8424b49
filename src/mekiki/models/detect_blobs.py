"""The detector ``blobs``: whatever stands out from a plain background, without any weights.

For drawn scenes and test worlds, where the background is one colour or level bands of colour. It is no detector for
photos: there everything stands out, and it would find the picture itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mekiki.errors import UsageError
from mekiki.media.detections import Detections
from mekiki.media.nms import suppress_overlaps
from mekiki.models.detect import DetectorOpening, identity_of
from mekiki.records import Image

VERSION = "1"
"""Raised whenever it gives other boxes."""

CLASS_NAME = "blob"
EDGE_SHARE = 0.008
"""Of the picture's width: what is looked at on the left and the right to know the background of a row."""

LEAST_CONTRAST, MOST_CONTRAST = 12.0, 48.0
"""Of 255: by how much a pixel is unlike its background at least, in a picture without grain and in a grainy one."""

FRINGE_SHARE = 0.4
"""Of a blob's mean contrast: what is less unlike at its rim is the fringe that JPEG leaves, and no part of it."""

N_DEVIATIONS = 6.0
"""Of the grain, that a pixel is unlike its background."""

GAP_SHARE = 0.005
"""Of the long side: parts that are this near each other are one thing."""

USUAL_CONTRAST, USUAL_AREA_SHARE = 40.0, 0.0005
"""At which contrast, of 255, and at which share of the picture a score is 63 % of what it can be for that reason."""


class BlobDetector:
    """See `mekiki.models.base.Detector`: boxes of one class, ``blob``.

    A row's background is the colour that its left and its right end share, else the median of the row. A pixel is
    unlike it if a channel differs by more than the grain of the picture explains. Unlike pixels that touch are one
    blob. Its score is ``(1 - exp(-c / 40)) * (1 - exp(-a / 0.0005))`` for a mean difference c, of 255, and an area a,
    as a share of the picture.

    Raises:
        UsageError: If it is asked for another class, or given a variant or weights.
    """

    device = "cpu (numpy)"

    def __init__(self, opening: DetectorOpening) -> None:
        self.identity = identity_of(opening, self.weights_id(opening))
        self.n_at_once = opening.n_workers
        self._opening = opening

    @staticmethod
    def weights_id(opening: DetectorOpening) -> str:
        """Return what stands for the method: there are no weights.

        Raises:
            UsageError: As opening it does.
        """
        opening.refuse_weights()
        if opening.what:
            raise UsageError(f"detector blobs has no variants, got {opening.name!r}. Type: --detector blobs")
        opening.wanted_rows([CLASS_NAME])
        return f"v{VERSION}"

    def prepare(self, image: Image) -> Image:
        """Return the picture as it is."""
        return image

    def detect(self, batch: Sequence[Image]) -> list[Detections]:
        """Return the blobs of each picture."""
        return [self._detect(image) for image in batch]

    def _detect(self, image: Image) -> Detections:
        contrast = contrast_to_background(image)
        is_unlike = contrast > _limit(contrast)
        numbers, n_blobs = ndimage.label(_joined(is_unlike), np.ones((3, 3)))
        if n_blobs == 0:
            return Detections.none()
        numbers[~is_unlike] = 0  # what joined the parts of a blob is none of them
        counts = np.bincount(numbers.ravel())
        sums = np.bincount(numbers.ravel(), contrast.ravel())
        means = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
        numbers[contrast < FRINGE_SHARE * means[numbers]] = 0
        edges = [(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(numbers)]
        boxes = np.array(edges, np.float32)
        scores = _scores(means[1:], counts[1:] / contrast.size)
        rows = np.flatnonzero(scores >= self._opening.confidence)
        same = np.zeros(len(rows), np.int64)
        rows = rows[suppress_overlaps(boxes[rows], scores[rows], same, self._opening.iou, self._opening.max_boxes)]
        return Detections(boxes[rows], scores[rows], (CLASS_NAME,) * len(rows))


def contrast_to_background(image: Image) -> NDArray[np.float32]:
    """Return by how much each pixel differs from the background of its row, in the channel that differs most.

    Args:
        image: ``(H, W, 3)``, not changed.

    Returns:
        ``(H, W)`` float32, 0 to 255.
    """
    width = image.shape[1]
    n_edge = max(1, round(EDGE_SHARE * width))
    left, right = np.median(image[:, :n_edge], axis=1), np.median(image[:, -n_edge:], axis=1)
    background = ((left + right) / 2).astype(np.float32)
    differ = np.abs(left - right).max(axis=1) > LEAST_CONTRAST
    background[differ] = np.median(image[differ], axis=1)
    contrast: NDArray[np.float32] = np.abs(image - background[:, None]).max(axis=2)
    return contrast


def _limit(contrast: NDArray[np.float32]) -> float:
    """Return the contrast from which on a pixel is unlike: the median deviation tells the grain."""
    grain = 1.4826 * float(np.median(contrast))
    return min(max(LEAST_CONTRAST, N_DEVIATIONS * grain), MOST_CONTRAST)


def _joined(is_unlike: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the same with small gaps closed."""
    reach = round(GAP_SHARE * max(is_unlike.shape) / 2)
    if reach < 1:
        return is_unlike
    joined: NDArray[np.bool_] = ndimage.binary_dilation(is_unlike, np.ones((3, 3)), iterations=reach)
    return joined


def _scores(contrast: NDArray[np.float64], area_share: NDArray[np.float64]) -> NDArray[np.float32]:
    by_contrast, by_area = -np.expm1(-contrast / USUAL_CONTRAST), -np.expm1(-area_share / USUAL_AREA_SHARE)
    return (by_contrast * by_area).astype(np.float32)
