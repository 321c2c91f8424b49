"""Judging what was put into words: which concepts each rare thing fits, and whether it is an outlier after all."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mekiki.catalog.db import Catalog
from mekiki.catalog.describing import (
    CLASS_NAME,
    DESCRIPTIONS_NAME,
    STAGE,
    DecidedBy,
    Described,
    Descriptions,
    captions_of,
)
from mekiki.catalog.mining import COMBINED, Mining, read_rarity
from mekiki.catalog.results import hash_rows
from mekiki.catalog.runs import failures_of, make_latest
from mekiki.engine.concept_fitting import Fit, Words, fit_concepts, labels_of, open_words
from mekiki.engine.run import Engine, Outcome
from mekiki.errors import BackendError, DataError
from mekiki.models.caption_settings import CaptionSettings
from mekiki.models.describe_prompts import OTHERS
from mekiki.rarity.class_names import plain_name
from mekiki.rarity.concepts import has_keyword, is_uncommon, name_top
from mekiki.rarity.early import SEED2, SEED2_KEYWORDS
from mekiki.records import RunSummary, Tally

NOT_ASKED = "not asked yet"


@dataclass(frozen=True, slots=True)
class Judge:
    """How the selection of one mining is judged.

    Attributes:
        mining: It.
        captioner: Who was asked: ``vlm:MODEL``, ``qwen-vl:NAME`` or `CLASS_NAME`.
        settings: With the rule that ``auto`` came to.
        words: For the rule ``concepts``.
        why: That rule; empty where the user chose it.
    """

    mining: Mining
    captioner: str
    settings: CaptionSettings
    words: Words | None
    why: str = ""

    @property
    def notes(self) -> list[str]:
        """What the user should know, before anybody is asked: which rule, and what it does not look at."""
        is_free = self.captioner != CLASS_NAME and self.settings.prompt == "describe"
        unread = (
            f"free descriptions decide nothing, since the rule {self.settings.final_rule} reads the class's name: "
            "--prompt name lets the model's answer decide"
        )
        return [*([self.why] if self.why else []), *([unread] if is_free and self.words is None else [])]


def make_judge(catalog: Catalog, settings: CaptionSettings, mining: Mining, captioner: str) -> Judge:
    """Return how a selection is judged; the words' embedder is opened.

    Raises:
        DataError: If concepts are to decide and there are none, or no vectors, or words lie in another space.
        BackendError: If concepts are to decide and the embedder has no words, or cannot be opened.
    """
    rule, why = settings.final_rule, ""
    words: Words | None = None
    if rule in ("auto", "concepts"):
        try:
            words = open_words(catalog, settings, mining)
        except (BackendError, DataError) as error:
            if rule == "concepts":
                raise
            is_seed2 = mining.settings.get("preset") == SEED2
            rule, like = ("keywords", " as in seed 2") if is_seed2 else ("names", "")
            why = f"{rule} decide{like}, since concepts cannot: {error}"
    if words is not None and rule == "auto":
        rule, why = "concepts", f"concepts decide, by {words.run.space}"
    return Judge(mining, captioner, settings.model_copy(update={"final_rule": rule}), words, why)


def judge(catalog: Catalog, engine: Engine, how: Judge, captions_run_id: str) -> RunSummary:
    """Judge the selection by what a run of ``caption`` wrote, and write ``descriptions.json``."""
    mining = how.mining
    found, failures = captions_of(catalog, captions_run_id), failures_of(catalog, captions_run_id)
    told = [
        _told(how, one.item_id, found, {item_id: failure.reason for item_id, failure in failures.items()})
        for one in mining.selected
    ]
    tally = _tally(catalog, how, found, failures)
    reads = {
        "mining": mining.run_id,
        "captions": captions_run_id,
        "texts": hash_rows([(one.item_id, one.text, one.source, one.trouble) for one in told] + [(tally.line(),)]),
    }
    if how.words is not None:
        reads["vectors"] = how.words.run.run_id

    def compute(run_id: str) -> Outcome:
        judged = _judged(catalog, how, told)
        n_final = sum(one.is_final_outlier for one in judged)
        final = Tally(
            "final outliers",
            "objects",
            len(judged),
            n_final,
            len(judged) - n_final,
            why=_reason(how.settings.final_rule) if n_final < len(judged) else "",
        )
        descriptions = Descriptions(
            run_id,
            captions_run_id,
            mining.run_id,
            how.captioner,
            {one.item_id: one for one in judged},
            (tally, final),
        )
        text = json.dumps(descriptions.to_json(), ensure_ascii=False, indent=1, allow_nan=False)
        return Outcome(
            len(judged),
            files={DESCRIPTIONS_NAME: text},
            extra={"counts": [tally.to_json(), final.to_json()], "judgement": _summed(descriptions, how)},
            notes=[tally.line(), final.line(), _sources_line(judged), *how.notes],
        )

    identity = "" if how.words is None else how.words.texts.space.embedder_id
    summary = engine.once(catalog, STAGE, how.settings, reads, compute, identity=identity)
    make_latest(catalog, summary.run_id)
    return summary


def _told(how: Judge, item_id: str, found: Mapping[str, tuple[str, str]], failures: Mapping[str, str]) -> Described:
    """Return one thing with its text: a model's, else the class's name, and why that stands in."""
    name = how.mining.class_of.get(item_id, "")
    text, source = found.get(item_id, ("", CLASS_NAME))
    if text and source != CLASS_NAME:
        return Described(item_id, text, source, class_name=name)
    trouble = "" if how.captioner == CLASS_NAME else failures.get(item_id, NOT_ASKED)
    return Described(item_id, name, CLASS_NAME, trouble, name, "class-name")


def _tally(catalog: Catalog, how: Judge, found: Mapping[str, tuple[str, str]], failures: Mapping[str, Any]) -> Tally:
    """Return how many of all that was mined a model described, and how many have the name of their class."""
    everything = read_rarity(catalog, how.mining.run_id).get(COMBINED, {})
    n_described = sum(found.get(item_id, ("", CLASS_NAME))[1] != CLASS_NAME for item_id in everything)
    n_failed = sum(item_id in failures for item_id in everything)
    n_open = sum(
        how.captioner != CLASS_NAME and one.item_id not in failures and one.item_id not in found
        for one in how.mining.selected
    )
    n_all = len(everything)
    n_named = n_all - n_described - n_failed
    why = "class name, no call" + (f"; {n_open} of them {NOT_ASKED}" if n_open else "")
    return Tally("describing", "objects", n_all, n_described, n_named, n_failed, why if n_named else "")


def _judged(catalog: Catalog, how: Judge, told: Sequence[Described]) -> list[Described]:
    words = how.words
    judged = [_by_name(how, one) for one in told] if words is None else _by_concepts(catalog, how, words, told)
    return [replace(one, targets=_targets(how.mining, one)) for one in judged]


def _by_name(how: Judge, one: Described) -> Described:
    """Judge by the class's name, or by the name that a model chose."""
    is_named = one.source != CLASS_NAME and how.settings.prompt == "name"
    name = one.text if is_named else one.class_name
    rule: DecidedBy = "keywords" if how.settings.final_rule == "keywords" else "names"
    if rule == "keywords":
        given = how.settings.keywords or (SEED2,)
        words = [word for one_given in given for word in (SEED2_KEYWORDS if one_given == SEED2 else (one_given,))]
        spelled = how.mining.named.get(one.item_id, "")
        is_final = has_keyword(name, words) or (not is_named and has_keyword(spelled, words))
    else:
        is_final = is_uncommon(name, how.mining.common_classes)
    judged = replace(one, judged_on="text" if is_named else "class-name")
    return replace(judged, top_concept=name, is_final_outlier=is_final, decided_by=rule)


def _by_concepts(catalog: Catalog, how: Judge, words: Words, told: Sequence[Described]) -> list[Described]:
    """Judge by the best concept; a thing that fits none, or has been called something else, is judged by its name."""
    labels, texts = labels_of(how.mining), [(one.item_id, one.text) for one in told]
    fits = fit_concepts(catalog, words, labels, texts, how.settings.weight_text, use_image=how.settings.use_image)
    return [_by_concept(how, one, fit) for one, fit in zip(told, fits, strict=True)]


def _by_concept(how: Judge, one: Described, fit: Fit) -> Described:
    is_something_else = one.source != CLASS_NAME and how.settings.prompt == "name" and one.text == OTHERS
    if is_something_else or not fit.concepts:
        return _by_name(how, one)
    return replace(
        one,
        top_concept=name_top(fit.concepts),
        concepts={name: round(score, 6) for name, score in fit.concepts.items()},
        is_final_outlier=is_uncommon(next(iter(fit.concepts)), how.mining.common_classes),
        decided_by="concepts",
        weight_text=None if fit.weight_text is None else round(fit.weight_text, 6),
        used_image=fit.weight_text is not None,
    )


def _targets(mining: Mining, one: Described) -> tuple[str, ...]:
    """Return the targets that a thing may be, by its class, by a model's words, and by its best concept."""
    answer = one.text if one.source != CLASS_NAME else None
    by_class = mining.targets_of(one.item_id, answer)
    best = plain_name(next(iter(one.concepts), ""))
    by_concept = {name for name in map(plain_name, mining.target_classes) if name == best}
    return tuple(sorted({*by_class, *by_concept}))


def _reason(rule: str) -> str:
    return {
        "concepts": "the best concept is a common class",
        "names": "its name is a common class",
        "keywords": "no keyword in its class",
    }[rule]


def _sources_line(judged: Sequence[Described]) -> str:
    counts = Counter(one.source for one in judged)
    shown = ", ".join(f"{n} by {source}" for source, n in counts.most_common()) or "none"
    return f"texts of the {len(judged)} chosen: {shown}"


def _summed(descriptions: Descriptions, how: Judge) -> dict[str, Any]:
    """Return what a summary says of a judgement."""
    judged = list(descriptions.described.values())
    targets = Counter(name for one in judged for name in one.targets)
    return {
        "run_id": descriptions.run_id,
        "captioner": how.captioner,
        "rule": how.settings.final_rule,
        "n_final_outliers": len(descriptions.final_outliers()),
        "n_described": sum(one.source != CLASS_NAME for one in judged),
        "n_class_names": sum(one.source == CLASS_NAME for one in judged),
        "targets": dict(sorted(targets.items())),
    }
