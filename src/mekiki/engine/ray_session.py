"""A connection to Ray: one that we start on this machine and end again, or a cluster that is there."""

from __future__ import annotations

import os
import platform
import secrets
import socket
import sys
from pathlib import Path
from typing import Any

from mekiki.errors import BackendError, UsageError
from mekiki.training.optional import import_ray

LOCAL = "local"

_QUIET = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a warning otherwise; workers without GPUs see what we see
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # Ray tells of killed workers on stdout, where --json prints one object
}

KNOCK_S = 10.0

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Environment variables that say how many threads one process computes with."""


class RaySession:
    """Connects when it is first needed, and ends what it started.

    Args:
        address: Of a cluster; None for ``RAY_ADDRESS``, and where that is not set, for this machine.
        n_cpus: Workers that must have a place on this machine; None for as many as it has processors.
    """

    def __init__(self, address: str | None = None, n_cpus: int | None = None) -> None:
        self._address = address
        self._n_cpus = n_cpus
        self._ray: Any = None
        self._is_ours = False

    @property
    def address(self) -> str:
        """What to connect to; ``local`` to start Ray on this machine."""
        return self._address or os.environ.get("RAY_ADDRESS") or LOCAL

    @property
    def place(self) -> str:
        """Where workers are, in words."""
        return "on this machine" if self.address == LOCAL else f"at {self.address}"

    def connect(self) -> Any:
        """Return the package, connected.

        A session that the program has begun itself is used as it is.

        Raises:
            UsageError: If the program has begun one elsewhere than at the address that was given.
            MissingExtraError: If Ray is not installed.
            BackendError: If it cannot be started, or no cluster answers.
        """
        if self._ray is None:
            os.environ.update({name: os.environ.get(name, value) for name, value in _QUIET.items()})
            self._ray = import_ray()
        if not self._ray.is_initialized():
            self._start(self._ray)
        elif self._address not in (None, "auto", self._ray.get_runtime_context().gcs_address):
            raise UsageError(
                f"this program is connected to Ray at {self._ray.get_runtime_context().gcs_address}, not at "
                f"{self._address}. Leave the address out, or call ray.shutdown() before"
            )
        return self._ray

    def _start(self, ray: Any) -> None:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if self.address == LOCAL:
            # Ray would keep a token of its own in the home folder; this one lives as long as the process.
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
            options |= {"num_cpus": max(_n_processors(), self._n_cpus or 1), "include_dashboard": False}
        try:
            _knock(self.address)  # Ray itself knocks for a quarter of an hour
            self._is_ours = True
            ray.init(address=self.address, **options)
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            where = (
                "Ray cannot be started here" if self.address == LOCAL else f"no Ray cluster answers at {self.address}"
            )
            reason = str(error).strip().partition("\n")[0]
            raise BackendError(f"{where} ({reason}). Mend RAY_ADDRESS, or leave --engine ray out") from error

    def n_workers(self, *, on_gpu: bool) -> int:
        """Return how many workers have a place at once.

        Raises:
            BackendError: If they need GPUs and there are none.
        """
        n_places = int(self._ray.cluster_resources().get("GPU" if on_gpu else "CPU", 0))
        if on_gpu and not n_places:
            raise BackendError("Ray has no GPU to give. Type: --device cpu")
        return max(1, n_places)

    def n_cpus_each(self, n_workers: int) -> int:
        """Return the processors that each of so many workers may use, so that one fits on every machine."""
        cpus = [int(node["Resources"].get("CPU", 0)) for node in self._ray.nodes() if node["Alive"]]
        return max(1, min(sum(cpus) // n_workers, max(cpus, default=1)))

    def environment(self, n_threads: int) -> dict[str, str]:
        """Return the environment of a worker: how many threads it computes with, and where our code is."""
        found = {name: os.environ.get(name, str(n_threads)) for name in THREADS}
        machines = {node["NodeManagerHostname"] for node in self._ray.nodes() if node["Alive"]}
        if machines == {platform.node()}:  # elsewhere our folders are not
            found["PYTHONPATH"] = os.pathsep.join(_own_paths())
        return found

    def close(self) -> None:
        """End what this session started; workers, files and all."""
        if self._is_ours:
            self._ray.shutdown()
        self._is_ours = False


def _knock(address: str) -> None:
    """Raise `OSError` if an address of the form ``host:port`` does not answer."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        with socket.create_connection((host.strip("[]"), int(port)), KNOCK_S):
            pass


def _n_processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _own_paths() -> list[str]:
    """Return where Python looks for code here, beside the folders that every process of this Python looks into."""
    known = (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix)
    paths = [Path(path).absolute() for path in sys.path]
    return [str(path) for path in paths if not any(path.is_relative_to(root) for root in known)]
