"""What is inside a Keras file, a zip of JSON and HDF5: layers and their arrays, read without running anything."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mekiki.errors import UnreadableError
from mekiki.training.optional import import_h5py

SUFFIX = ".keras"
KERAS = "keras"
MAX_CONFIG_BYTES = 4_000_000
MAX_WEIGHTS_BYTES = 512_000_000
MAX_NUMBERS = 64_000_000
"""In one array, however small it is in the file: HDF5 need not store what is all the same."""

WITHOUT_WEIGHTS = ("InputLayer", "Dropout", "Activation")
WITH_WEIGHTS = {"BatchNormalization": "batch_normalization", "Dense": "dense"}
"""Class of layer to what Keras calls its weights: that, then that with ``_1``, in the order of the layers."""

_DAMAGE = (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, OSError, ValueError)
_H5_DAMAGE = (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, OverflowError)

Settings = Mapping[str, Any]
"""Of a layer."""

Layer = tuple[str, Settings, list[NDArray[np.float64]]]
"""Class, settings and arrays, in Keras' order."""


def read_keras_layers(path: Path) -> list[Layer]:
    """Return the layers of a Sequential model in its order.

    Raises:
        MissingExtraError: If h5py is not installed.
        UnreadableError: If the file cannot be read, is too large or damaged, is no such model, or has a layer that is
            not among `WITHOUT_WEIGHTS` and `WITH_WEIGHTS`, by name.
    """
    config, content = _read_zip(path)
    with _Weights(path, content, _layers(path, config)) as weights:
        return list(weights.of_layers())


class _Weights:
    """The arrays of a file of weights, layer by layer; a context manager."""

    def __init__(self, path: Path, content: bytes, layers: Sequence[tuple[str, Settings]]) -> None:
        self._path = path
        self._layers = layers
        self._h5py = import_h5py()
        self._file = self._guarded("model.weights.h5", lambda: self._h5py.File(io.BytesIO(content), "r"))

    def __enter__(self) -> _Weights:
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    def of_layers(self) -> Iterator[Layer]:
        """Yield class, settings and arrays of each layer."""
        names = self._names()
        for (kind, settings), name in zip(self._layers, names, strict=True):
            arrays = [self._array(f"layers/{name}/vars/{place}") for place in range(_n_arrays(kind, settings))]
            if arrays and self._find(f"layers/{name}/vars/{len(arrays)}") is not None:
                raise UnreadableError(self._path, f"layer {name} has more weights than a {kind} has")
            yield kind, settings, arrays

    def _names(self) -> list[str]:
        """Return what each layer is called in the file: by its class and a number, as Keras does, or by its name."""
        seen: Counter[str] = Counter()
        numbered, named = [], []
        for kind, settings in self._layers:
            base = WITH_WEIGHTS.get(kind, "")
            numbered.append(f"{base}_{seen[base]}" if seen[base] else base)
            named.append(str(settings.get("name", "")) if base else "")
            seen[base] += 1
        for names in (numbered, named):
            wanted = [name for name, (kind, _) in zip(names, self._layers, strict=True) if kind in WITH_WEIGHTS]
            is_plain = all(name and "/" not in name and name not in (".", "..") for name in wanted)
            if is_plain and all(self._find(f"layers/{name}/vars/0") is not None for name in wanted):
                return names
        raise UnreadableError(
            self._path, f"its file of weights lacks those of its layers: {', '.join(filter(None, numbered))}"
        )

    def _array(self, name: str) -> NDArray[np.float64]:
        found = self._find(name)
        if found is None:
            raise UnreadableError(self._path, f"its file of weights lacks {name}")
        is_elsewhere = found.is_virtual or found.external
        n_numbers = max(found.size or 0, prod(found.chunks or ()))  # a chunk is unpacked whole, whatever is in it
        if is_elsewhere or found.dtype.kind != "f" or not found.size or n_numbers > MAX_NUMBERS:
            raise UnreadableError(self._path, f"{name} is no plain array of numbers of a size that a head has")
        array: NDArray[np.float64] = self._guarded(name, lambda: np.asarray(found[()], np.float64))
        return array

    def _find(self, name: str) -> Any:
        """Return an array inside the file, or None; a link to anywhere else is none."""
        here = self._file
        for part in name.split("/"):
            if not isinstance(here, self._h5py.Group):
                return None
            link = self._guarded(name, partial(here.get, part, getlink=True))
            if not isinstance(link, self._h5py.HardLink):
                return None
            here = self._guarded(name, partial(here.get, part))
        return here if isinstance(here, self._h5py.Dataset) else None

    def _guarded(self, what: str, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except _H5_DAMAGE as error:
            raise UnreadableError(self._path, f"{what} in it cannot be read ({type(error).__name__})") from error


def _read_zip(path: Path) -> tuple[Any, bytes]:
    """Return the configuration and the bytes of the file of weights; nothing is written to the disk."""
    try:
        with zipfile.ZipFile(path) as archive:
            config = _read_member(path, archive, "config.json", MAX_CONFIG_BYTES)
            content = _read_member(path, archive, "model.weights.h5", MAX_WEIGHTS_BYTES)
        return json.loads(config), content
    except RecursionError as error:
        raise UnreadableError(path, "its config.json is nested too deeply") from error
    except _DAMAGE as error:
        raise UnreadableError(path, f"no Keras file, or a damaged one ({type(error).__name__})") from error


def _read_member(path: Path, archive: zipfile.ZipFile, name: str, max_bytes: int) -> bytes:
    if archive.namelist().count(name) != 1:
        raise UnreadableError(
            path, f"no Keras file: it should have one {name}, and has {archive.namelist().count(name)}"
        )
    with archive.open(name) as member:  # what the zip says of sizes need not be so
        content = member.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise UnreadableError(path, f"its {name} is larger than {max_bytes} bytes, and no head's is")
    return content


def _layers(path: Path, config: Any) -> list[tuple[str, Settings]]:
    """Return class and settings of each layer."""
    kind = config.get("class_name") if isinstance(config, dict) else None
    if kind != "Sequential":
        raise UnreadableError(path, f"it is a {kind} model; known are Sequential ones")
    inner = config.get("config")
    layers = inner.get("layers") if isinstance(inner, dict) else None
    if not isinstance(layers, list):
        raise UnreadableError(path, "its config.json lists no layers")
    found: list[tuple[str, Settings]] = []
    for layer in layers:
        name = layer.get("class_name") if isinstance(layer, dict) else None
        settings = layer.get("config") if isinstance(layer, dict) else None
        module = str(layer.get("module") or KERAS) if isinstance(layer, dict) else KERAS
        if name not in (*WITHOUT_WEIGHTS, *WITH_WEIGHTS) or not isinstance(settings, dict) or not _is_keras(module):
            of = "" if _is_keras(module) else f" of {module[:80]!r}, not of Keras"
            known = ", ".join((*WITHOUT_WEIGHTS, *WITH_WEIGHTS))
            raise UnreadableError(
                path, f"it has a layer {str(name)[:80]!r}{of}, and nothing was run; known are {known}"
            )
        found.append((str(name), settings))
    return found


def _is_keras(module: str) -> bool:
    return module == KERAS or module.startswith(f"{KERAS}.")


def is_on(settings: Settings, name: str) -> bool:
    """Return whether a part of a layer that most have is there."""
    return settings.get(name, True) is not False


def _n_arrays(kind: str, settings: Settings) -> int:
    if kind == "Dense":
        return 1 + is_on(settings, "use_bias")
    return 2 + is_on(settings, "scale") + is_on(settings, "center") if kind == "BatchNormalization" else 0
