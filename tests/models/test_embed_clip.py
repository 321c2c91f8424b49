"""open_clip's models: their own vectors of pictures and words, their own pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from embedders import SIDE_PX, batch, clip_folder, unit, vectors_of
from mekiki.errors import BackendError
from mekiki.media.preprocessing import Preprocessing
from mekiki.models.embed import EmbedderOpening, open_space, open_text_embedder, open_tower
from mekiki.training.packages import import_open_clip
from mekiki.training.vector_space import check_same_space

torch.set_num_threads(1)

TEXTS = ["a photo of a cat", "the red dog"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip_folder(tmp_path_factory.mktemp("models") / "clip")


def test_clip_gives_what_open_clip_gives_for_pictures_and_words(clip: Path) -> None:
    open_clip = import_open_clip()
    model = open_clip.create_model(f"local-dir:{clip}").eval()
    opening = EmbedderOpening(f"clip:{clip}")
    space = open_space(opening)
    with torch.inference_mode():
        pictures, words, _ = model(batch(space), open_clip.get_tokenizer(f"local-dir:{clip}")(TEXTS))

    found, said = vectors_of(opening), open_text_embedder(opening).embed_texts(TEXTS)

    np.testing.assert_allclose(unit(found) @ unit(said).T, (pictures @ words.T).numpy(), atol=1e-5)
    assert (space.embedder, space.n_dims) == (f"clip:{clip}", 16)


def test_the_pooler_of_clip_is_what_goes_into_its_projection(clip: Path) -> None:
    opening = EmbedderOpening(f"clip:{clip}", output="pooler")
    weight = torch.load(clip / "open_clip_pytorch_model.bin")["visual.proj"].numpy()

    pooled = vectors_of(opening)

    assert open_space(opening).embedder == f"clip:{clip}#pooler"
    np.testing.assert_allclose(pooled @ weight, vectors_of(EmbedderOpening(f"clip:{clip}")), atol=1e-5)
    with pytest.raises(BackendError, match="share no space with words"):
        open_text_embedder(opening)


def test_pixels_come_from_the_models_own_configuration_and_count_in_its_id(clip: Path, tmp_path: Path) -> None:
    other = clip_folder(tmp_path / "clip", resize_mode="squash", mean=[0.5, 0.5, 0.5])

    first, second = open_space(EmbedderOpening(f"clip:{clip}")), open_space(EmbedderOpening(f"clip:{other}"))

    assert first.preprocessing == Preprocessing(
        resize="short-side",
        resize_hw=(SIDE_PX, SIDE_PX),
        crop_hw=(SIDE_PX, SIDE_PX),
        interpolation="bicubic",
        mean=(0.48, 0.45, 0.4),
        std=(0.26, 0.26, 0.27),
    )
    assert second.preprocessing is not None
    assert second.preprocessing.resize == "squash"
    assert first.embedder_id != second.embedder_id


def test_a_moved_folder_keeps_its_id(clip: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    moved.symlink_to(clip)

    one, other = open_space(EmbedderOpening(f"clip:{clip}")), open_space(EmbedderOpening(f"clip:{moved}"))

    assert one.embedder_id == other.embedder_id
    check_same_space(one, other, "model 'm'")


@pytest.fixture
def tiny_openai(tmp_path: Path) -> Path:
    """A file of weights for open_clip's RN50, far too few of them."""
    path = tmp_path / "weights.pt"
    torch.save({"visual.proj": torch.zeros(2, 2)}, path)
    return path


def test_weights_of_another_network_are_refused_in_one_line(tiny_openai: Path) -> None:
    with pytest.raises(BackendError, match="does not hold clip:RN50: ") as caught:
        open_space(EmbedderOpening("clip:RN50", tiny_openai))

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "is_quick"), [("clip:ViT-B-32/openai", True), ("clip:ViT-B-32", False)])
@pytest.mark.slow
def test_a_tag_says_the_activation_whatever_the_architecture_is_called(
    tmp_path: Path, name: str, is_quick: bool
) -> None:
    open_clip = import_open_clip()
    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-32", quick_gelu=is_quick).eval()
    torch.save(model.state_dict(), tmp_path / "clip.pt")
    opening = EmbedderOpening(name, tmp_path / "clip.pt")
    tower = open_tower(opening)
    pictures = batch(tower.space)

    with torch.inference_mode():
        np.testing.assert_allclose(tower.network()(pictures).numpy(), model.encode_image(pictures).numpy(), atol=1e-5)
    assert tower.space.embedder == name
    other = EmbedderOpening("clip:ViT-B-32" if is_quick else "clip:ViT-B-32/openai", opening.weights)
    assert open_space(other).embedder_id != tower.space.embedder_id


def test_a_file_that_is_a_program_is_not_run(tmp_path: Path) -> None:
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "RN50.pt"))

    with pytest.raises(BackendError, match=r"is a program \(TorchScript\).* with clip:RN50/openai and without"):
        open_space(EmbedderOpening("clip:RN50", tmp_path / "RN50.pt"))


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "[]", "{", "{}", '{"model_cfg": 5}', '{"model_cfg": {"vision_cfg": {}, "text_cfg": []}}']
)
def test_a_configuration_that_makes_no_sense_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "open_clip_config.json").write_text(text)

    with pytest.raises(BackendError, match=r"open_clip_config\.json is no configuration of open_clip's") as caught:
        open_space(EmbedderOpening(f"clip:{tmp_path}"))

    assert "\n" not in str(caught.value)
