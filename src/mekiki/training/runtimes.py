"""ONNX, ONNX Runtime and OpenVINO, imported when they are first needed and without their telemetry.

Both runtimes, imported as they come, write an id of this machine into the home folder and report to their makers.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from mekiki.registry import import_extra

ONNXRUNTIME_OFF = ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED")
"""Environment variables, by version of ONNX Runtime, that keep it silent from its first moment: the function that it
has for this can only be called when it has reported already."""

OPENVINO_TELEMETRY = "openvino_telemetry"
"""OpenVINO's telemetry is a package of its own; where it cannot be imported, OpenVINO does without."""


def import_onnx() -> Any:
    """Return the package that reads and writes ONNX files.

    Raises:
        MissingExtraError: If it is not installed.
    """
    return import_extra("onnx", "onnx")


def import_onnxruntime() -> Any:
    """Return ONNX Runtime, silenced for as long as this process and its children live.

    Raises:
        MissingExtraError: If it is not installed.
    """
    os.environ.update(dict.fromkeys(ONNXRUNTIME_OFF, "1"))
    onnxruntime = import_extra("onnxruntime", "onnx")
    onnxruntime.disable_telemetry_events()
    return onnxruntime


def import_openvino() -> Any:
    """Return OpenVINO, silenced for as long as this process lives.

    Raises:
        MissingExtraError: If it is not installed.
    """
    if "openvino" not in sys.modules:
        sys.modules[OPENVINO_TELEMETRY] = None  # type: ignore[assignment]
    return import_extra("openvino", "openvino")


def import_nncf() -> Any:
    """Return NNCF, which makes 8-bit models for OpenVINO, silenced as OpenVINO is.

    Raises:
        MissingExtraError: If it is not installed.
    """
    import_openvino()
    return import_extra("nncf", "openvino")
