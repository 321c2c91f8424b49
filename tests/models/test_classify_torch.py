"""A model file on PyTorch: its scores, devices, precision and refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mekiki.errors import BackendError, UnreadableError, UsageError
from mekiki.media.preprocessing import at_hand, prepare
from networks import CLASSES, NO_RESIZE, make_card, random_images, random_network, random_tensors, write_user_module

torch = pytest.importorskip("torch")
from mekiki.models.classify_torch import TorchClassifier, torch_device  # noqa: E402
from mekiki.training.checkpoint import save_model  # noqa: E402

torch.set_num_threads(1)


def test_scores_are_the_networks_outputs_through_its_activation() -> None:
    images = random_images()
    card = make_card()
    with torch.inference_mode():
        pictures = np.stack([prepare(one, card.preprocessing) for one in images])
        logits = random_network()(torch.from_numpy(pictures)).double().numpy()

    for activation, wanted in (
        ("sigmoid", 1 / (1 + np.exp(-logits))),
        ("softmax", np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)),
    ):
        classifier = TorchClassifier(make_card(activation=activation), random_tensors(), "cpu")
        scores = classifier.score([classifier.prepare(at_hand(one)) for one in images])

        assert scores.dtype == np.float32
        np.testing.assert_allclose(scores, wanted, atol=1e-6)


def test_no_pictures_give_no_rows() -> None:
    assert TorchClassifier(make_card(), random_tensors(), "cpu").score([]).shape == (0, len(CLASSES))


def test_order_and_batching_change_nothing() -> None:
    classifier = TorchClassifier(make_card(), random_tensors(), "cpu")
    prepared = [classifier.prepare(at_hand(one)) for one in random_images(7)]

    together = classifier.score(prepared)

    np.testing.assert_allclose(np.concatenate([classifier.score([one]) for one in prepared]), together, atol=1e-6)
    np.testing.assert_allclose(classifier.score(prepared[::-1]), together[::-1], atol=1e-6)
    assert together.std(axis=0).min() > 0


def test_a_file_gives_the_same_as_its_tensors_and_the_raw_scores_of_a_calibrated_model(tmp_path: Path) -> None:
    images = random_images()
    _, path, card = save_model(tmp_path, make_card(), random_tensors())

    from_file, from_tensors = TorchClassifier(card, path, "cpu"), TorchClassifier(card, random_tensors(), "cpu")

    prepared = [from_file.prepare(at_hand(one)) for one in images]
    np.testing.assert_array_equal(from_file.score(prepared), from_tensors.score(prepared))
    assert from_file.card == card
    assert from_file.device == "cpu"
    whole = TorchClassifier(make_card(preprocessing=NO_RESIZE), random_tensors(), "cpu")
    for classifier, px in ((from_file, 64), (whole, None)):
        (pixels,) = classifier.prepare(lambda asked, px=px: {px: images[0]}[asked])
        assert pixels.shape == (3, 32, 32)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("gpu", "no device is called 'gpu'. .*Known: auto, cpu, cuda, cuda:N, mps", id="unknown"),
        pytest.param("cpu:1", "no device is called 'cpu:1'. Did you mean 'cpu'", id="numbered-cpu"),
        pytest.param("cuda:x", "no device is called 'cuda:x'. Did you mean 'cuda", id="no-number"),
        pytest.param("cuda:", "no device is called 'cuda:'", id="empty-number"),
        pytest.param("", "no device is called ''", id="empty"),
    ],
)
def test_a_wrong_device_is_refused(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        torch_device(name)


def test_a_device_that_is_not_here_is_refused_and_auto_takes_what_is() -> None:
    assert torch_device("cpu") == "cpu"
    assert torch_device("auto") in ("cpu", "cuda:0", "mps")
    with pytest.raises(BackendError, match="no cuda:99: PyTorch sees"):
        torch_device("cuda:99")
    if torch.cuda.is_available():
        assert torch_device("cuda") == "cuda:0"
    else:
        with pytest.raises(BackendError, match=r"no cuda: PyTorch sees 0 GPUs. Type: --device auto"):
            torch_device("cuda")
    if not torch.backends.mps.is_available():
        with pytest.raises(BackendError, match="no mps"):
            torch_device("mps")


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_on_a_cpu_is_refused(precision: str) -> None:
    with pytest.raises(
        UsageError, match=f"precision {precision} needs a GPU, the device is cpu. Type: --precision fp32"
    ):
        TorchClassifier(make_card(), random_tensors(), "cpu", precision)  # type: ignore[arg-type]


@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-3), ("fp16", 2e-2), ("bf16", 5e-2)])
def test_a_gpu_gives_the_same_scores(precision: str, tolerance: float) -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    on_cpu = TorchClassifier(make_card(), random_tensors(), "cpu")
    on_gpu = TorchClassifier(make_card(), random_tensors(), "cuda", precision)  # type: ignore[arg-type]
    prepared = [on_cpu.prepare(at_hand(one)) for one in random_images()]

    np.testing.assert_allclose(on_gpu.score(prepared), on_cpu.score(prepared), atol=tolerance)


def test_weights_that_are_not_the_cards_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="model 'tiny': its weights are not those of small-cnn"):
        TorchClassifier(make_card(arch_options={"width": 8}), random_tensors(), "cpu")


def test_code_of_the_users_runs_only_if_allowed_and_must_give_a_score_per_class(tmp_path: Path) -> None:
    arch = write_user_module(tmp_path)
    source = (tmp_path / "nets.py").read_text()
    card = make_card(arch=arch, arch_options={}, source_code=source)
    tensors = random_network(arch).state_dict()
    picture = random_images(1)[0]

    classifier = TorchClassifier(card, tensors, "cpu", allow_code=True)

    assert classifier.score([classifier.prepare(at_hand(picture))]).shape == (1, 3)
    with pytest.raises(UsageError, match="--allow-code"):
        TorchClassifier(card, tensors, "cpu")
    wrong = source.replace(" * self.scale", "[:, :2]")
    write_user_module(tmp_path, wrong)
    changed = TorchClassifier(make_card(arch=arch, arch_options={}, source_code=wrong), tensors, "cpu", allow_code=True)
    with pytest.raises(BackendError, match=r"gives \(1, 2\) for 1 pictures and 3 classes"):
        changed.score([changed.prepare(at_hand(picture))])
