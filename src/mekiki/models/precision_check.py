"""What was measured of a precision on the user's pictures, as a file that shows whether it was changed since."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated

import pydantic

from mekiki.models.embed_opening import Precision

MIN_COSINE = 0.999
"""Mean over the pictures that a precision is checked on; below it is refused."""

_ID = "check_id"
Cosine = Annotated[float, pydantic.Field(ge=-1, le=1)]


class Check(pydantic.BaseModel):
    """How near vectors in a precision are to those in fp32.

    Attributes:
        precision: What was checked.
        runtime: On which it was.
        mean_cosine: Over the checked pictures.
        lowest_cosine: Of the one that changed most.
        n_checked: How many there were; none of them was calibrated on.
        n_calibrated: How many were.
        sample: Stands for all of them.
        graph_id: 16 hex digits of SHA-256 of the 8-bit graph; empty without one.
        graph_text: The same of the ``.xml`` that goes with it.
        version: Of the runtime's package.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    precision: Precision
    runtime: str
    mean_cosine: Cosine
    lowest_cosine: Cosine
    n_checked: int
    n_calibrated: int
    sample: str
    graph_id: str = ""
    graph_text: str = ""
    version: str = ""

    @property
    def is_passed(self) -> bool:
        """Whether vectors in it may stand for those in fp32."""
        return self.mean_cosine >= MIN_COSINE

    def __str__(self) -> str:
        return (
            f"{self.precision} vectors of {self.n_checked} of your pictures have a mean cosine of "
            f"{self.mean_cosine:.5f} to those in fp32, the lowest {self.lowest_cosine:.5f}"
        )

    def to_json(self) -> str:
        """Return it as it stands in its file, with 16 hex digits that stand for all of it."""
        return json.dumps({**self.model_dump(), _ID: self._digest()}, indent=2)

    def _digest(self) -> str:
        return hashlib.sha256(json.dumps(self.model_dump(), sort_keys=True).encode()).hexdigest()[:16]


def read_check(path: Path) -> Check | None:
    """Return what `Check.to_json` gave; None if there is no such file, or it is not what was written."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        check_id = said.pop(_ID, "") if isinstance(said, dict) else ""
        check = Check.model_validate(said)
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    return check if check._digest() == check_id else None
