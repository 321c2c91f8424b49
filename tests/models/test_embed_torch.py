"""Models that were trained here as embedders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from classifiers import make_ensemble, make_model
from embedders import own_model, timm_weights, vectors_of
from mekiki.errors import BackendError, UsageError
from mekiki.models.embed import EmbedderOpening, open_space
from mekiki.training.weights import read_weights

torch.set_num_threads(1)


def test_a_model_of_ours_gives_what_goes_into_its_head(tmp_path: Path) -> None:
    path = own_model(tmp_path)
    opening = EmbedderOpening(f"torch:{path}")
    tensors = read_weights(path).tensors
    head = next(name for name in tensors if tuple(tensors[name].shape)[:1] == (2,) and tensors[name].ndim == 2)

    features, logits = vectors_of(opening), vectors_of(replace(opening, output="projected"))

    wanted = features @ tensors[head].numpy().T + tensors[head.replace("weight", "bias")].numpy()
    np.testing.assert_allclose(logits, wanted, atol=1e-5)
    named = EmbedderOpening("torch:mine", path)
    assert open_space(named).embedder_id == open_space(opening).embedder_id
    assert open_space(named).embedder == "torch:mine"


def test_an_ensemble_and_a_foreign_file_are_no_embedders(tmp_path: Path) -> None:
    first, second = make_model(tmp_path), make_model(tmp_path, seed=1)
    ensemble = make_ensemble(tmp_path, [first, second], [1, 1]).path

    with pytest.raises(UsageError, match="is an ensemble: an embedder is one network"):
        open_space(EmbedderOpening(f"torch:{ensemble}"))
    with pytest.raises(BackendError, match="is no model of mekiki's"):
        open_space(EmbedderOpening(f"torch:{timm_weights(tmp_path / 'vit.pth')}"))
