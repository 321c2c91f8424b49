"""Models of transformers: their own vectors of pictures and words, and refusals in one line."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from embedders import batch, hf_folder, unit, vectors_of
from mekiki.errors import BackendError, UsageError
from mekiki.models.embed import EmbedderOpening, open_embedder, open_space, open_text_embedder
from mekiki.training.packages import import_transformers

torch.set_num_threads(1)

TEXTS = ["a photo of a cat", "the red dog"]


@pytest.fixture(scope="module")
def hf(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("hf")
    return {kind: hf_folder(folder / kind, kind) for kind in ("clip", "siglip", "dinov2")}


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_transformers_models_give_their_own_cosines(hf: dict[str, Path], kind: str) -> None:
    transformers = import_transformers()
    model = transformers.AutoModel.from_pretrained(hf[kind]).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(hf[kind])(
        TEXTS, padding="max_length" if kind == "siglip" else True, max_length=10, return_tensors="pt"
    )
    opening = EmbedderOpening(f"hf:{hf[kind]}")
    with torch.inference_mode():
        theirs = model(
            pixel_values=batch(open_space(opening)),
            input_ids=tokens["input_ids"],
            **({} if kind == "siglip" else {"attention_mask": tokens["attention_mask"]}),
        )

    found, said = vectors_of(opening), open_text_embedder(opening).embed_texts(TEXTS)

    cosines = (theirs.image_embeds @ theirs.text_embeds.T).numpy()
    np.testing.assert_allclose(unit(found) @ unit(said).T, cosines, atol=1e-5)


def test_a_model_that_is_traced_says_nothing_of_losses(hf: dict[str, Path], caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("openvino")
    log = logging.getLogger("transformers.modeling_utils")
    log.warning_once.cache_clear()  # type: ignore[attr-defined]

    open_embedder(EmbedderOpening(f"hf:{hf['clip']}", runtime="openvino", device="cpu"))
    log.warning("anything else")

    assert [one.getMessage() for one in caplog.records if one.name == log.name] == ["anything else"]


@pytest.mark.parametrize("kind", ["clip", "siglip", "dinov2"])
def test_the_pooler_of_transformers_comes_before_the_projection(hf: dict[str, Path], kind: str) -> None:
    model = import_transformers().AutoModel.from_pretrained(hf[kind]).eval()
    opening = EmbedderOpening(f"hf:{hf[kind]}#pooler")
    space = open_space(opening)
    with torch.inference_mode():
        theirs = getattr(model, "vision_model", model)(pixel_values=batch(space)).pooler_output

    np.testing.assert_allclose(vectors_of(opening), theirs.numpy(), atol=1e-5)
    assert space.n_dims == 24
    assert space.embedder == f"hf:{hf[kind]}" + ("" if kind == "dinov2" else "#pooler")


def test_dinov2_has_no_projection_and_no_words(hf: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match=r"has no output 'projected', only pooler. Type: --output pooler"):
        open_space(EmbedderOpening(f"hf:{hf['dinov2']}", output="projected"))
    with pytest.raises(BackendError, match="has no text side"):
        open_text_embedder(EmbedderOpening(f"hf:{hf['dinov2']}"))


def test_two_names_for_the_output_must_agree(hf: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="asks for the output pooler, and output for projected: say it once"):
        open_space(EmbedderOpening(f"hf:{hf['clip']}#pooler", output="projected"))


def test_a_checkpoint_that_lacks_tensors_is_refused_and_not_filled_with_chance(
    hf: dict[str, Path], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    folder = hf_folder(tmp_path / "hf")
    tensors = load_file(folder / "model.safetensors")
    left = {name: tensor for name, tensor in tensors.items() if name != "visual_projection.weight"}
    save_file(left, folder / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(BackendError, match=r"lacks 1 of its model's tensors, such as visual_projection.weight"):
        open_space(EmbedderOpening(f"hf:{folder}"))


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", "{}", "transformers cannot load its model"),
        ("model.safetensors", "nonsense", "transformers cannot load its model"),
        ("preprocessor_config.json", '{"image_processor_type": "ConvNextImageProcessor"}', "which mekiki cannot do"),
        ("preprocessor_config.json", None, "transformers cannot load its image processor"),
    ],
)
def test_a_damaged_folder_is_refused_in_one_line(tmp_path: Path, file: str, content: str | None, message: str) -> None:
    folder = hf_folder(tmp_path / "hf")
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(content)

    with pytest.raises(BackendError, match=message) as caught:
        open_space(EmbedderOpening(f"hf:{folder}"))

    assert "\n" not in str(caught.value)


def test_a_pickle_in_a_folder_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "run"),)

    folder = hf_folder(tmp_path / "hf")
    (folder / "model.safetensors").unlink()
    torch.save({"a": Evil()}, folder / "pytorch_model.bin")

    with pytest.raises(BackendError, match=r"more than tensors.*nothing was run.*model\.safetensors in it$"):
        open_space(EmbedderOpening(f"hf:{folder}"))

    assert not (tmp_path / "run").exists()


def test_a_program_that_comes_with_a_model_is_not_run(tmp_path: Path) -> None:
    folder = hf_folder(tmp_path / "hf")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "code.Config", "AutoModel": "code.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")

    with pytest.raises(BackendError, match="transformers cannot load its model"):
        open_space(EmbedderOpening(f"hf:{folder}"))

    assert not (tmp_path / "ran").exists()
