"""timm's models: pooled features, whatever their classifier."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from embedders import batch, timm_weights, vectors_of
from mekiki.errors import BackendError
from mekiki.models.embed import EmbedderOpening, open_space
from mekiki.training.packages import import_timm

torch.set_num_threads(1)


def test_timm_gives_its_pooled_features_whatever_the_classifier(tmp_path: Path) -> None:
    weights = timm_weights(tmp_path / "vit.pth")
    model = import_timm().create_model("test_vit", num_classes=10)
    model.load_state_dict(torch.load(weights))
    model.reset_classifier(0)
    opening = EmbedderOpening("timm:test_vit", weights)
    space = open_space(opening)

    with torch.inference_mode():
        np.testing.assert_allclose(vectors_of(opening), model.eval()(batch(space)).numpy(), atol=1e-5)
    assert space.embedder == "timm:test_vit"


def test_weights_of_another_timm_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"vit.pth does not fit timm:resnet18: \d+ missing"):
        open_space(EmbedderOpening("timm:resnet18", timm_weights(tmp_path / "vit.pth")))
