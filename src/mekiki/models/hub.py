"""Data sets from a hub: fetched once into a folder, resumed where a download broke off."""

from __future__ import annotations

import re
from pathlib import Path

from mekiki.dataset.ids import safe_name
from mekiki.errors import BackendError, MissingExtraError, UsageError

PREFIX = "hf://datasets/"

MARKER = ".mekiki-fetched"
"""Holds the commit of a data set that has been fetched as a whole; without it a folder is half of one."""

TIMEOUT_S = 30.0


def fetch_dataset(address: str, into: Path) -> Path:
    """Fetch a data set and return its folder; files that are there already are not fetched again.

    ``HF_ENDPOINT``, ``HF_TOKEN`` and ``HF_HUB_OFFLINE`` are honoured. A data set that was fetched as a whole is taken
    as it is when the hub cannot be reached.

    Args:
        address: ``hf://datasets/OWNER/NAME``, with ``@REVISION`` behind it if it is not to be the newest.
        into: The folder in which the data set gets its own.

    Raises:
        UsageError: If the address is not of that form.
        BackendError: If the hub cannot be reached, or has no such data set.
    """
    found = re.fullmatch(re.escape(PREFIX) + r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", address)
    if found is None:
        raise UsageError(f"a data set on the hub is written hf://datasets/OWNER/NAME, got {address!r}")
    repository, revision = found.groups()
    try:
        from huggingface_hub import HfApi, snapshot_download
        from huggingface_hub.errors import HFValidationError, HTTPError
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", "hub") from error
    folder = into / safe_name(f"{repository.replace('/', '--')}{f'@{revision}' if revision else ''}")
    marker = folder / MARKER
    try:
        newest = HfApi().dataset_info(repository, revision=revision, timeout=TIMEOUT_S)
        if not marker.exists() or marker.read_text() != newest.sha:
            marker.unlink(missing_ok=True)
            snapshot_download(repository, repo_type="dataset", revision=newest.sha, local_dir=folder)
            _check_whole(folder, [file.rfilename for file in newest.siblings or ()])
            for rest in (folder / ".cache").rglob("*.incomplete"):
                rest.unlink(missing_ok=True)  # of a download that was killed; its package does not go on with them
            marker.write_text(str(newest.sha))
    except HFValidationError as error:
        raise UsageError(f"{address} is no data set that can be on a hub: {error}") from error
    except (HTTPError, OSError) as error:
        if marker.exists():
            return folder
        raise BackendError(
            f"cannot fetch {address}: {_reason(error)}. Check the name, HF_ENDPOINT, HF_HUB_OFFLINE and, for a private "
            "one, HF_TOKEN"
        ) from error
    return folder


def _check_whole(folder: Path, names: list[str]) -> None:
    """Raise `OSError` if a file is missing; the hub's package takes what is there for whole if the hub goes away."""
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise OSError(f"{len(missing)} of {len(names)} files did not arrive, the first is {missing[0]}")


def _reason(error: Exception) -> str:
    """Return in a few words why the hub gave nothing."""
    from huggingface_hub.errors import (
        GatedRepoError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    known = {
        GatedRepoError: "its terms have to be accepted on the hub first",
        RepositoryNotFoundError: "the hub has no such data set, or shows it to nobody who is not logged in",
        RevisionNotFoundError: "it has no such revision",
        OfflineModeIsEnabled: "HF_HUB_OFFLINE is set, and it has not been fetched as a whole before",
    }
    for kind, words in known.items():
        if isinstance(error, kind):
            return words
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")
