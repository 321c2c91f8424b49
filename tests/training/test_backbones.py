"""Networks by name: what they give, what their head and layers are, and how wrong names and weights are refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mekiki.errors import BackendError, UnreadableError, UsageError
from mekiki.media.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from mekiki.torchvision_ops import declare_torchvision_ops
from mekiki.training.backbones import (
    BackboneSpec,
    default_preprocessing,
    has_pretrained,
    head_names,
    head_of,
    layer_groups,
    make_network,
    start_network,
    weights_identity,
)
from mekiki.training.pretrained import TORCHVISION
from networks import make_card, random_network, write_user_module

torch = pytest.importorskip("torch")
declare_torchvision_ops()  # before timm, which imports torchvision
pytest.importorskip("timm")
from mekiki.training.checkpoint import save_model  # noqa: E402
from mekiki.training.picture_size import check_output, fit_to_size  # noqa: E402

torch.set_num_threads(1)
TINY_TIMM = "resnet10t"
TINY_VIT = "vit_tiny_patch16_224"


def make(arch: str, n_classes: int = 3, **options: object) -> object:
    return make_network(BackboneSpec(arch, n_classes, options), pretrained=False, weights=None, allow_code=False)


@pytest.mark.parametrize(
    ("arch", "n_groups", "last_before_head"),
    [
        pytest.param("small-cnn", 5, "stages.3", id="small-cnn"),
        pytest.param("resnet18", 6, "layer4.1", id="resnet18"),
        pytest.param("efficientnet_v2_s", 9, "features.7", id="efficientnet", marks=pytest.mark.slow),
        pytest.param(TINY_TIMM, 6, "layer4", id="timm"),
        pytest.param(f"timm:{TINY_VIT}", 14, "norm", id="timm-with-prefix"),
        pytest.param("timm:deit_tiny_distilled_patch16_224", 14, "norm", id="two-heads", marks=pytest.mark.slow),
    ],
)
def test_a_backbone_gives_a_logit_per_class_and_its_layers_are_in_order(
    arch: str, n_groups: int, last_before_head: str
) -> None:
    network = make(arch, 5)
    names = {id(one): name for name, one in network.named_parameters()}

    groups = layer_groups(network)

    check_output(network, BackboneSpec(arch, 5), (224, 224))
    assert sorted(id(one) for group in groups for one in group) == sorted(names)
    assert len(groups) == n_groups
    assert all(groups)
    assert names[id(groups[-2][-1])].startswith(last_before_head)
    assert {names[id(one)] for one in groups[-1]} == head_names(network)
    assert {id(one) for one in head_of(network).parameters()} == {id(one) for one in groups[-1]}


def test_a_network_of_the_users_without_numbered_parts_has_two_groups(tmp_path: Path) -> None:
    network = random_network(write_user_module(tmp_path))

    groups = layer_groups(network)

    assert [[tuple(one.shape) for one in group] for group in groups] == [[(4, 3, 3, 3), (4,)], [(3, 4), (3,)]]
    assert head_of(network) is network.output


def test_without_a_linear_the_last_part_with_weights_is_the_head_and_without_weights_there_is_none() -> None:
    convolutions = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.ReLU(), torch.nn.Conv2d(4, 2, 1))

    assert head_of(convolutions) is convolutions[2]
    with pytest.raises(UsageError, match="ReLU has no weights to train"):
        head_of(torch.nn.ReLU())


@pytest.mark.parametrize(
    ("arch", "words"),
    [
        pytest.param("resnet19", "no backbone is called 'resnet19'. Did you mean 'resnet1", id="near"),
        pytest.param("small_cnn", "Did you mean 'small-cnn'", id="spelling"),
        pytest.param("timm:vit_tiny_patch16_244", "Did you mean 'timm:vit_tiny_patch16_224'", id="timm"),
        pytest.param("resnet10t.none", "Did you mean 'resnet10t.c3_in1k'", id="tag"),
        pytest.param("python:nowhere", "python:FILE:CLASS, got 'python:nowhere'", id="no-class"),
        pytest.param("", "no backbone is called ''", id="empty"),
    ],
)
def test_a_wrong_name_is_refused_with_the_nearest(arch: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        make_network(BackboneSpec(arch, 3), pretrained=False, weights=None, allow_code=True)

    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("arch", "option"),
    [
        pytest.param("small-cnn", "depth", id="small-cnn"),
        pytest.param("resnet18", "depth", id="torchvision"),
        pytest.param(TINY_TIMM, "deepness", id="timm"),
    ],
)
def test_an_option_that_a_backbone_does_not_take_is_refused(arch: str, option: str) -> None:
    with pytest.raises(UsageError, match=f"{arch} does not take the options .*{option}"):
        make(arch, **{option: 3})


def test_options_reach_the_network() -> None:
    assert make("small-cnn", width=8).head.in_features > make("small-cnn", width=4).head.in_features
    assert make(TINY_TIMM, drop_rate=0.25).drop_rate == 0.25


def test_weights_come_from_the_global_generator() -> None:
    first, second, other = (random_network(seed=seed).state_dict() for seed in (0, 0, 1))

    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


# Files of weights


def test_a_file_of_another_width_gives_all_but_its_head_and_says_so(tmp_path: Path) -> None:
    source = random_network(seed=1)
    _, path, _ = save_model(tmp_path, make_card(), source.state_dict())

    start = start_network(BackboneSpec("small-cnn", 7, {"width": 4}), pretrained=True, weights=path, allow_code=False)

    assert set(start.left_out) == {"head.weight", "head.bias"}
    own = start.network.state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in source.state_dict().items() if "head" not in name)
    assert own["head.weight"].shape[0] == 7
    whole = start_network(BackboneSpec("small-cnn", 3, {"width": 4}), pretrained=False, weights=path, allow_code=False)
    assert whole.left_out == ()
    assert torch.equal(whole.network.head.weight, source.head.weight)


def test_a_state_dict_without_head_is_taken(tmp_path: Path) -> None:
    source = random_network("resnet18").state_dict()
    torch.save({name: one for name, one in source.items() if not name.startswith("fc.")}, tmp_path / "body.pth")

    start = start_network(
        BackboneSpec("resnet18", 4), pretrained=False, weights=tmp_path / "body.pth", allow_code=False
    )

    assert start.left_out == ()
    assert torch.equal(start.network.conv1.weight, source["conv1.weight"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda t: t.pop("conv1.weight"), "1 missing: conv1.weight", id="missing"),
        pytest.param(lambda t: t.update(extra=torch.zeros(1)), "1 unexpected: extra", id="unexpected"),
        pytest.param(
            lambda t: t.update({"bn1.bias": torch.zeros(9)}), r"bn1.bias is \[9\] instead of \[64\]", id="other-shape"
        ),
        pytest.param(
            lambda t: (t.pop("conv1.weight"), t.update({"fc.bias": torch.zeros(9), "fc.weight": torch.zeros(9, 512)})),
            "1 missing: conv1.weight; 2 of another shape",
            id="more-than-the-head",
        ),
        pytest.param(lambda t: t.update({"fc.bias": torch.zeros(9)}), r"fc.bias is \[9\]", id="half-a-head"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_and_never_loaded_in_part(
    tmp_path: Path, change: object, words: str
) -> None:
    tensors = random_network("resnet18").state_dict()
    change(tensors)  # type: ignore[operator]
    torch.save(tensors, tmp_path / "weights.pth")

    with pytest.raises(BackendError, match=words):
        make_network(BackboneSpec("resnet18", 3), pretrained=False, weights=tmp_path / "weights.pth", allow_code=False)


def test_an_ensemble_is_no_start_for_training(tmp_path: Path) -> None:
    card = make_card()
    both = make_card(kind="ensemble", arch="", preprocessing=None, members=(card,), weights=(1.0,))
    _, path, _ = save_model(tmp_path, both, {f"0.{k}": v for k, v in random_network().state_dict().items()})

    with pytest.raises(BackendError, match="is an ensemble"):
        make_network(BackboneSpec("small-cnn", 3), pretrained=False, weights=path, allow_code=False)


# Pretrained weights


def test_only_published_networks_have_pretrained_weights(tmp_path: Path) -> None:
    assert all(has_pretrained(arch) for arch in TORCHVISION)
    assert has_pretrained(TINY_TIMM)
    assert not has_pretrained("small-cnn")
    with pytest.raises(UsageError, match=r"no pretrained weights for small-cnn. Type: --no-pretrained"):
        make_network(BackboneSpec("small-cnn", 3), pretrained=True, weights=None, allow_code=False)
    arch = write_user_module(tmp_path)
    with pytest.raises(UsageError, match="no pretrained weights for python:"):
        make_network(BackboneSpec(arch, 3), pretrained=True, weights=None, allow_code=True)


def test_pretrained_weights_come_from_torchs_cache_without_their_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    published = random_network("resnet18", n_classes=1000).state_dict()
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(published, tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth")

    network = make_network(BackboneSpec("resnet18", 3), pretrained=True, weights=None, allow_code=False)

    assert torch.equal(network.layer4[1].conv2.weight, published["layer4.1.conv2.weight"])
    assert network.fc.weight.shape == (3, 512)


FETCH = """
import sys
from mekiki.errors import BackendError
from mekiki.training.backbones import BackboneSpec, make_network
for arch in sys.argv[1:]:
    try:
        make_network(BackboneSpec(arch, 3), pretrained=True, weights=None, allow_code=False)
    except BackendError as error:
        print(error)
"""


@pytest.mark.slow
def test_weights_that_cannot_be_fetched_are_refused_with_the_three_ways_out(tmp_path: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "TORCH_HOME": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, "-c", FETCH, "resnet18", TINY_TIMM],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    of_torchvision, of_timm = done.stdout.splitlines()
    assert f"fetch https://download.pytorch.org/models/resnet18-f37072fd.pth into {tmp_path}" in of_torchvision
    assert "hf download timm/resnet10t" in of_timm
    for line in (of_torchvision, of_timm):
        assert "cannot be fetched" in line
        assert "--weights FILE" in line
        assert "--no-pretrained" in line
    assert not list(tmp_path.rglob("*.pth"))


@pytest.mark.slow
def test_a_server_that_cannot_be_reached_is_said_and_leaves_no_file(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "TORCH_HOME": str(tmp_path),
        "https_proxy": "http://127.0.0.1:9",
        "HF_HUB_OFFLINE": "0",
    }

    done = subprocess.run(
        [sys.executable, "-c", FETCH, "resnet18"], env=environment, capture_output=True, text=True, check=True
    )

    assert "resnet18 cannot be fetched: <urlopen error" in done.stdout
    assert len(done.stdout.splitlines()) == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_damaged_file_in_the_cache_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth").write_bytes(b"half of it")

    with pytest.raises(UnreadableError, match=r"resnet18-f37072fd.pth: no PyTorch checkpoint"):
        make_network(BackboneSpec("resnet18", 3), pretrained=True, weights=None, allow_code=False)


def test_what_a_network_starts_from_is_told_by_content(tmp_path: Path) -> None:
    for name, content in (("a.pt", b"1"), ("b.pt", b"1"), ("c.pt", b"2")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (weights_identity("resnet18", True, tmp_path / name) for name in ("a.pt", "b.pt", "c.pt"))

    assert a == b != c
    assert weights_identity("resnet18", True, None) == "pretrained:resnet18 IMAGENET1K_V1"
    assert weights_identity("resnet18", False, None) == "random"
    arch = write_user_module(tmp_path)
    before = weights_identity(arch, False, None)
    write_user_module(tmp_path, "# changed")
    assert weights_identity(arch, False, None) != before
    with pytest.raises(UnreadableError, match="No such file"):
        weights_identity("resnet18", False, tmp_path / "gone.pt")


# Preprocessing and size


def test_seed_1s_preprocessing_is_scaled_with_the_size_of_picture() -> None:
    how = default_preprocessing("resnet18", 224)

    assert (how.resize, how.resize_hw, how.crop_hw) == ("squash", (256, 256), (224, 224))
    assert (how.interpolation, how.mean, how.std) == ("bilinear", IMAGENET_MEAN, IMAGENET_STD)
    assert default_preprocessing("resnet18", 448).resize_hw == (512, 512)
    assert default_preprocessing("resnet18", 1).resize_hw == (1, 1)


def test_small_cnn_sees_the_whole_picture() -> None:
    how = default_preprocessing("small-cnn", 96)

    assert how.resize_hw == how.crop_hw == (96, 96)
    assert how.mean == how.std == (0.5, 0.5, 0.5)


def test_a_pretrained_timm_model_gets_the_colours_that_it_was_trained_with() -> None:
    published = default_preprocessing(TINY_VIT, 96, pretrained=True)

    assert (published.mean, published.std, published.interpolation) == ((0.5,) * 3, (0.5,) * 3, "bicubic")
    assert published.crop_hw == (96, 96)
    assert default_preprocessing(TINY_VIT, 96).mean == IMAGENET_MEAN
    assert default_preprocessing("resnet18", 96, pretrained=True).interpolation == "bilinear"


def test_a_model_made_for_one_size_is_told_the_other() -> None:
    spec = fit_to_size(BackboneSpec(TINY_VIT, 3), 96)

    assert spec.options == {"img_size": 96}
    check_output(make(TINY_VIT, img_size=96), spec, (96, 96))
    with pytest.raises(UsageError, match="cannot take pictures of 96 x 96 px"):
        check_output(make(TINY_VIT), BackboneSpec(TINY_VIT, 3), (96, 96))
    for same in ("resnet18", TINY_TIMM, "small-cnn", "python:a.py:B"):
        assert fit_to_size(BackboneSpec(same, 3), 96).options == {}
    assert fit_to_size(BackboneSpec(TINY_VIT, 3), 224).options == {}


def test_looking_at_the_output_changes_nothing() -> None:
    network = make("small-cnn").train()
    before = {name: one.clone() for name, one in network.state_dict().items()}

    check_output(network, BackboneSpec("small-cnn", 3), (40, 56))

    assert network.training
    assert all(torch.equal(one, before[name]) for name, one in network.state_dict().items())


def test_an_output_of_another_width_is_refused() -> None:
    with pytest.raises(UsageError, match=r"gives \(2, 3\) for 2 pictures of 32 x 32 px, but there are 4 classes"):
        check_output(make("small-cnn", 3), BackboneSpec("small-cnn", 4), (32, 32))
