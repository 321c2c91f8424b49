"""Score pictures with an ONNX file that ``mekiki export --format onnx`` wrote: no workspace and no PyTorch needed.

Usage: python examples/score_with_onnx.py MODEL.onnx PICTURE...

Classes, preprocessing, calibration and thresholds stand in the file. What runs is ONNX Runtime alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mekiki.errors import UnreadableError
from mekiki.media.images import read_image
from mekiki.models.classify import open_classifier
from mekiki.models.opening import Opening


def main(model: Path, pictures: list[Path]) -> int:
    """Print one line a picture: what the model decides, and its scores."""
    classifier = open_classifier(Opening(model))
    card = classifier.card
    for path in pictures:
        try:
            prepared = classifier.prepare(lambda px, path=path: read_image(path, at_least_px=px))
        except UnreadableError as error:
            print(error, file=sys.stderr)
            continue
        scores = card.finish(classifier.score([prepared]))  # (1, C); `finish` applies the calibration
        pairs = list(zip(card.class_names, card.decide(scores)[0], strict=True))
        decided = ", ".join(name for name, is_present in pairs if is_present) or "unknown"
        told = ", ".join(f"{name} {score:.3f}" for name, score in zip(card.class_names, scores[0], strict=True))
        print(f"{path.name}: {decided} ({told})")
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), [Path(word) for word in sys.argv[2:]]))
