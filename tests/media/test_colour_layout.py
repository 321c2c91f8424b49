"""The weight-free descriptor: near for near pictures, finite for any, better than chance and than a thumbnail."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mekiki.media.colour_layout import N_DIMS, PREPROCESSING, SIDE_PX, describe, rgb_to_lab
from mekiki.media.images import read_image
from mekiki.media.preprocessing import seen_by
from mekiki.records import Image
from workspaces import scene

BLOCKS = {"layout": slice(0, 96), "palette": slice(96, 246), "edges": slice(246, 630), "texture": slice(630, 675)}


def picture(image: Image) -> Image:
    return seen_by(image, PREPROCESSING)


def flat(*rgb: int) -> Image:
    return np.full((SIDE_PX, SIDE_PX, 3), rgb, np.uint8)


def cosine(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def stripes(angle: float) -> Image:
    down, right = np.mgrid[:SIDE_PX, :SIDE_PX]
    wave = 127.5 + 100 * np.sin((right * np.cos(angle) + down * np.sin(angle)) / 2.5)
    return np.repeat(wave[..., None], 3, axis=2).astype(np.uint8)


def test_it_is_one_float32_vector_of_a_fixed_length_and_always_the_same() -> None:
    image = picture(scene(1))
    before = image.copy()

    first, second = describe(image), describe(image)

    assert (first.shape, first.dtype) == ((N_DIMS,), np.float32)
    assert (first == second).all()
    assert (image == before).all()


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(flat(0, 0, 0), id="black"),
        pytest.param(flat(255, 255, 255), id="white"),
        pytest.param(flat(119, 119, 119), id="middle grey"),
        pytest.param(flat(255, 0, 0), id="red"),
        pytest.param(picture(np.array([[[9, 200, 30]]], np.uint8)), id="1 x 1"),
        pytest.param(np.random.default_rng(0).integers(0, 256, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8), id="noise"),
    ],
)
def test_any_picture_has_a_finite_vector_with_a_direction(image: Image) -> None:
    vector = describe(image)

    assert np.isfinite(vector).all()
    assert np.linalg.norm(vector) > 1


def test_a_flat_picture_has_neither_edges_nor_texture() -> None:
    vector = describe(flat(40, 90, 160))

    assert (vector[BLOCKS["edges"]] == 0).all()
    assert (vector[BLOCKS["texture"]] < 1e-6).all()


def test_flat_pictures_are_told_apart_by_colour_and_alike_when_it_is_alike() -> None:
    red, nearly_red, blue = (describe(flat(*rgb)) for rgb in ((200, 30, 30), (190, 35, 40), (30, 30, 200)))

    assert cosine(red, nearly_red) > 0.98 > 0.5 > cosine(red, blue)


def test_the_palette_does_not_care_where_colours_lie_and_the_layout_does() -> None:
    top, bottom = np.concatenate([flat(200, 30, 30)[:64], flat(30, 30, 200)[:64]]), flat(200, 30, 30)
    bottom[:64] = (30, 30, 200)

    one, other = describe(top), describe(bottom)

    assert cosine(one[BLOCKS["palette"]], other[BLOCKS["palette"]]) > 0.999
    assert cosine(one[BLOCKS["layout"]], other[BLOCKS["layout"]]) < 0.5


def test_edges_say_which_way_stripes_run() -> None:
    angles = np.pi * np.arange(8) / 8
    strongest = [
        describe(stripes(angle))[BLOCKS["edges"]].reshape(3, 4, 4, 8)[0].mean(axis=(0, 1)).argmax() for angle in angles
    ]

    assert strongest == list(range(8))


def test_a_rougher_picture_has_more_texture() -> None:
    noise = np.random.default_rng(0).normal(0, 1, (SIDE_PX, SIDE_PX, 1))
    energies = [
        describe(np.clip(128 + size * noise, 0, 255).repeat(3, axis=2).astype(np.uint8))[BLOCKS["texture"]].sum()
        for size in (0, 5, 15, 45)
    ]

    assert energies == sorted(energies)
    assert energies[0] < 1e-6 < energies[1]


def test_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"image must be uint8 \(128, 128, 3\), got uint8 \(64, 96, 3\)"):
        describe(scene(1))


def test_lab_is_that_of_the_cie() -> None:
    primaries = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [0, 0, 0]]], np.uint8)
    wanted = [[53.241, 80.093, 67.203], [87.735, -86.183, 83.179], [32.297, 79.188, -107.860], [0, 0, 0]]

    np.testing.assert_allclose(rgb_to_lab(primaries)[0], wanted, atol=0.02)


def saved(image: Image, quality: int) -> Image:
    buffer = io.BytesIO()
    PillowImage.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.array(PillowImage.open(buffer))


@pytest.mark.parametrize("quality", [95, 60])
def test_jpeg_quality_changes_little(quality: int) -> None:
    images = [picture(scene(seed)) for seed in range(12)]
    vectors = np.stack([describe(image) for image in images])

    for row, image in enumerate(images):
        again = describe(saved(image, quality))
        found = [cosine(again, vector) for vector in vectors]
        assert np.argmax(found) == row
        assert found[row] > 0.97


def read_all(folder: Path) -> tuple[list[Image], NDArray[np.int64]]:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    names = [path.parent.name for path in paths]
    images = [picture(read_image(path, at_least_px=PREPROCESSING.at_least_px)) for path in paths]
    return images, np.unique(names, return_inverse=True)[1]


def probe(vectors: NDArray[np.floating], truth: NDArray[np.int64]) -> tuple[float, float]:
    """Return how often the nearest other picture is of the same class, and a linear model right, cross-validated."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    near = unit @ unit.T
    np.fill_diagonal(near, -2)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=2000))
    found = cross_val_predict(model, unit, truth, cv=StratifiedKFold(5, shuffle=True, random_state=0))
    return float((truth[near.argmax(axis=1)] == truth).mean()), float((found == truth).mean())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "at_least"),
    [
        pytest.param("wildlife/monkeys10", (0.70, 0.78), id="monkeys10"),
        pytest.param("classification/flowers5", (0.45, 0.58), id="flowers5"),
        pytest.param("classification/cats_dogs", (0.55, 0.68), id="cats_dogs"),
        pytest.param("classification/caltech101_subset", (0.85, 0.88), id="caltech101"),
    ],
)
def test_on_real_photos_it_is_better_than_chance_and_than_a_thumbnail(
    shared_data: Path, folder: str, at_least: tuple[float, float]
) -> None:
    images, truth = read_all(shared_data / folder)
    small = [np.asarray(PillowImage.fromarray(one).resize((8, 8), PillowImage.Resampling.BOX)) for one in images]

    nearest, linear = probe(np.stack([describe(image) for image in images]).astype(float), truth)
    thumbnail = probe(np.stack([one.ravel() - 127.5 for one in small]), truth)

    assert nearest > at_least[0]
    assert linear > at_least[1]
    assert nearest > thumbnail[0] + 0.05
    assert linear > thumbnail[1] + 0.1
