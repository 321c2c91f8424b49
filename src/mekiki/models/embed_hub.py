"""Published weights: out of the hub's cache, or fetched, or refused in one line without a long wait."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Protocol
from urllib.parse import urlsplit

from mekiki.errors import BackendError
from mekiki.training.pretrained import is_offline

TIMEOUT_S = 3.0
NEEDS_NONE = "--embedder colour-layout, which needs none"


class Asked(Protocol):
    """What somebody wants to have opened."""

    @property
    def name(self) -> str:
        """As the user wrote it: ``KIND:WHAT``."""
        ...

    @property
    def kind(self) -> str:
        """What stands before the first colon."""
        ...


@contextmanager
def hub_access(opening: Asked, repository: str, needed: str = "weights", otherwise: str = NEEDS_NONE) -> Iterator[None]:
    """Let a package fetch from the hub inside; its cache alone is used where the hub is forbidden or out of reach.

    The packages try a hub that does not answer again and again, for half a minute per file; asked once before, it is
    not tried.

    Args:
        opening: What was asked for.
        repository: Where its files are on the hub; empty if they are somewhere else.
        needed: What is fetched, in words.
        otherwise: What else can be typed, where nothing can be fetched.

    Raises:
        BackendError: For whatever the package raises when it has not got the file.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import HTTPError

    host = urlsplit(constants.ENDPOINT).hostname
    why = "HF_HUB_OFFLINE is set" if is_offline() else "" if is_reachable(constants.ENDPOINT) else f"no way to {host}"
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or bool(why)
    try:
        yield
    except (HTTPError, OSError, RuntimeError, ValueError) as error:
        reason = why or first_line(error)
        fetch = f"hf download {repository}" if repository else "the same"
        is_folder = opening.kind in ("hf", "qwen-vl")
        own = f"a folder that you have as {opening.kind}:FOLDER" if is_folder else "a file that you have with --weights"
        raise BackendError(
            f"the {needed} of {opening.name} cannot be fetched: {reason}. Ways out: on a machine with internet type "
            f"{fetch} and copy {constants.HF_HUB_CACHE} from there; {own}; {otherwise}"
        ) from error
    finally:
        constants.HF_HUB_OFFLINE = before


@cache
def is_reachable(address: str) -> bool:
    """Return whether something answers at an address, or at the proxy on the way there; asked once."""
    parts = urlsplit(address)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        parts = urlsplit(proxy)
    try:
        with socket.create_connection(
            (parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443)), TIMEOUT_S
        ):
            return True
    except OSError:
        return False


def first_line(error: BaseException) -> str:
    """Return the first line that an error says, or its kind if it says nothing."""
    return next((line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()), type(error).__name__)
