"""Backbones from a file of the user's: ``python:FILE:CLASS``."""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mekiki.errors import DataError, MekikiError, UsageError, nearest_name, unknown_name
from mekiki.training.packages import import_torch

if TYPE_CHECKING:
    from torch import nn

PREFIX = "python:"


def is_user_code(arch: str) -> bool:
    """Return whether a backbone is a file of the user's."""
    return arch.startswith(PREFIX)


def split_arch(arch: str) -> tuple[Path, str]:
    """Return the file and the name of the class of ``python:FILE:CLASS``; the file is relative to the current folder.

    Raises:
        UsageError: If it is not written like that.

    Example:
        >>> split_arch("python:nets/tiny.py:Tiny")[1]
        'Tiny'
    """
    file, _, name = arch.removeprefix(PREFIX).rpartition(":")
    if not file or not name.isidentifier():
        raise UsageError(f"a network of your own is written python:FILE:CLASS, got {arch!r}")
    return Path(file), name


def code_place(arch: str) -> str:
    """Return what stands for where the file of ``python:FILE:CLASS`` lies: the SHA-256 of its resolved path.

    Raises:
        UsageError: If it is not written like that.
    """
    return hashlib.sha256(os.fsencode(os.path.realpath(split_arch(arch)[0]))).hexdigest()


def read_source(arch: str) -> str:
    """Return the text of the file of ``python:FILE:CLASS``.

    Raises:
        UsageError: If there is no such file, or it is no UTF-8 text.
    """
    path, _ = split_arch(arch)
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise UsageError(
            f"the file of {arch} cannot be read: {error.strerror}: {path.absolute()}. "
            "Its path is relative to the current folder"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"the file of {arch} is no UTF-8 text: {path.absolute()}") from error


def check_same_source(arch: str, recorded: str) -> None:
    """Check that a model's code is still what it was trained with.

    Raises:
        UsageError: If its file cannot be read.
        DataError: If its text has changed.
    """
    if read_source(arch) != recorded:
        path, _ = split_arch(arch)
        raise DataError(
            f"{path} is not the file that the model was trained with: its text has changed. Bring the old text back "
            "(the model's card has it under source_code), or train again"
        )


@contextmanager
def users_fault(arch: str, passing: tuple[type[BaseException], ...] = ()) -> Iterator[None]:
    """Say of whatever goes wrong inside where in the user's own file it did; it is no fault of ours.

    Args:
        arch: ``python:FILE:CLASS``.
        passing: Errors that are let through.

    Raises:
        UsageError: With the line and the error of the user's program.
    """
    path, _ = split_arch(arch)
    try:
        yield
    except BaseException as error:  # SystemExit too: somebody's program may do anything
        if isinstance(error, (MekikiError, KeyboardInterrupt, *passing)):
            raise
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if Path(frame.filename).name == path.name]
        place = f"{path}, line {lines[-1]}" if lines else str(path)
        what = " ".join(str(error).split()) or "no message"
        raise UsageError(f"{place}: {type(error).__name__}: {what}. Mend that program, then type the same") from error


def make_user_network(arch: str, n_classes: int, options: Mapping[str, Any], *, allow_code: bool) -> nn.Module:
    """Run the user's file and return what its class makes.

    The class is called with ``num_classes=N`` if it takes such an argument, and with ``options`` as further ones.

    Raises:
        UsageError: If code is not allowed, the file or class does not exist, the class wants other arguments, or what
            it makes is no ``torch.nn.Module``.
    """
    if not allow_code:
        raise UsageError(f"{arch} is a program that would be run. If you trust it, add --allow-code")
    path, name = split_arch(arch)
    made = _find_class(_run(path, read_source(arch), arch), name, arch)
    # A module without an __init__ of its own has torch's, which shows that it takes anything and then refuses it.
    has_own = getattr(made, "__init__", None) is not import_torch().nn.Module.__init__
    parameters = inspect.signature(made).parameters if has_own else {}
    takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    arguments = dict(options)
    if "num_classes" in parameters or takes_any:
        arguments["num_classes"] = n_classes
    for option in options:
        if option not in parameters and not takes_any:
            raise unknown_name(f"argument of {name}", option, parameters)
    missing = [
        one.name
        for one in parameters.values()
        if one.default is inspect.Parameter.empty
        and one.kind not in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        and one.name not in arguments
    ]
    if missing:
        raise UsageError(
            f"{name} in {path} wants more arguments than num_classes: {', '.join(missing)}. "
            "Give them defaults, or values as options of the backbone"
        )
    with users_fault(arch):
        network = made(**arguments)
    if not hasattr(network, "state_dict"):
        raise UsageError(f"{name} in {path} makes a {type(network).__name__}, not a torch.nn.Module")
    return network


def _find_class(module: ModuleType, name: str, arch: str) -> Any:
    path, _ = split_arch(arch)
    found = getattr(module, name, None)
    if callable(found):
        return found
    names = [one for one, value in vars(module).items() if callable(value) and not one.startswith("_")]
    near = nearest_name(name, names)
    guess = f" Did you mean {near!r}?" if near else ""
    raise UsageError(f"{path} has no class {name!r}.{guess}")


class _Source(importlib.abc.InspectLoader):
    """Runs a text that has been read already, so that what was compared is what runs; leaves no ``__pycache__``."""

    def __init__(self, text: str, path: Path) -> None:
        self.text, self.path = text, path

    def get_source(self, fullname: str) -> str:
        return self.text

    def get_code(self, fullname: str) -> Any:
        return self.source_to_code(self.text, str(self.path))


def _run(path: Path, text: str, arch: str) -> ModuleType:
    """Return the module that the text makes."""
    module_name = f"mekiki_user_code_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_loader(module_name, _Source(text, path), origin=str(path.absolute()))
    if spec is None or spec.loader is None:
        raise UsageError(f"the file of {arch} cannot be run: {path.absolute()}")
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(path.absolute())
    sys.modules[module_name] = module  # dataclasses and typing look their module up there
    try:
        with users_fault(arch, passing=(SyntaxError, ImportError)):
            spec.loader.exec_module(module)
    except SyntaxError as error:
        raise UsageError(f"{path} is no Python: line {error.lineno}: {error.msg}") from error
    except ImportError as error:
        raise UsageError(f"{path} imports what is not here: {error}") from error
    return module
