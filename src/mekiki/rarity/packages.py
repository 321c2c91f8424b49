"""The packages of the extra ``maps``, imported when they are first needed."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from importlib.util import find_spec
from typing import Any

from mekiki.registry import import_extra


def has_opentsne() -> bool:
    """Return whether openTSNE is installed, without importing it."""
    return find_spec("openTSNE") is not None


def import_opentsne() -> Any:
    """Return openTSNE.

    Raises:
        MissingExtraError: If it is not installed.
    """
    return import_extra("openTSNE", "maps")


def import_umap() -> Any:
    """Return umap, with what numba compiles for it kept out of the user's folders.

    numba writes machine code beside the packages, or into the home folder where it may not. Here it goes to a private
    folder that is removed when the process ends, unless ``NUMBA_CACHE_DIR`` says where the user wants it.

    Raises:
        MissingExtraError: If it is not installed.
    """
    if "NUMBA_CACHE_DIR" not in os.environ:
        folder = tempfile.mkdtemp(prefix="mekiki-numba-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ["NUMBA_CACHE_DIR"] = folder
    numba = import_extra("numba.core.config", "maps", "umap-learn")
    numba.reload_config()  # somebody else may have imported it before
    return import_extra("umap", "maps", "umap-learn")
