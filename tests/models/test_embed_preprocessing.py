"""Pictures are prepared as each library's own transform prepares them, from the same decoded pixels.

Stated: against open_clip, timm and the Pillow processors of transformers, 1e-6 of normalised values. The torchvision
processors of transformers resize with other rounding, by at most 1 of 255 on photos that are made smaller, 2 on
those that are made larger and cropped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from mekiki.errors import BackendError
from mekiki.media.images import read_image
from mekiki.media.preprocessing import Preprocessing, prepare, seen_by
from mekiki.models.embed import EmbedderOpening
from mekiki.models.embed_clip import clip_preprocessing
from mekiki.models.embed_hf import hf_preprocessing
from mekiki.models.embed_timm import timm_preprocessing
from mekiki.records import Image
from mekiki.training.packages import import_open_clip, import_timm, import_transformers
from workspaces import scene

torch.set_num_threads(1)

Case = tuple[Preprocessing, Callable[[Image], np.ndarray]]

EXACT = 1e-6
SQUARE = {"height": 224, "width": 224}
FOLDERS = ("classification/cats_dogs", "classification/hymenoptera", "street/coco_mini", "wildlife/lila_mix")
PROCESSORS: dict[str, tuple[str, dict[str, Any]]] = {
    "CLIP": ("CLIP", {}),
    "CLIP, other sizes": ("CLIP", {"size": {"shortest_edge": 251}, "crop_size": SQUARE}),
    "SigLIP": ("Siglip", {"size": SQUARE}),
    "DINOv2": ("Bit", {"size": {"shortest_edge": 256}, "crop_size": SQUARE, "resample": 3}),
    "ViT": ("ViT", {"size": SQUARE}),
    "DeiT": ("DeiT", {}),
    "not normalised": ("CLIP", {"do_normalize": False, "resample": 2}),
}
TIMM = ("resnet18", "vit_base_patch32_clip_224", "deit_tiny_patch16_224", "vit_small_patch14_dinov2", "test_vit")
OPEN_CLIP = ({"size": 224}, {"size": 225, "interpolation": "bilinear"}, {"size": (256, 192), "resize_mode": "squash"})


def open_clip_case(pixels: dict[str, Any]) -> Case:
    import_open_clip()
    from open_clip.transform import PreprocessCfg, image_transform_v2

    said = PreprocessCfg(**pixels)
    transform = image_transform_v2(said, is_train=False)
    return (clip_preprocessing("clip:x", asdict(said)), lambda image: transform(PillowImage.fromarray(image)).numpy())


def hf_case(name: str, backend: str = "pil") -> Case:
    import_transformers()

    kind, settings = PROCESSORS[name]
    processor = hf_processor(kind, backend)(**settings)
    return (
        hf_preprocessing("hf:x", processor.to_dict()),
        lambda image: np.asarray(processor(images=PillowImage.fromarray(image), return_tensors="np").pixel_values[0]),
    )


def hf_processor(kind: str, backend: str) -> Any:
    if backend == "torchvision":
        return getattr(import_transformers(), f"{kind}ImageProcessor")
    from importlib import import_module

    module = import_module(f"transformers.models.{kind.lower()}.image_processing_pil_{kind.lower()}")
    return getattr(module, f"{kind}ImageProcessorPil")


def timm_case(name: str) -> Case:
    timm = import_timm()
    said = timm.data.resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(name).to_dict())
    transform = timm.data.create_transform(**said, is_training=False)
    return timm_preprocessing(f"timm:{name}", said), lambda image: transform(PillowImage.fromarray(image)).numpy()


CASES = [
    *(pytest.param(lambda one=one: open_clip_case(one), id=f"open_clip {one}") for one in OPEN_CLIP),
    *(pytest.param(lambda one=one: hf_case(one), id=f"transformers {one}") for one in PROCESSORS),
    *(pytest.param(lambda one=one: timm_case(one), id=f"timm {one}") for one in TIMM),
]


def made_pictures() -> list[Image]:
    """Return pictures whose sides differ by even and odd numbers, larger and smaller than what networks see."""
    rough = np.random.default_rng(0).integers(0, 256, (301, 402, 3), dtype=np.uint8)
    return [rough, scene(1, 521, 333), scene(2, 97, 411), rough[:226, :225], scene(3, 31, 32)]


def real_photos(folder: Path) -> list[Image]:
    found = [
        sorted(path for path in (folder / name).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        for name in FOLDERS
    ]
    paths = [group[:: max(1, len(group) // 6)][:6] for group in found]
    photos = [read_image(path) for group in paths for path in group]
    odd = [photo[: len(photo) - 1 - row % 3, : photo.shape[1] - row % 4] for row, photo in enumerate(photos)]
    assert len(photos) > 20
    return [*photos, *odd]


def difference(case: Case, images: list[Image]) -> float:
    how, theirs = case
    return max(float(abs(prepare(image, how) - theirs(image)).max()) for image in images)


@pytest.mark.parametrize("make", CASES)
def test_equals_the_librarys_own_transform(make: Callable[[], Case]) -> None:
    assert difference(make(), made_pictures()) < EXACT


@pytest.mark.slow
def test_equals_the_librarys_own_transform_on_real_photos(shared_data: Path) -> None:
    photos = real_photos(shared_data)

    assert {str(case.id): difference(case.values[0](), photos) < EXACT for case in CASES} == {
        str(case.id): True for case in CASES
    }


@pytest.mark.parametrize("name", ["CLIP", "SigLIP", "DINOv2", "ViT"])
def test_the_torchvision_processors_of_transformers_differ_by_rounding_alone(name: str) -> None:
    how, theirs = hf_case(name, "torchvision")
    large = [scene(seed, 521 + seed, 640 - 3 * seed) for seed in range(4)]

    apart = [abs(prepare(image, how) - theirs(image)) * np.array(how.std)[:, None, None] * 255 for image in large]

    assert max(one.max() for one in apart) < 2.01
    assert np.mean([one.mean() for one in apart]) < 0.05


def test_transformers_rounds_the_crop_down_and_open_clip_to_even() -> None:
    rough = np.random.default_rng(0).integers(0, 256, (224, 227, 3), dtype=np.uint8)  # 1.5 px on either side

    (down, _), (even, _) = hf_case("CLIP"), open_clip_case({"size": 224})

    assert (seen_by(rough, down) == rough[:, 1:225]).all()
    assert (seen_by(rough, even) == rough[:, 2:226]).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"do_resize": False}, "do_resize is false"),
        ({"do_rescale": False}, "do_rescale is false"),
        ({"do_pad": True}, "do_pad is true"),
        ({"rescale_factor": 1 / 127.5}, "rescale_factor is 0.0078"),
        ({"resample": 5}, "resample is 5"),
        ({"size": {"longest_edge": 224}}, "size is {'longest_edge': 224}"),
        ({"do_center_crop": False}, "pictures keep their shape and are not cropped"),
        ({"crop_size": {"height": 300, "width": 300}}, "must not exceed what resizing gives"),
    ],
)
def test_what_ours_cannot_do_is_refused_by_name(changes: dict[str, object], message: str) -> None:
    said = {**hf_processor("CLIP", "pil")().to_dict(), **changes}

    with pytest.raises(BackendError, match="hf:x prepares its pictures in a way that mekiki cannot: ") as caught:
        hf_preprocessing("hf:x", said)

    assert message in str(caught.value)


def test_margins_are_refused_by_name() -> None:
    with pytest.raises(BackendError, match="clip:x wants pictures resized by their longest side"):
        open_clip_case({"size": 224, "resize_mode": "longest"})
    said = {"input_size": (3, 224, 224), "crop_pct": 0.9, "mean": (0.5,) * 3, "std": (0.5,) * 3}
    for changes in ({"crop_mode": "border", "interpolation": "bicubic"}, {"interpolation": "random"}):
        with pytest.raises(BackendError, match="timm:x prepares its pictures in a way that mekiki cannot: crop mode"):
            timm_preprocessing("timm:x", {**said, **changes})
    squashed = timm_preprocessing("timm:x", {**said, "crop_mode": "squash", "interpolation": "bicubic"})
    assert (squashed.resize, squashed.resize_hw) == ("squash", (248, 248))


def test_facts_of_the_user_make_a_preprocessing() -> None:
    usual = EmbedderOpening("python:x.py:Y").stated_preprocessing()
    own = EmbedderOpening(
        "python:x.py:Y", image_size=32, resize="short-side", resize_px=40, interpolation="bicubic", mean=(0, 0, 0)
    ).stated_preprocessing()

    assert usual == Preprocessing(resize_hw=(224, 224), crop_hw=(224, 224))
    assert own == Preprocessing(
        resize="short-side", resize_hw=(40, 40), crop_hw=(32, 32), interpolation="bicubic", mean=(0, 0, 0)
    )
