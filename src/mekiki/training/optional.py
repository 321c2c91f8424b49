"""Optuna, h5py, Ray and Ultralytics, imported when they are first needed."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from importlib.util import find_spec
from typing import Any

from mekiki.errors import MissingExtraError
from mekiki.registry import import_extra
from mekiki.training.packages import import_torchvision


def import_optuna() -> Any:
    """Return Optuna, which searches for settings.

    Raises:
        MissingExtraError: If it is not installed.
    """
    return import_extra("optuna", "tune")


def import_h5py() -> Any:
    """Return h5py, which reads the weights inside Keras files.

    Raises:
        MissingExtraError: If it is not installed.
    """
    return import_extra("h5py", "keras")


def import_ray() -> Any:
    """Return Ray, without its reports on how it is used.

    Raises:
        MissingExtraError: If it is not installed.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    return import_extra("ray", "ray")


_QUIET = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}


def import_ultralytics() -> Any:
    """Return Ultralytics (licence AGPL-3.0), so that it asks no network, installs nothing and keeps no settings.

    What it wants to keep, it keeps in a folder that is removed when the process ends. Import it nowhere else: what is
    said here, it reads once.

    Raises:
        MissingExtraError: If it is not installed.
    """
    import_torchvision()
    if find_spec("ultralytics") is None:
        raise MissingExtraError("ultralytics", "yolo")
    before = os.environ.get("OMP_NUM_THREADS")  # it would set this to 1, for every process that is started from here
    if "ultralytics" not in sys.modules:
        folder = tempfile.mkdtemp(prefix="mekiki-ultralytics-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ |= _QUIET | {"YOLO_CONFIG_DIR": folder}
    try:
        ultralytics = import_extra("ultralytics", "yolo")
    finally:
        if before is None:
            os.environ.pop("OMP_NUM_THREADS", None)
    if ultralytics.settings["sync"]:
        ultralytics.settings.update({"sync": False})
    return ultralytics
