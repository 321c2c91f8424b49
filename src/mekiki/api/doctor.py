"""What is installed, what is missing, and how to get it."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from mekiki.catalog.runs import mekiki_version

CORE = (
    *("av", "filelock", "jinja2", "matplotlib", "matplotlib-fontja", "numpy", "pillow", "pydantic", "pyyaml", "rich"),
    *("scikit-learn", "scipy", "simplejpeg", "threadpoolctl"),
)
EXTRAS = {
    "heic": ("pillow-heif", "photos of telephones (HEIC)"),
    "hub": ("huggingface_hub", "data sets from a hub"),
    "train": ("torch", "training and prediction"),
    "onnx": ("onnxruntime", "models as ONNX, and prediction from them"),
    "openvino": ("openvino", "faster prediction on a CPU"),
    "vlm": ("openai", "labels from a vision-language model"),
    "hf": ("transformers", "detectors and describers of transformers"),
    "yolo": ("ultralytics", "detectors of Ultralytics (AGPL-3.0)"),
    "maps": ("opentsne", "t-SNE and UMAP maps"),
    "clip": ("open_clip_torch", "vectors of pictures and texts from CLIP models"),
    "search": ("faiss-cpu", "quick search among many vectors"),
    "tune": ("optuna", "train --search"),
    "keras": ("h5py", "heads in .keras files"),
    "ray": ("ray", "--engine ray: workers on this machine or a cluster"),
    "wandb": ("wandb", "train --wandb"),
}
SECRETS = ("OPENAI_API_KEY", "HF_TOKEN")
VARIABLES = (
    "MEKIKI_WORKSPACE",
    "OPENAI_BASE_URL",
    "HF_HOME",
    "HF_ENDPOINT",
    "HF_HUB_OFFLINE",
    "TORCH_HOME",
    "WANDB_MODE",
    "CUDA_VISIBLE_DEVICES",
    "RAY_ADDRESS",
)


def examine() -> dict[str, dict[str, str]]:
    """Return topic to name to finding. Secrets are said to be set or not, and never shown."""
    return {
        "machine": _machine(),
        "packages": {name: _installed(name) or "missing: pip install --force-reinstall mekiki" for name in CORE},
        "formats": _formats(),
        "extras": {extra: _extra(extra) for extra in EXTRAS},
        "environment": _environment(),
    }


def _machine() -> dict[str, str]:
    free_gb = shutil.disk_usage(Path.cwd()).free / 1e9
    return {
        "mekiki": mekiki_version(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": str(os.cpu_count()),
        "device": _device(),
        "free disk": f"{free_gb:.0f} GB here",
        "sqlite": sqlite3.sqlite_version,
        "encoding": sys.getfilesystemencoding(),
    }


def _device() -> str:
    if find_spec("torch") is None:
        return "cpu (torch is not installed)"
    import torch

    if torch.cuda.is_available():
        return f"cuda: {torch.cuda.get_device_name(0)}"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _formats() -> dict[str, str]:
    found = {
        "jpeg": "yes, fast decoder" if find_spec("simplejpeg") else "no: simplejpeg is missing",
        "heic": "yes" if find_spec("pillow_heif") else 'no: pip install "mekiki[heic]"',
    }
    if find_spec("PIL"):
        from PIL import features

        found["webp"] = "yes" if features.check("webp") else "no"
        found["avif"] = "yes" if features.check("avif") else "no: upgrade Pillow to 11.3 or later"
    if find_spec("av"):
        from av import codecs_available

        found |= {codec: "yes" if codec in codecs_available else "no" for codec in ("h264", "hevc")}
    return found


def _extra(extra: str) -> str:
    package, purpose = EXTRAS[extra]
    installed = _installed(package)
    return f"{package} {installed}" if installed else f'not installed ({purpose}): pip install "mekiki[{extra}]"'


def _environment() -> dict[str, str]:
    found = {name: "set" if os.environ.get(name) else "not set" for name in SECRETS}
    return found | {name: without_credentials(os.environ.get(name) or "not set") for name in VARIABLES}


def without_credentials(value: str) -> str:
    """Return a value without what may be secret in it if it is an address: user, password, query, fragment.

    Example:
        >>> without_credentials("https://ann:secret@hub.example:8443/v1?key=1")
        'https://***@hub.example:8443/v1?***'
    """
    if "://" not in value:
        return value if "@" not in value else f"***@{value.rpartition('@')[2]}"
    try:
        parts = urlsplit(value)
    except ValueError:
        return "set, but no valid address"
    user, at, host = parts.netloc.rpartition("@")
    hidden = "?***" if parts.query or parts.fragment else ""
    return f"{parts.scheme}://{'***' if user else ''}{at}{host}{parts.path}{hidden}"


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
