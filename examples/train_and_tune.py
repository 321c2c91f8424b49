"""Train a small network on labelled pictures, tune its thresholds, and say what it can do on pictures not seen.

Usage: python examples/train_and_tune.py FOLDER [WORKSPACE]

FOLDER holds pictures and a ``labels.csv`` (filepath,labels; several labels are separated by ``;``). The network is
``small-cnn``, which starts from chance: any machine can train it, and it needs no weights from anywhere. For real work
say ``arch="resnet50"`` and leave out ``pretrained=False``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mekiki
from mekiki import EvaluateSettings, IngestSettings, PredictSettings, SplitSettings, TrainSettings, TuneSettings


def main(folder: Path, workspace: Path) -> int:
    """Run the whole job and return the exit code."""
    mekiki.ingest(workspace, IngestSettings(paths=(str(folder),), labels=(folder / "labels.csv",)))
    mekiki.frames(workspace)
    mekiki.dedupe(workspace)
    try:
        mekiki.split(workspace, SplitSettings(shares={"train": 0.6, "val": 0.2, "test": 0.2}))
        trained = mekiki.train(
            workspace,
            TrainSettings(name="first", arch="small-cnn", pretrained=False, image_size=64, lr=0.003, epochs=8),
        )
        print(f"trained {trained.extra['model']}, best epoch {trained.extra['best_epoch']}")
        mekiki.predict(workspace, PredictSettings(model="first"))  # scores of all pictures, stored once
        tuned = mekiki.tune(workspace, TuneSettings(model="first", name="decided", cross_fit=3))
    except mekiki.DataError as error:  # too few pictures, for example: the message says what to do
        print(error)
        return error.exit_code
    for name, threshold in tuned.extra["thresholds"].items():
        print(f"{name} is decided at {threshold:.3f}")
    measured = mekiki.evaluate(workspace, EvaluateSettings(models=("first", "decided")))
    for model, metrics in measured.extra["metrics"].items():
        one = metrics["micro_f1"]
        doubt = "" if one["reliable"] else ", from too few groups to rely on"
        print(f"{model}: micro-F1 {one['value']:.3f}, 95 % interval {one['low']:.3f} to {one['high']:.3f}{doubt}")
    print(workspace / mekiki.report(workspace).outputs["report"])
    return 0


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) == 3 else "workspace")))
