"""What ``mine`` ranks: items that have a vector, with the class that a detector or labels give them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.crops import Crop, crops_of, require_detections
from mekiki.catalog.db import Catalog
from mekiki.catalog.embedded_crops import read_taken
from mekiki.catalog.items import require_items, select_items
from mekiki.catalog.mining import Mining
from mekiki.catalog.results import hash_rows, read_labels
from mekiki.catalog.runs import failures_of
from mekiki.catalog.vectors import StoredVectors, VectorRun, require_vectors, vector_runs
from mekiki.engine.head_inputs import hash_vectors, pages
from mekiki.engine.mine_settings import MineSettings
from mekiki.engine.queries import opening_of
from mekiki.errors import BackendError, DataError, MissingExtraError, NoWordsError, UsageError
from mekiki.models.base import TextEmbedder
from mekiki.models.embed import EmbedderOpening, open_text_embedder
from mekiki.neighbours.tables import to_unit_length
from mekiki.rarity.base import SCORERS
from mekiki.rarity.class_names import ClassMap, plain_names
from mekiki.rarity.concept_files import concept_names, read_class_map, read_concepts
from mekiki.rarity.pile import Pile
from mekiki.records import Tally
from mekiki.training.vector_space import check_same_space

NO_VECTORS = "there are none, and no scorer needs one"

OpenWords = Callable[[EmbedderOpening], TextEmbedder]


@dataclass(frozen=True, slots=True)
class Gathered:
    """What is ranked, before a vector is compared.

    Attributes:
        item_ids: Of what has a vector, in the order of ids; may be empty.
        crops: Crop id to what was detected, of those that have a vector.
        named: Item to its class as the detector or the labels spell it; items without a class are missing.
        class_of: The same, mapped.
        class_map: How names were mapped.
        concepts: The vocabulary.
        run: Whose vectors; None where there was nothing to rank, or nobody needs one and there is none.
        detect_run_id: Whose crops; None without crops.
        tallies: What came in, and what has no vector.
        unit: What is counted, in the plural.
        reads: What a run's result depends on beside its settings.
    """

    item_ids: tuple[str, ...]
    crops: Mapping[str, Crop]
    named: Mapping[str, str]
    class_of: Mapping[str, str]
    class_map: ClassMap
    concepts: tuple[str, ...]
    run: VectorRun | None
    detect_run_id: str | None
    tallies: tuple[Tally, ...]
    unit: str = "crops"
    reads: Mapping[str, str] = field(default_factory=dict)


def gather_mined(catalog: Catalog, settings: MineSettings, as_in: Mining | None = None) -> Gathered:
    """Return what there is to rank, and refuse what the scorers cannot be asked about.

    Args:
        catalog: The workspace.
        settings: Of ``mine``, after their preset.
        as_in: A mining whose class map and concepts count, whatever their files say by now; None reads the files.

    Raises:
        DataError: If nothing was ingested, detected or embedded, or a scorer needs classes and there are none.
        UsageError: If a run, a file or a name does not exist, or a setting does nothing.
    """
    settings.check_useful()
    require_items(catalog)
    if as_in is None:
        class_map, concepts = read_class_map(settings.class_map), concept_names(read_concepts(settings.concepts))
    else:
        class_map, concepts = as_in.class_map, as_in.concepts
    detected = require_detections(catalog, settings.detections) if "crop" in settings.kind else None
    crops = {one.item_id: one for one in crops_of(catalog, detected.run_id)} if detected else {}
    others = [kind for kind in settings.kind if kind != "crop"]
    wanted = sorted({*crops, *(item.item_id for item in select_items(catalog, others))} if others else crops)
    unit = "items" if others else "crops"
    run, left_out = _vectors_of(catalog, settings, wanted, crops, detected.run_id if detected else "")
    item_ids, tally = _with_vectors(catalog, run, wanted, left_out, unit)
    named = _classes(catalog, item_ids, crops)
    found = Gathered(
        item_ids=item_ids,
        crops={item_id: crops[item_id] for item_id in item_ids if item_id in crops},
        named=named,
        class_of={item_id: class_map.mapped(name) for item_id, name in named.items()},
        class_map=class_map,
        concepts=concepts,
        run=run,
        detect_run_id=detected.run_id if detected else None,
        tallies=(tally,),
        unit=unit,
        reads={
            "vectors": run.run_id if run else "",
            "vector_rows": hash_vectors(StoredVectors(catalog, run), item_ids) if run else "",
            "detections": detected.run_id if detected else "",
            "boxes": hash_rows((one.item_id, one.class_name, one.score, one.box) for one in crops.values()),
            "classes": hash_rows(sorted(named.items())),
            "concepts": hash_rows([concepts]),
            "class_map": hash_rows(
                [*sorted(class_map.table.items()), *sorted(class_map.said_for.items()), class_map.missing]
            ),
        },
    )
    _check_classes(settings, found)
    return found


def build_pile(
    catalog: Catalog,
    settings: MineSettings,
    gathered: Gathered | None = None,
    open_words: OpenWords = open_text_embedder,
) -> tuple[tuple[str, ...], Mapping[str, Crop], Pile]:
    """Return what scorers look at: N item ids, the crops among them by id, and the pile, row i for item i.

    Args:
        catalog: The workspace.
        settings: Of ``mine``; their preset is applied.
        gathered: Of `gather_mined`, if that was called before.
        open_words: Opens the text side of an embedder, where a scorer needs words.

    Raises:
        DataError: As `gather_mined`, and if words lie in another space than the vectors.
        BackendError: If a scorer needs words and the embedder of the vectors has none.
    """
    settings = settings.with_preset()
    known = gathered or gather_mined(catalog, settings)
    vectors = StoredVectors(catalog, known.run).read(known.item_ids) if known.run else None
    if vectors is None and not known.item_ids:
        vectors = np.zeros((0, 1), np.float32)
    has_classes = bool(known.class_of)
    pile = Pile(
        vectors=to_unit_length(vectors) if settings.normalise and vectors is not None else vectors,
        class_names=tuple(known.class_of.get(item_id, "") for item_id in known.item_ids) if has_classes else (),
        common=_common_words(catalog, settings, known, open_words),
        keywords=settings.keywords,
        map_method=settings.map_method,
        n_neighbours=settings.n_neighbours,
        seed=settings.seed,
    )
    return known.item_ids, known.crops, pile


def _vectors_of(
    catalog: Catalog, settings: MineSettings, wanted: Sequence[str], crops: Collection[str], detect_run_id: str
) -> tuple[VectorRun | None, set[str]]:
    """Return `_vector_run`, or none where there is nothing to rank, or no vector and nobody who needs one."""
    if not wanted:
        return None, set()
    try:
        return _vector_run(catalog, settings, wanted, crops, detect_run_id)
    except DataError:
        is_needed = settings.at_most_alike or any(SCORERS.load(name).needs_vectors for name in settings.scorers)
        is_filtered = any(read_taken(catalog, run.run_id, detect_run_id) is not None for run in vector_runs(catalog))
        if settings.vectors or is_needed or is_filtered:
            raise
        return None, set()


def _vector_run(
    catalog: Catalog, settings: MineSettings, wanted: Sequence[str], crops: Collection[str], detect_run_id: str
) -> tuple[VectorRun, set[str]]:
    """Return the run that is named, or else the latest that has a vector of any of these, and what its filter drops."""
    named = require_vectors(catalog, settings.vectors)
    given = settings.vectors
    is_id = given is not None and named.run_id.startswith(given)
    runs = [named] if is_id else [run for run in vector_runs(catalog) if run.is_finished]
    for run in runs:
        if given is None or is_id or run.space.embedder == named.space.embedder:
            taken = read_taken(catalog, run.run_id, detect_run_id)
            left_out = set() if taken is None else set(crops) - taken
            if StoredVectors(catalog, run).having(wanted) - left_out:
                return run, left_out
    kinds = " ".join(f"--kind {kind}" for kind in settings.kind)
    whose = f" of {given}" if given else ""
    raise DataError(
        f"none of {len(wanted)} items has a vector{whose} (none was embedded, or keywords left all of them out): "
        f"mekiki embed {kinds} -w {catalog.workspace}"
    )


def _with_vectors(
    catalog: Catalog, run: VectorRun | None, wanted: Sequence[str], left_out: set[str], unit: str
) -> tuple[tuple[str, ...], Tally]:
    """Return those that an early filter has not left out and that have a vector with a direction; count the others."""
    if run is None:
        return tuple(wanted), Tally("vectors", unit, len(wanted), len(wanted), why=NO_VECTORS if wanted else "")
    stored = StoredVectors(catalog, run)
    having = stored.having(wanted) - left_out
    zeros: set[str] = set()
    for page in pages([item_id for item_id in wanted if item_id in having]):
        is_zero = ~stored.read(page).any(axis=1)
        zeros |= {page[row] for row in np.flatnonzero(is_zero)}
    failed = (set(wanted) - having - left_out) & failures_of(catalog, run.run_id).keys()
    found = tuple(item_id for item_id in wanted if item_id in having and item_id not in zeros)
    n_dropped = len(wanted) - len(found) - len(failed)
    reasons = {
        "not taken by the early filter of embed": len(left_out),
        "without a vector: mekiki embed": n_dropped - len(left_out) - len(zeros),
        "are all zeros": len(zeros),
    }
    why = "; ".join(f"{n} {reason}" for reason, n in reasons.items() if n)
    return found, Tally("vectors", unit, len(wanted), len(found), n_dropped, len(failed), why)


def _classes(catalog: Catalog, item_ids: Sequence[str], crops: Mapping[str, Crop]) -> dict[str, str]:
    """Return the class of each item that has one: the detector's, or of those that labels say the least frequent."""
    bare = {item_id for item_id in item_ids if item_id not in crops}
    said: dict[str, list[str]] = {}
    if bare:
        for item_id, words in read_labels(catalog).items():
            present = [name for name, (state, _) in words.items() if state == "present"]
            if item_id in bare and present:
                said[item_id] = present
    n_of = Counter(name for names in said.values() for name in names)
    rarest = {item_id: min(names, key=lambda name: (n_of[name], name)) for item_id, names in said.items()}
    return {
        item_id: crops[item_id].class_name if item_id in crops else rarest[item_id]
        for item_id in item_ids
        if item_id in crops or item_id in rarest
    }


def _check_classes(settings: MineSettings, found: Gathered) -> None:
    """Refuse scorers that need what is not there."""
    for name in settings.scorers:
        scorer = SCORERS.load(name)
        if scorer.needs_classes and found.item_ids and not found.class_of:
            raise DataError(
                f"scorer {name} compares classes, and none of {len(found.item_ids)} items has one: rank what detect "
                "found (--kind crop), label them (mekiki annotate), or take --scorers knn"
            )
        if scorer.needs_words and not plain_names(settings.common_classes):
            raise UsageError(f"scorer {name} compares with the common classes, and none is named: --common-classes car")


def _common_words(
    catalog: Catalog, settings: MineSettings, known: Gathered, open_words: OpenWords
) -> NDArray[np.float32] | None:
    """Return ``(C, D)`` unit vectors of what is said of the common classes; None where no scorer asks."""
    asking = [name for name in settings.scorers if SCORERS.load(name).needs_words]
    if not asking:
        return None
    if known.run is None:  # nothing to compare, so no embedder is opened
        return np.ones((1, 1), np.float32)
    said = [settings.template.replace("{}", name.replace("_", " ")) for name in plain_names(settings.common_classes)]
    try:
        texts = open_words(opening_of(catalog, known.run, {"allow_code": settings.allow_code}))
    except MissingExtraError:
        raise
    except BackendError as error:
        why = error.for_kinds(settings.kind, "then this again") if isinstance(error, NoWordsError) else error
        raise BackendError(f"scorer {asking[0]} compares with words: {why}") from error
    check_same_space(known.run.space, texts.space, f"scorer {asking[0]}")
    return to_unit_length(texts.embed_texts(said))
