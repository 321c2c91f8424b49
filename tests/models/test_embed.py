"""Embedders by name: what is opened and what is refused; no model calls anybody."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from embedders import clip_folder, hf_folder
from mekiki.errors import BackendError, UsageError
from mekiki.models.embed import EmbedderOpening, has_network, open_embedder, open_space, open_tower, resolve_embedder
from mekiki.models.embed_hub import is_reachable

torch.set_num_threads(1)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without a way to the hub, and an empty cache."""
    from huggingface_hub import constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


def test_an_unknown_kind_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no embedder is called 'klip'. Did you mean 'clip'\?"):
        open_space(EmbedderOpening("klip:ViT-B-32"))


@pytest.mark.parametrize(
    ("opening", "error", "message"),
    [
        (EmbedderOpening("clip:ViT-B-33/openai"), UsageError, "no model of open_clip is called 'ViT-B-33'"),
        (
            EmbedderOpening("clip:ViT-B-32/opnai"),
            UsageError,
            "no tag of ViT-B-32 is called 'opnai'. Did you mean 'openai'",
        ),
        (EmbedderOpening("clip:ViT-B-32"), UsageError, "does not say which weights. Type: clip:ViT-B-32/openai, or"),
        (EmbedderOpening("clip:ViT-B-32", Path("none.pt")), BackendError, "there is no file of weights"),
        (EmbedderOpening("clip:./nowhere"), BackendError, "there is no open_clip_config.json in a folder ./nowhere"),
        (EmbedderOpening("clip:ViT-B-32/openai", image_size=32), UsageError, "Leave out --image-size"),
        (EmbedderOpening("hf:nothing"), BackendError, "'nothing' is neither a folder nor OWNER/NAME"),
        (EmbedderOpening("hf:/no/such/folder"), BackendError, "'/no/such/folder' is neither a folder nor"),
        (EmbedderOpening("timm:resnt18"), UsageError, "Did you mean 'timm:resnet18'"),
        (EmbedderOpening("timm:test_vit", output="projected"), UsageError, "only pooler. Type: --output pooler"),
        (EmbedderOpening("onnx:none.onnx"), BackendError, "no graph can be read from none.onnx: No such file"),
        (EmbedderOpening("python:none.py:Net"), UsageError, "add --allow-code"),
        (
            EmbedderOpening("torch:none.safetensors"),
            BackendError,
            "there is no file none.safetensors. Say which is the model's: --weights FILE",
        ),
        (EmbedderOpening("vectors"), BackendError, "vectors that were imported: they cannot embed pictures"),
        (EmbedderOpening("colour-layout:big"), UsageError, "has no variants"),
        (EmbedderOpening("colour-layout", Path("w.pth")), UsageError, "takes no file of weights. Leave out --weights"),
        (EmbedderOpening("colour-layout", precision="int8"), UsageError, "is no network: NumPy computes it in fp32"),
        (EmbedderOpening("colour-layout", device="cuda"), UsageError, "Type: --device cpu"),
        (EmbedderOpening("colour-layout", output="pooler"), UsageError, "Leave out --output pooler"),
        (EmbedderOpening("colour-layout", mean=(0, 0, 0)), UsageError, "Leave out --mean"),
    ],
    ids=lambda value: value.name if isinstance(value, EmbedderOpening) else None,
)
def test_what_cannot_be_opened_says_what_to_type(
    opening: EmbedderOpening, error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        open_embedder(opening)

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["clip:ViT-B-32/openai", "clip:ViT-B/32/openai", "timm:resnet18", "hf:openai/clip"])
@pytest.mark.usefixtures("offline")
def test_weights_that_cannot_be_fetched_are_refused_with_the_ways_out(name: str) -> None:
    with pytest.raises(
        BackendError, match=r"cannot be fetched: HF_HUB_OFFLINE is set. Ways out: .* hf download"
    ) as caught:
        open_space(EmbedderOpening(name))

    assert "\n" not in str(caught.value)


def test_an_address_where_nothing_answers_is_out_of_reach() -> None:
    assert not is_reachable("http://127.0.0.1:9")


@pytest.mark.usefixtures("offline")
def test_auto_takes_the_descriptor_without_weights_and_says_why() -> None:
    opening, why = resolve_embedder(EmbedderOpening("auto"))

    assert opening.name == "colour-layout"
    assert why.startswith("embedder colour-layout: the weights of clip:ViT-B-32/openai cannot be fetched: HF_HUB_OFFL")
    assert open_space(EmbedderOpening("auto")).embedder == "colour-layout"


def test_another_name_is_resolved_to_itself() -> None:
    opening = EmbedderOpening("hf:anything")

    assert resolve_embedder(opening) == (opening, "")
    assert has_network(opening)
    assert not has_network(EmbedderOpening("colour-layout"))


def test_colour_layout_has_no_network_to_run() -> None:
    with pytest.raises(BackendError, match="has no network"):
        open_tower(EmbedderOpening("colour-layout"))


SILENT = """
import json, sys
seen = []
sys.addaudithook(lambda name, arguments: seen.append(name) if name.startswith("socket.") else None)
import numpy as np
from mekiki.media.preprocessing import at_hand
from mekiki.models.embed import EmbedderOpening, open_embedder, open_text_embedder
for name in sys.argv[1:]:
    opening = EmbedderOpening(name, runtime="torch", device="cpu")
    embedder = open_embedder(opening)
    embedder.embed([embedder.prepare(at_hand(np.zeros((40, 50, 3), np.uint8)))])
    open_text_embedder(opening).embed_texts(["a cat"])
print(json.dumps(seen))
"""


@pytest.mark.slow
def test_models_in_folders_open_no_socket_and_leave_the_home_folder_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for name in ("XDG_CACHE_HOME", "HF_HOME", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    names = [f"clip:{clip_folder(tmp_path / 'clip')}"]
    names += [f"hf:{hf_folder(tmp_path / 'hf' / kind, kind)}" for kind in ("clip", "siglip")]

    done = subprocess.run([sys.executable, "-c", SILENT, *names], capture_output=True, text=True, check=True)

    assert json.loads(done.stdout.splitlines()[-1]) == []
    assert done.stderr == ""
    assert list(home.rglob("*")) == []
