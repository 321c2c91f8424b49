"""What vectors are vectors of: which embedder made them, from which pixels, and what a head does to them first."""

from __future__ import annotations

from typing import Literal

import pydantic

from mekiki.errors import DataError
from mekiki.media.preprocessing import Preprocessing


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Projection(_Part):
    """A linear map that a head sees its vectors through; its matrix lies among the head's tensors.

    Attributes:
        kind: ``orthogonal`` is seed 5's random one, ``pca`` was found on the training part, ``file`` was given.
        n_dims: Of what comes out.
        fingerprint: 16 hex digits of SHA-256 over the matrix and the mean, where there is one.
    """

    kind: Literal["orthogonal", "pca", "file"]
    n_dims: int = pydantic.Field(ge=1)
    fingerprint: str


class VectorSpace(_Part):
    """Vectors that may be compared with each other; part of a head's card, so that no others can be used with it.

    Attributes:
        embedder: As ``embed --embedder`` takes it; empty where nobody knows, as of a foreign head.
        embedder_id: 16 hex digits that stand for weights, preprocessing and which output; empty where nobody knows.
            The runtime and the precision of the arithmetic do not count.
        n_dims: Of a vector.
        preprocessing: How pictures become the embedder's input; None for vectors that were imported.
        is_normalised: Of a head: vectors are scaled to unit length before all else.
        projection: Of a head: what they go through then.
    """

    embedder: str = ""
    embedder_id: str = ""
    n_dims: int = pydantic.Field(ge=1)
    preprocessing: Preprocessing | None = None
    is_normalised: bool = True
    projection: Projection | None = None

    def __str__(self) -> str:
        name = self.embedder or "an unknown embedder"
        return f"{name} ({self.embedder_id[:8] or 'no id'}, {self.n_dims} dimensions)"


def check_same_space(wanted: VectorSpace, given: VectorSpace, what: str) -> None:
    """Refuse vectors that are not those which something was made for.

    Where one side has no id, as of a foreign head or imported vectors, names are compared; where one has no name
    either, only the number of dimensions can be.

    Args:
        wanted: What it was made for.
        given: What is there.
        what: What wants them, for the message: ``model 'unsafe'``.

    Raises:
        DataError: If they differ, naming both.
    """
    has_ids = bool(wanted.embedder_id and given.embedder_id)
    if wanted.n_dims != given.n_dims:
        why = "of another length"
    elif has_ids and wanted.embedder_id == given.embedder_id:  # a file of the same content may have moved
        return
    elif wanted.embedder and given.embedder and wanted.embedder != given.embedder:
        why = "of another embedder"
    elif not has_ids:
        return
    elif wanted.preprocessing != given.preprocessing:
        why = "of the same embedder with other preprocessing"
    else:
        why = "of other weights, or another output, of the same embedder"
    hint = (
        "Embed with the first"
        if wanted.embedder
        else "Find out which embedder it was made for, and give that with --embedder"
    )
    raise DataError(f"{what} was made for vectors of {wanted}, and these are of {given}: {why}. {hint}")
