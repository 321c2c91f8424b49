"""torchvision can be imported beside whatever torch is installed, and keeps its own operators where they load."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

USE = """
from mekiki.torchvision_ops import declare_torchvision_ops
declared = declare_torchvision_ops()
assert declare_torchvision_ops() == []
import torch, torchvision
from torchvision.transforms import v2
network = torchvision.models.resnet18(weights=None).eval()
picture = v2.Compose([v2.Resize(64), v2.CenterCrop(64)])(torch.zeros(1, 3, 80, 90))
assert network(picture).shape == (1, 1000)
print(sorted(declared))
"""


@pytest.mark.slow
def test_models_and_transforms_work_beside_the_torch_that_is_installed() -> None:
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("torchvision") is None:
        pytest.skip("torch and torchvision are not installed: make install-dev")

    done = subprocess.run([sys.executable, "-c", USE], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in ("[]", "['nms', 'qnms']")


FAKE = """
import sys, types
import torch
library = torch.library.Library("torchvision", "FRAGMENT")
library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
from mekiki.torchvision_ops import declare_torchvision_ops
print(declare_torchvision_ops())
"""


@pytest.mark.slow
def test_nothing_is_declared_where_the_operators_are_there() -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed: make install-dev")

    done = subprocess.run([sys.executable, "-c", FAKE], capture_output=True, text=True, check=False)

    assert done.stdout.strip() == "[]", done.stderr
