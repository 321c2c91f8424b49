"""Optuna, h5py and Ray, imported when they are first needed."""

from __future__ import annotations

import os
from typing import Any

from mekiki.errors import MissingExtraError


def import_optuna() -> Any:
    """Return Optuna, which searches for settings.

    Raises:
        MissingExtraError: If it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingExtraError("optuna", "tune") from error
    return optuna


def import_h5py() -> Any:
    """Return h5py, which reads the weights inside Keras files.

    Raises:
        MissingExtraError: If it is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("h5py", "keras") from error
    return h5py


def import_ray() -> Any:
    """Return Ray, without its reports on how it is used.

    Raises:
        MissingExtraError: If it is not installed.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("ray", "ray") from error
    return ray
