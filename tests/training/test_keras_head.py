"""Keras files: the numbers of Keras' own formulas, whatever stands where, and nothing is run."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
h5py = pytest.importorskip("h5py")
from head_files import keras_layer, write_keras  # noqa: E402
from mekiki.errors import UnreadableError, UsageError  # noqa: E402
from mekiki.training import keras_file  # noqa: E402
from mekiki.training.checkpoint import load_network  # noqa: E402
from mekiki.training.foreign import read_foreign  # noqa: E402

torch.set_num_threads(1)
N_DIMS, WIDTH = 256, 256


def norm(chance: np.random.Generator, width: int) -> list[np.ndarray]:
    """Gamma, beta, mean, variance; variances as small as those of unit vectors."""
    small = chance.uniform(0.0011, 0.0039, width)
    return [
        array.astype(np.float32)
        for array in (
            chance.uniform(0.5, 1.5, width),
            chance.normal(0, 0.2, width),
            chance.normal(0, 0.05, width),
            small,
        )
    ]


def dense(chance: np.random.Generator, n_in: int, n_out: int) -> list[np.ndarray]:
    return [(chance.normal(size=(n_in, n_out)) / n_in**0.5).astype(np.float32), np.zeros(n_out, np.float32) + 0.1]


def seed5(path: Path, **changes: Any) -> tuple[Path, dict[str, list[np.ndarray]]]:
    """Write a file as seed 5 does: BatchNormalization, Dense tanh, Dropout, Dense sigmoid."""
    chance = np.random.default_rng(5)
    arrays = {
        "batch_normalization": norm(chance, N_DIMS),
        "dense": dense(chance, N_DIMS, WIDTH),
        "dense_1": dense(chance, WIDTH, 1),
    }
    arrays["dense_1"][0] *= 3
    layers = [
        keras_layer("InputLayer", "input_layer", batch_shape=[None, N_DIMS]),
        keras_layer("BatchNormalization", "bn", **{"axis": -1, "epsilon": 0.001, "momentum": 0.99, **changes}),
        keras_layer("Dense", "hidden", units=WIDTH, activation="tanh"),
        keras_layer("Dropout", "dropout", rate=0.5),
        keras_layer("Dense", "out", units=1, activation="sigmoid"),
    ]
    return write_keras(path, layers, arrays), arrays


def reference(arrays: dict[str, list[np.ndarray]], vectors: np.ndarray, epsilon: float) -> np.ndarray:
    gamma, beta, mean, variance = (one.astype(np.float64) for one in arrays["batch_normalization"])
    numbers = (vectors - mean) / np.sqrt(variance + epsilon) * gamma + beta
    numbers = np.tanh(numbers @ arrays["dense"][0].astype(np.float64) + arrays["dense"][1])
    return 1 / (1 + np.exp(-(numbers @ arrays["dense_1"][0].astype(np.float64) + arrays["dense_1"][1])))


def unit_vectors(n: int = 50) -> np.ndarray:
    vectors = np.random.default_rng(0).normal(size=(n, N_DIMS))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def scores_of(path: Path, vectors: np.ndarray, **given: Any) -> np.ndarray:
    card, tensors = read_foreign(path, **given)
    with torch.inference_mode():
        logits = load_network(card, tensors, allow_code=False)(torch.from_numpy(vectors.astype(np.float32)))
        scores = logits.sigmoid() if card.activation == "sigmoid" else logits.softmax(dim=1)
    return scores.numpy()


def test_it_gives_what_keras_gives_with_keras_epsilon_and_no_other(tmp_path: Path) -> None:
    path, arrays = seed5(tmp_path / "classifier.keras")
    vectors = np.concatenate([unit_vectors(), np.zeros((1, N_DIMS)), np.full((1, N_DIMS), 1 / 16)]).astype(np.float32)

    found = scores_of(path, vectors)

    assert np.abs(found - reference(arrays, vectors, 1e-3)).max() < 1e-6
    assert np.abs(found - reference(arrays, vectors, 1e-5)).max() > 1e-2
    assert found.std() > 0.1


def test_epsilon_is_that_of_the_file(tmp_path: Path) -> None:
    path, arrays = seed5(tmp_path / "classifier.keras", epsilon=1e-5)

    assert np.abs(scores_of(path, unit_vectors()) - reference(arrays, unit_vectors(), 1e-5)).max() < 2e-6


def test_its_card_says_what_it_is(tmp_path: Path) -> None:
    card, _ = read_foreign(seed5(tmp_path / "classifier.keras")[0])

    assert (card.name, card.arch, card.class_names, card.activation) == (
        "classifier",
        "head:mlp",
        ("unsafe",),
        "sigmoid",
    )
    assert card.vectors is not None
    assert card.vectors.n_dims == N_DIMS
    assert not card.vectors.is_normalised  # Keras takes vectors as they are


def test_groups_are_numbered_in_the_order_of_layers_or_named_as_layers_are(tmp_path: Path) -> None:
    """Three layers of equal shape, so that only the order tells them apart; their names are in another."""
    chance = np.random.default_rng(1)
    first, second, third = (dense(chance, 4, 4) for _ in range(3))
    names = ("dense_2", "dense", "dense_1")
    layers = [
        keras_layer("Dense", name, units=4, activation=activation)
        for name, activation in zip(names, ("relu", "relu", "softmax"), strict=True)
    ]
    counted = write_keras(tmp_path / "a.keras", layers, {"dense": first, "dense_1": second, "dense_2": third})
    own = [
        keras_layer("Dense", name, units=4, activation=a)
        for name, a in zip("xyz", ("relu", "relu", "softmax"), strict=True)
    ]
    named = write_keras(tmp_path / "b.keras", own, {"x": first, "y": second, "z": third})
    vectors = np.random.default_rng(2).normal(size=(5, 4))

    expected = vectors
    for kernel, bias in (first, second):
        expected = np.maximum(expected @ kernel + bias, 0)
    expected = np.exp(expected @ third[0] + third[1])
    expected /= expected.sum(axis=1, keepdims=True)

    for path in (counted, named):
        found = scores_of(path, vectors, class_names=["a", "b", "c", "d"])
        assert np.abs(found - expected).max() < 1e-6


def gelu(numbers: np.ndarray) -> np.ndarray:
    return torch.nn.functional.gelu(torch.from_numpy(numbers)).numpy()


def test_layers_that_scale_may_stand_anywhere_that_they_can_be_taken_from(tmp_path: Path) -> None:
    """Two in a row, one between Dense and its activation, without scale, without centre, without bias, at the end."""
    chance = np.random.default_rng(3)
    first, second, third, last = (norm(chance, width) for width in (6, 6, 5, 1))
    last[3] += 4
    hidden, out = dense(chance, 6, 5)[:1], dense(chance, 5, 1)
    layers = [
        keras_layer("BatchNormalization", "a", axis=[1], epsilon=0.01, scale=False),
        keras_layer("BatchNormalization", "b", epsilon=0.001, center=False),
        keras_layer("Dense", "c", units=5, use_bias=False, activation="linear"),
        keras_layer("BatchNormalization", "d", epsilon=0.002),
        keras_layer("Activation", "e", activation="gelu"),
        keras_layer("Dense", "f", units=1),
        keras_layer("BatchNormalization", "g"),
        keras_layer("Activation", "h", activation="sigmoid"),
    ]
    arrays = {
        "batch_normalization": first[1:],
        "batch_normalization_1": [second[0], *second[2:]],
        "dense": hidden,
        "batch_normalization_2": third,
        "dense_1": out,
        "batch_normalization_3": last,
    }
    vectors = np.random.default_rng(4).normal(size=(9, 6)) / 5

    found = scores_of(write_keras(tmp_path / "x.keras", layers, arrays), vectors)

    numbers = (vectors - first[2]) / np.sqrt(first[3] + 0.01) + first[1]
    numbers = (numbers - second[2]) / np.sqrt(second[3] + 0.001) * second[0]
    numbers = ((numbers @ hidden[0]) - third[2]) / np.sqrt(third[3] + 0.002) * third[0] + third[1]
    numbers = gelu(numbers) @ out[0] + out[1]
    numbers = (numbers - last[2]) / np.sqrt(last[3] + 1e-3) * last[0] + last[1]
    assert np.abs(found - 1 / (1 + np.exp(-numbers))).max() < 1e-5


def small(path: Path, *layers: dict[str, Any], **arrays: list[np.ndarray]) -> Path:
    usual = {"dense": dense(np.random.default_rng(0), 4, 1)}
    own = layers or (keras_layer("Dense", "d", units=1, activation="sigmoid"),)
    return write_keras(path, own, {**usual, **arrays})


DENSE = keras_layer("Dense", "d", units=1, activation="sigmoid")


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        pytest.param([keras_layer("Lambda", "l", function="print(1)"), DENSE], "a layer 'Lambda'", id="code"),
        pytest.param([keras_layer("Conv2D", "c"), DENSE], "a layer 'Conv2D'", id="another layer"),
        pytest.param(
            [{**DENSE, "module": "builtins", "registered_name": "Mine>Dense"}],
            "a layer 'Dense' of 'builtins', not of Keras",
            id="a dense of one's own",
        ),
        pytest.param(
            [keras_layer("Dense", "d", units=1, activation={"class_name": "function", "config": "evil"})],
            "an activation 'evil' of its own",
            id="an activation of one's own",
        ),
        pytest.param(
            [keras_layer("Dense", "d", units=1, activation="swish")], "goes through swish", id="another activation"
        ),
        pytest.param([keras_layer("Dropout", "d")], "no Dense layer", id="no layer with weights"),
        pytest.param([], "no Dense layer", id="no layer at all"),
        pytest.param(
            [
                keras_layer("Dense", "d", units=1, activation="sigmoid"),
                keras_layer("Activation", "a", activation="tanh"),
            ],
            "does not come behind a Dense layer without one",
            id="two activations",
        ),
    ],
)
def test_what_is_not_known_is_refused_by_name_and_nothing_is_run(
    tmp_path: Path, layers: list[dict[str, Any]], words: str
) -> None:
    path = write_keras(tmp_path / "x.keras", layers, {"dense": dense(np.random.default_rng(0), 4, 1)})

    with pytest.raises(UnreadableError, match=words):
        read_foreign(path)


def test_a_normalisation_behind_an_activation_and_before_nothing_is_refused(tmp_path: Path) -> None:
    layers = [DENSE, keras_layer("BatchNormalization", "b")]
    path = small(tmp_path / "x.keras", *layers, batch_normalization=norm(np.random.default_rng(0), 1))

    with pytest.raises(UnreadableError, match="stands between an activation and its output"):
        read_foreign(path)


def test_a_normalisation_along_another_axis_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="along axis 2"):
        read_foreign(seed5(tmp_path / "x.keras", axis=2)[0])


def test_other_hidden_activations_side_by_side_are_refused(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    layers = [
        keras_layer("Dense", "a", units=4, activation="tanh"),
        keras_layer("Dense", "b", units=4, activation="relu"),
        keras_layer("Dense", "c", units=1, activation="sigmoid"),
    ]
    arrays = {"dense": dense(chance, 4, 4), "dense_1": dense(chance, 4, 4), "dense_2": dense(chance, 4, 1)}

    with pytest.raises(UnreadableError, match="relu and tanh between layers"):
        read_foreign(write_keras(tmp_path / "x.keras", layers, arrays))


def test_a_linear_output_has_to_be_told_what_it_is(tmp_path: Path) -> None:
    path = small(tmp_path / "x.keras", keras_layer("Dense", "d", units=1))

    with pytest.raises(UsageError, match="--activation sigmoid"):
        read_foreign(path)
    assert read_foreign(path, activation="sigmoid", class_names=["x"])[0].activation == "sigmoid"


def test_a_model_that_is_not_sequential_is_refused(tmp_path: Path) -> None:
    path = write_keras(tmp_path / "x.keras", [DENSE], {}, class_name="Functional")

    with pytest.raises(UnreadableError, match="a Functional model; known are Sequential"):
        read_foreign(path)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        pytest.param({}, "lacks those of its layers: dense", id="none"),
        pytest.param({"dense": [np.ones((4, 1), np.float32)]}, "lacks layers/dense/vars/1", id="one"),
        pytest.param({"dense": [np.ones((4, 1), np.float32)] * 3}, "more weights than a Dense", id="three"),
        pytest.param({"dense": [np.ones((4, 1), np.float32), np.ones(2, np.float32)]}, "a Dense layer has", id="shape"),
        pytest.param(
            {"dense": [np.ones((4, 1), np.int32), np.ones(1, np.float32)]}, "no plain array", id="whole numbers"
        ),
        pytest.param({"dense": [np.full((4, 1), np.nan), np.ones(1)]}, "no numbers", id="no numbers"),
    ],
)
def test_weights_that_are_not_those_of_the_layers_are_refused(
    tmp_path: Path, arrays: dict[str, list[np.ndarray]], words: str
) -> None:
    with pytest.raises(UnreadableError, match=words):
        read_foreign(write_keras(tmp_path / "x.keras", [DENSE], arrays))


def with_weights(path: Path, weights: bytes, config: bytes | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        plain = {"class_name": "Sequential", "config": {"layers": [DENSE]}}
        archive.writestr("config.json", json.dumps(plain) if config is None else config)
        archive.writestr("model.weights.h5", weights)
    return path


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", "no Keras file", id="empty"),
        pytest.param(b"PK\x03\x04" + b"\0" * 50, "no Keras file", id="the beginning of a zip"),
        pytest.param(b"\x89HDF\r\n\x1a\n" + b"\0" * 50, "no Keras file", id="the old layout"),
    ],
)
def test_what_is_no_zip_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "x.keras").write_bytes(content)

    with pytest.raises(UnreadableError, match=words):
        read_foreign(tmp_path / "x.keras")


def test_damaged_insides_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=r"model\.weights\.h5 in it cannot be read"):
        read_foreign(with_weights(tmp_path / "a.keras", b"no hdf5"))
    with pytest.raises(UnreadableError, match="no Keras file"):
        read_foreign(with_weights(tmp_path / "b.keras", b"", b"{"))
    with pytest.raises(UnreadableError, match=r"nested too deeply|no Keras file"):
        read_foreign(with_weights(tmp_path / "c.keras", b"", b"[" * 200_000))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "d.keras", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("config.json", "{}")

    with pytest.raises(UnreadableError, match=r"should have one config\.json, and has 2"):
        read_foreign(tmp_path / "d.keras")


def test_every_byte_that_is_changed_ends_in_a_head_or_a_refusal(tmp_path: Path) -> None:
    whole = small(tmp_path / "x.keras").read_bytes()
    chance = np.random.default_rng(0)
    for _ in range(150):
        content = bytearray(whole)
        for place in chance.integers(0, len(whole), 3):
            content[place] = chance.integers(0, 256)
        (tmp_path / "y.keras").write_bytes(bytes(content))
        try:
            read_foreign(tmp_path / "y.keras")
        except (UnreadableError, UsageError):
            continue


def test_a_zip_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    path = with_weights(tmp_path / "x.keras", b"", b" " * (keras_file.MAX_CONFIG_BYTES + 1))
    assert path.stat().st_size < 10_000

    with pytest.raises(UnreadableError, match=f"larger than {keras_file.MAX_CONFIG_BYTES} bytes"):
        read_foreign(path)


def h5(path: Path, make: Any) -> bytes:
    with h5py.File(path, "w") as file:
        make(file)
    return path.read_bytes()


def test_arrays_that_lie_elsewhere_or_are_only_claimed_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"\0" * 64)
    other = h5(tmp_path / "other.h5", lambda file: file.create_dataset("k", data=np.ones((4, 1), np.float32)))
    assert other

    def elsewhere(file: Any) -> None:
        group = file.create_group("layers/dense/vars")
        group.create_dataset("0", (4, 1), "f4", external=[(str(tmp_path / "secret"), 0, 16)])
        group["1"] = np.ones(1, np.float32)

    def linked(file: Any) -> None:
        group = file.create_group("layers/dense/vars")
        group["0"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/k")
        group["1"] = np.ones(1, np.float32)

    def claimed(file: Any) -> None:
        group = file.create_group("layers/dense/vars")
        group.create_dataset("0", (1_000_000, 1_000_000), "f4", chunks=(1000, 1000))
        group["1"] = np.ones(1, np.float32)

    def empty(file: Any) -> None:
        group = file.create_group("layers/dense/vars")
        group["0"] = h5py.Empty("f4")
        group["1"] = np.ones(1, np.float32)

    def unpacked(file: Any) -> None:
        group = file.create_group("layers/dense/vars")
        group.create_dataset("0", (4, 1), "f4", maxshape=(None, None), chunks=(16_000, 16_000), compression="gzip")
        group["1"] = np.ones(1, np.float32)

    sized = "of a size that a head has"
    for number, (make, words) in enumerate(
        [
            *((elsewhere, "no plain array"), (linked, "lacks those of its layers")),
            *((claimed, sized), (empty, sized), (unpacked, sized)),
        ]
    ):
        path = with_weights(tmp_path / f"{number}.keras", h5(tmp_path / f"{number}.h5", make))
        with pytest.raises(UnreadableError, match=words):
            read_foreign(path)
