"""Arithmetic of fewer bits, taken only where the user's own pictures keep their vectors.

N is the number of pictures. A cosine is that of a picture's vector to the one in fp32. int8 is NNCF's post-training
quantisation with SmoothQuant (Xiao et al. 2023, equation 4) for networks of the transformer kind, calibrated on some
pictures and checked on others. What was made and measured is kept in a folder of its own, so that later runs, with
more pictures, compute with the same graph.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mekiki.errors import DataError
from mekiki.models.embed_opening import Precision
from mekiki.models.int8 import graph_ids, write_int8
from mekiki.models.precision_check import MIN_COSINE, Check, read_check
from mekiki.models.precision_sample import N_CHECKED, Sample
from mekiki.models.runners import Pictures, Runner, check_precision, open_runner, precisions

if TYPE_CHECKING:
    from mekiki.models.embed_source import Tower

N_CALIBRATION, N_FEWEST = 200, 20
KEPT = "as the vectors that are there; another --precision embeds all pictures again"
AUTO_FROM = {"int8": 2_000, "bf16": 300}
"""Pictures from which ``auto`` takes a precision: with fewer, making and checking it takes longer than it saves."""

CHECK, GRAPH = "check.json", "graph.xml"
_BATCH = 16


@dataclass(frozen=True, slots=True)
class Settled:
    """The precision that is taken, with the check that it passed and, of int8, its graph; and why, for the user."""

    precision: Precision
    why: str
    check: Check | None = None
    graph: Path | None = None


class Precisions:
    """The precisions that one network can be run in on one runtime, as far as this workspace's pictures allow.

    Args:
        tower: The network.
        runtime: ``torch``, ``onnx`` or ``openvino``.
        device: As `mekiki.models.runners.place` gives it.
        folder: Where graphs and checks of all networks are kept.
        sample: Reads at most so many of the user's pictures, the same ones as long as there are no others.
        say: Tells the user what takes its time.
    """

    def __init__(
        self,
        tower: Tower,
        runtime: str,
        device: str,
        folder: Path,
        *,
        sample: Callable[[int], Sample],
        say: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._tower = tower
        self._runtime = runtime
        self._device = device
        self._folder = folder
        self._sample = sample
        self._say = say
        self._read: Sample | None = None
        self._exact: NDArray[np.float32] | None = None
        self._told: list[str] = []

    def settle(
        self, wanted: Precision, n_pictures: int, *, may_check: bool = True, earlier: str | None = None
    ) -> Settled | None:
        """Return what a wanted precision comes to.

        Args:
            wanted: One precision, or ``auto`` for the fastest that passes and is worth making.
            n_pictures: How many there are to embed.
            may_check: Whether to make and check what has not been yet; if not, None stands for not known yet.
            earlier: Of the vectors that are there; ``auto`` goes on in it, so that no picture is embedded again.

        Raises:
            UsageError: If the runtime does not compute in it.
            DataError: If there are too few pictures to check it on, or their vectors change too much.
        """
        if wanted == "auto":
            return self._fastest(n_pictures, may_check, earlier)
        check_precision(self._runtime, self._device, wanted)
        if wanted == "fp32":
            return Settled("fp32", "fp32: exact")
        check = self._kept(wanted)
        if check is not None and check.is_passed:
            return self._taken(check)
        if not may_check:
            return None
        if (n_there := len(self._pictures())) < N_FEWEST:
            raise DataError(
                f"{wanted} is checked on {N_FEWEST} pictures or more, and {n_there} can be read. Type: --precision fp32"
            )
        check = self._check(wanted)
        if not check.is_passed:
            raise DataError(f"{check}, and {MIN_COSINE} is the least. Type: --precision auto")
        return self._taken(check)

    def _fastest(self, n_pictures: int, may_check: bool, earlier: str | None) -> Settled | None:
        reasons = []
        order = sorted(self._all(), key=lambda one: one != earlier)
        if earlier == "fp32":
            return Settled("fp32", f"fp32: exact, {KEPT}")
        for precision in order[:-1]:
            check = self._kept(precision)
            if check is None and n_pictures < AUTO_FROM[precision] and precision != earlier:
                reasons.append(f"{precision} is worth its check from {AUTO_FROM[precision]:,} pictures on")
                continue
            if check is None and not may_check:
                return None
            if check is None and len(self._pictures()) < N_FEWEST:
                reasons.append(f"fewer than {N_FEWEST} pictures can be read to check {precision} on")
                continue
            check = check or self._check(precision)
            if check.is_passed:
                return self._taken(check, [KEPT] if precision == earlier else reasons)
            reasons.append(f"{check}, below {MIN_COSINE}")
        only = f"all that {self._runtime} computes in on this machine's {self._device}"
        return Settled("fp32", f"fp32: {'; '.join(reasons) or only}")

    def _all(self) -> tuple[Precision, ...]:
        return precisions(self._runtime, self._device)

    def _pictures(self) -> Sample:
        if self._read is None:
            self._read = self._sample(N_CALIBRATION + N_CHECKED)
        return self._read

    def _place(self, precision: Precision) -> Path:
        return self._folder / f"{self._tower.space.embedder_id}-{precision}"

    def _kept(self, precision: Precision) -> Check | None:
        """Return an earlier check that still holds, passed or not: same runtime, same version of it, same graph."""
        check = self._noted(precision)
        if check is None or (check.runtime, check.version) != (self._runtime, _version(self._runtime)):
            return None
        return check if self._is_whole(check) else None

    def _noted(self, precision: Precision) -> Check | None:
        check = read_check(self._place(precision) / CHECK)
        return check if check is not None and check.precision == precision else None

    def _is_whole(self, check: Check) -> bool:
        """Return whether a graph is still, to the byte, what was checked."""
        graph = self._place(check.precision) / GRAPH
        return not check.graph_id or graph_ids(graph) == (check.graph_id, check.graph_text)

    def _taken(self, check: Check, reasons: Sequence[str] = ()) -> Settled:
        graph = self._place(check.precision) / GRAPH if check.graph_id else None
        return Settled(check.precision, "; ".join([str(check), *reasons, *self._told]), check, graph)

    def _check(self, precision: Precision) -> Check:
        """Make what the precision needs, measure it, and keep both, whether it passes or not.

        A graph is taken as it is if it is whole and was calibrated on the same pictures, as when a newer version of
        the runtime is to be checked with it.
        """
        calibration, checked = self._pictures().halves()
        noted, place = self._noted(precision), self._place(precision)
        if (place / CHECK).exists() and (noted is None or not self._is_whole(noted)):
            self._told.append(f"what is in {place} was no longer what was checked, and was made anew")
        part = place.with_name(f"{place.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        graph = part / GRAPH if precision == "int8" else None
        if graph is not None and noted is not None and self._is_whole(noted) and noted.sample == self._fingerprint():
            shutil.copytree(place, part, dirs_exist_ok=True)
        elif graph is not None:
            self._say(f"making an {precision} graph with {len(calibration)} of your pictures")
            write_int8(self._tower, calibration.pixels, graph)
        self._say(f"measuring {precision} against fp32 on {len(checked)} of your pictures")
        graph_id, graph_text = ("", "") if graph is None else graph_ids(graph)
        cosines = cosines_between(self._vectors(precision, checked, graph), self._exact_vectors(checked))
        check = Check(
            precision=precision,
            runtime=self._runtime,
            mean_cosine=round(float(cosines.mean()), 6),
            lowest_cosine=round(float(cosines.min()), 6),
            n_checked=len(checked),
            n_calibrated=len(calibration) if graph else 0,
            sample=self._fingerprint(),
            graph_id=graph_id,
            graph_text=graph_text,
            version=_version(self._runtime),
        )
        (part / CHECK).write_text(check.to_json(), encoding="utf-8")
        shutil.rmtree(place, ignore_errors=True)
        part.rename(place)
        return check

    def _fingerprint(self) -> str:
        return self._pictures().fingerprint()

    def _exact_vectors(self, checked: Sample) -> NDArray[np.float32]:
        if self._exact is None:
            self._exact = self._vectors("fp32", checked, None)
        return self._exact

    def _vectors(self, precision: Precision, sample: Sample, graph: Path | None) -> NDArray[np.float32]:
        return run_all(open_runner(self._tower, self._runtime, self._device, precision, graph), sample.pixels)


def _version(runtime: str) -> str:
    """Return the version of a runtime's package; empty if it is not installed."""
    try:
        return version({"onnx": "onnxruntime"}.get(runtime, runtime))
    except PackageNotFoundError:
        return ""


def run_all(runner: Runner, pixels: Pictures) -> NDArray[np.float32]:
    """Return ``(N, D)``, a few pictures at a time."""
    return np.concatenate([runner.run(pixels[at : at + _BATCH]) for at in range(0, len(pixels), _BATCH)])


def cosines_between(given: NDArray[np.float32], exact: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return ``(N,)`` cosines row by row; a row of zeros, or of what is no number, has 0 to everything."""
    left, right = given.astype(np.float64), exact.astype(np.float64)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (left * right).sum(axis=1) / lengths
    return np.where(np.isfinite(found), found, 0.0)
