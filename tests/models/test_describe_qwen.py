"""Chat models on this machine: the likeliest words, whatever else is asked in the same batch; refusals in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hf_models import WORDS, detector_folder, qwen_folder
from mekiki.errors import BackendError
from mekiki.models.describe_qwen import QwenDescriber, describer_identity
from mekiki.training.packages import import_transformers
from workspaces import scene

torch.set_num_threads(1)

PICTURES = [scene(1, 90, 60), scene(2, 24, 24), scene(3, 33, 100)]
PROMPTS = ["what is this", "name it", "what is this red car dog bus person"]
FAMILIES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
Folder = Callable[[str], Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    made: dict[str, Path] = {}

    def find(family: str) -> Path:
        if family not in made:
            made[family] = qwen_folder(tmp_path_factory.mktemp(family), family)
        return made[family]

    return find


def describer(folder: Path, max_new_tokens: int = 6) -> QwenDescriber:
    return QwenDescriber(str(folder), device="cpu", max_new_tokens=max_new_tokens)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_word_is_the_likeliest_next_one(folder: Folder, family: str) -> None:
    transformers = import_transformers()
    model = transformers.AutoModelForImageTextToText.from_pretrained(folder(family), dtype=torch.float32).eval()
    processor = transformers.AutoProcessor.from_pretrained(folder(family))
    question = "<|im_start|><|vision_start|><|image_pad|><|vision_end|>what is this<|im_end|><|im_start|>"
    asked = processor(text=[question], images=[PICTURES[0]], return_tensors="pt")
    plain = transformers.GenerationConfig(do_sample=False, max_new_tokens=6, bos_token_id=1, eos_token_id=[2, 0])
    with torch.inference_mode():
        first = int(model(**asked).logits[0, -1].argmax())
        said = model.generate(**asked, generation_config=plain, pad_token_id=0, use_cache=False)[0]
    answer = said[asked["input_ids"].shape[1] :].tolist()

    found = describer(folder(family)).describe(PICTURES[:1], PROMPTS[:1])

    assert answer[0] == first
    assert found == [processor.tokenizer.decode(answer, skip_special_tokens=True).strip()]


@pytest.mark.parametrize("family", FAMILIES)
def test_what_else_is_asked_changes_nothing(folder: Folder, family: str) -> None:
    model = describer(folder(family))

    together = model.describe(PICTURES, PROMPTS)

    assert [model.describe([one], [prompt])[0] for one, prompt in zip(PICTURES, PROMPTS, strict=True)] == together
    assert model.describe(PICTURES[::-1], PROMPTS[::-1]) == together[::-1]
    assert len(set(together)) > 1


def test_answers_hold_neither_the_question_nor_marks(folder: Folder) -> None:
    for text in describer(folder("qwen2_vl")).describe(PICTURES, PROMPTS):
        assert text == text.strip()
        assert not {"<", "|"} & set(text)
        assert len(text.split()) <= 6


def test_it_stops_where_it_is_told_to(folder: Folder) -> None:
    short, long = (describer(folder("qwen2_vl"), length).describe(PICTURES, PROMPTS) for length in (2, 6))

    assert all(b.startswith(a) for a, b in zip(short, long, strict=True))
    assert short != long


def test_no_pictures_give_no_texts(folder: Folder) -> None:
    model = describer(folder("qwen2_vl"))

    assert model.describe([], []) == []
    with pytest.raises(ValueError, match="a prompt for each picture, got 0 for 1"):
        model.describe(PICTURES[:1], [])


@pytest.mark.parametrize("hw", [(1, 1), (1, 500), (500, 1), (3, 700)])
def test_thin_and_tiny_pictures_are_described(folder: Folder, hw: tuple[int, int]) -> None:
    picture = np.full((*hw, 3), 100, np.uint8)
    picture.flags.writeable = False

    assert len(describer(folder("qwen2_vl")).describe([picture], ["what is this"])) == 1


def test_a_model_without_a_chat_template_is_asked_plainly(tmp_path: Path) -> None:
    model = describer(qwen_folder(tmp_path, chat=None))

    assert model._question("name it") == "<|vision_start|><|image_pad|><|vision_end|>name it\n"
    assert {word for text in model.describe(PICTURES, PROMPTS) for word in text.split()} <= {*WORDS, "<unk>"}


def test_identity_is_known_before_opening_and_counts_weights_template_and_length(
    folder: Folder, tmp_path: Path
) -> None:
    path = folder("qwen2_vl")
    first = describer(path).identity
    other = qwen_folder(tmp_path / "other", seed=1)
    copy = qwen_folder(tmp_path / "copy")

    assert describer_identity(str(path), 6, "cpu") == describer_identity(str(copy), 6, "cpu") == first
    (copy / "chat_template.jinja").write_text("{{ messages }}")
    changed = {describer_identity(str(one), 6, "cpu") for one in (other, copy)}
    assert len(changed | {first, describer_identity(str(path), 7, "cpu")}) == 4
    assert json.loads(first.split(maxsplit=2)[2]) == {"max_new_tokens": 6, "precision": "fp32"}


def test_models_of_other_families_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"of the family 'yolos', qwen-vl takes qwen2_5_vl, qwen2_vl"):
        describer(detector_folder(tmp_path, "yolos"))


def test_a_repository_that_cannot_be_had_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    with pytest.raises(BackendError) as raised:
        QwenDescriber("nobody/no-model")

    said = str(raised.value)
    assert "\n" not in said
    assert "HF_HUB_OFFLINE is set" in said
    assert "as qwen-vl:FOLDER; --captioner class-name" in said
