"""Pictures in words by a chat model on this machine: Qwen2-VL, Qwen2.5-VL, Qwen3-VL through transformers.

N is the number of pictures, T that of tokens.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mekiki.errors import BackendError
from mekiki.models.classify_torch import torch_device
from mekiki.models.detect import hash_weights
from mekiki.models.hf_files import EXTRA, FROM_DISK, HfName, find_folder, load_model, loading, parts_of, read_config
from mekiki.records import Image
from mekiki.training.packages import import_torch, import_transformers

if TYPE_CHECKING:
    from torch import Tensor

KIND = "qwen-vl"
FAMILIES = frozenset({"qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe"})
MAX_NEW_TOKENS = 150
OTHERWISE = "--captioner class-name, which needs none"
MAX_ASPECT = 150
"""Sides of a picture may differ by this factor; the models' own processors refuse 200."""


def precision_on(device: str) -> str:
    """Return in what arithmetic a model runs: ``fp32`` on a CPU, ``bf16`` on anything else."""
    return "fp32" if torch_device(device) == "cpu" else "bf16"


def describer_identity(what: str, max_new_tokens: int = MAX_NEW_TOKENS, device: str = "auto") -> str:
    """Return all that decides a describer's texts, without loading its network: what `QwenDescriber.identity` says.

    Raises:
        BackendError: If the model cannot be had, or the device is missing.
    """
    asked = HfName(f"{KIND}:{what}", OTHERWISE)
    files = hash_weights(parts_of(find_folder(asked)), asked.name)
    return f"{KIND} {files} {json.dumps({'max_new_tokens': max_new_tokens, 'precision': precision_on(device)})}"


class QwenDescriber:
    """``qwen-vl:OWNER/NAME`` or ``qwen-vl:FOLDER``; see `mekiki.models.captioners.Describer`.

    Each answer is the likeliest next token, again and again: no chance, and no penalty for what was said before, which
    would count what fills up shorter questions of a batch.

    Args:
        what: ``OWNER/NAME`` of a repository, or a folder.
        device: As `torch_device` takes it.
        max_new_tokens: After so many an answer is cut off; at least 1.

    Raises:
        BackendError: If the model cannot be had, is of another family, or the device is missing.
    """

    def __init__(self, what: str, device: str = "auto", max_new_tokens: int = MAX_NEW_TOKENS) -> None:
        if max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be 1 or more, got {max_new_tokens}")
        transformers, torch = import_transformers(EXTRA), import_torch()
        self.name = f"{KIND}:{what}"
        self._on, precision = torch_device(device), precision_on(device)
        self.device = f"{self._on} ({precision})"
        folder = find_folder(HfName(self.name, OTHERWISE))
        config = read_config(folder, self.name)
        if config.model_type not in FAMILIES:
            raise BackendError(
                f"{self.name} is a model of the family {config.model_type!r}, {KIND} takes "
                f"{', '.join(sorted(FAMILIES))}. Type --captioner {KIND}:Qwen/Qwen2-VL-2B-Instruct"
            )
        dtype = torch.float32 if precision == "fp32" else torch.bfloat16
        model = load_model(transformers.AutoModelForImageTextToText, folder, config, self.name, dtype)
        with loading(self.name, "processor"):
            self._processor = transformers.AutoProcessor.from_pretrained(folder, **FROM_DISK)
        self._processor.tokenizer.padding_side = "left"  # so that every answer begins where its question ends
        self._model = model.to(self._on).requires_grad_(False)
        self._max_new_tokens = max_new_tokens
        self.identity = describer_identity(what, max_new_tokens, device)

    def describe(self, images: Sequence[Image], prompts: Sequence[str]) -> list[str]:
        """Return one text per picture, in the same order, without spaces around it; no pictures give none.

        Raises:
            ValueError: If there are not as many prompts as pictures.
        """
        if len(images) != len(prompts):
            raise ValueError(f"there must be a prompt for each picture, got {len(prompts)} for {len(images)}")
        if not images:
            return []
        torch = import_torch()
        asked = self._processor(
            text=[self._question(prompt) for prompt in prompts],
            images=[_wide_enough(image) for image in images],
            padding=True,
            return_tensors="pt",
        ).to(self._on)
        with torch.inference_mode():
            given: Tensor = self._model.generate(
                **asked,
                generation_config=self._greedy(),
                pad_token_id=self._processor.tokenizer.pad_token_id,
            )
        answers = given[:, asked["input_ids"].shape[1] :]
        texts = self._processor.batch_decode(answers, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return [text.strip() for text in texts]

    def _greedy(self) -> Any:
        """Return the model's own marks of an end, and nothing else of how it is usually asked."""
        own = self._model.generation_config
        return import_transformers(EXTRA).GenerationConfig(
            do_sample=False,
            max_new_tokens=self._max_new_tokens,
            bos_token_id=own.bos_token_id,
            eos_token_id=own.eos_token_id,
        )

    def _question(self, prompt: str) -> str:
        """Return a picture and a prompt as the model was trained to be asked."""
        if self._processor.chat_template:
            content = [{"type": "image"}, {"type": "text", "text": prompt}]
            said: str = self._processor.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
            )
            return said
        config, words = self._model.config, self._processor.tokenizer
        begin, end = words.convert_ids_to_tokens([config.vision_start_token_id, config.vision_end_token_id])
        return f"{begin}{self._processor.image_token}{end}{prompt}\n"


def _wide_enough(image: Image) -> Image:
    """Return a picture that no processor refuses as too thin: what is thinner is repeated across."""
    height, width = image.shape[:2]
    shape = (-(-height // (width * MAX_ASPECT)), -(-width // (height * MAX_ASPECT)))
    across, down = max(shape[0], 1), max(shape[1], 1)
    thick = np.repeat(np.repeat(image, down, axis=0), across, axis=1) if max(across, down) > 1 else image
    return thick if thick.flags.writeable else thick.copy()
