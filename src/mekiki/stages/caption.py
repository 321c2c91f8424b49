"""Stage ``caption``: what is rare, in words. Reads a mining and pictures; writes ``captions`` and ``answers``.

Texts are one run, whose items are done one by one; what they say of the selection is another, ``descriptions.json``.
"""

from __future__ import annotations

from functools import partial

from mekiki.catalog.db import Catalog
from mekiki.catalog.describing import CLASS_NAME, STAGE, captions_of
from mekiki.catalog.items import require_items, select_pictures
from mekiki.catalog.mining import Mining, require_mining
from mekiki.catalog.runs import make_latest, stopping
from mekiki.engine.answers import Answers
from mekiki.engine.ask_run import Errand, estimate_calls, run_errand, spending, spending_line
from mekiki.engine.describing import CaptionWork, ClassNameWork, LocalWork, Pile, mined_pile, refuse_vectors
from mekiki.engine.embedding import Joined
from mekiki.engine.final_judging import judge, make_judge
from mekiki.engine.run import Engine
from mekiki.errors import UsageError
from mekiki.models.caption_settings import CaptionSettings
from mekiki.models.captioners import LOCAL, VLM, resolve_captioner
from mekiki.models.describe_prompts import Wording, read_template, spell_names
from mekiki.models.describe_vlm import DescribeTopic
from mekiki.models.vlm_openai import VlmAsker
from mekiki.records import RunSummary
from mekiki.settings import fingerprint

__all__ = ["CaptionSettings", "caption"]

NAMES_AT_ONCE = 500
"""Class names in one transaction: nothing is lost with them."""

LOCAL_BATCH = 4
"""Pictures that a model on this machine is shown at once, unless the user says otherwise."""


def caption(catalog: Catalog, settings: CaptionSettings, engine: Engine) -> RunSummary:
    """Put what was chosen into words, or every picture, and judge what was chosen."""
    require_items(catalog)
    name, why = resolve_captioner(settings.captioner, has_cap=settings.max_cost is not None)
    settings = settings.model_copy(update={"captioner": name})
    if name == CLASS_NAME and settings.of == "pictures":
        reason = why.partition(": ")[2]
        raise UsageError(
            "--of pictures needs somebody to ask, since a whole picture has no class to stand in, and auto found "
            f"nobody ({reason}): --captioner vlm:MODEL, or --captioner qwen-vl:REPO_OR_FOLDER"
        )
    if why and name == VLM:
        why = f"{why}; it is asked for {settings.model} (--model)"
    mining = require_mining(catalog, settings.mining) if settings.of == "rare" else None
    pile = _pile(catalog, mining)
    base = name.partition(":")[0]
    source = {VLM: f"{VLM}:{settings.model}", LOCAL: name}.get(base, CLASS_NAME)
    judging = None if mining is None else make_judge(catalog, settings, mining, source)
    if base != CLASS_NAME:
        refuse_vectors(pile.chosen)
    if base == VLM:
        summary = _ask(catalog, settings, engine, pile, _wording(settings, mining), source)
    elif base == LOCAL:
        summary = _run_here(catalog, settings, engine, pile, _wording(settings, mining), source)
    else:
        summary = _write_names(catalog, settings, engine, pile)
    summary.extra["captioner"] = source
    if why:
        summary.notes.append(why)
    if engine.dry_run:
        summary.notes += judging.notes if judging else ()
        return summary
    if judging is None:
        make_latest(catalog, summary.run_id)
    else:
        judged = judge(catalog, engine, judging, summary.run_id)
        summary.extra |= {key: judged.extra[key] for key in ("counts", "judgement")}
        summary.outputs |= judged.outputs
        summary.notes += judged.notes
    return summary


def _pile(catalog: Catalog, mining: Mining | None) -> Pile:
    if mining is not None:
        return mined_pile(catalog, mining)
    return Pile(select_pictures(catalog, "mekiki ingest the pictures themselves"), Joined())


def _wording(settings: CaptionSettings, mining: Mining | None) -> Wording:
    """Return what is asked.

    Raises:
        UsageError: If a name is to be chosen and there is none, or the file with the question cannot be read.
    """
    template = "" if settings.prompt_file is None else read_template(settings.prompt_file)
    names: tuple[str, ...] = ()
    if settings.prompt == "name":
        known = () if mining is None else (*mining.concepts, *mining.common_classes, *mining.target_classes)
        names = spell_names(settings.names or known)
    return Wording(settings.prompt, names, settings.language or "en", template)


def _ask(
    catalog: Catalog, settings: CaptionSettings, engine: Engine, pile: Pile, wording: Wording, source: str
) -> RunSummary:
    """Let a server describe the chosen, within what it may cost."""
    asker = VlmAsker(topic=DescribeTopic(wording, pile.guesses, source), **settings.whom())

    def make_work(answers: Answers) -> CaptionWork:
        return CaptionWork(asker, answers, settings.concurrency, settings.workers)

    errand = Errand(STAGE, asker, make_work, pile.reads)
    if engine.dry_run:
        return estimate_calls(catalog, settings, asker, pile.chosen, STAGE, pile.reads)
    with stopping(catalog, STAGE, errand.run_id(settings)):
        named = _name_others(catalog, settings, engine, pile, ClassNameWork(pile.names, asker.identity(), asker.host))
        summary, n_cached = run_errand(catalog, settings, errand, pile.chosen, engine, settings.max_cost)
    texts = captions_of(catalog, summary.run_id).values()
    spent = spending(catalog, asker, summary.run_id, sum(who != CLASS_NAME for _, who in texts))
    summary.extra |= {"asking": {"host": asker.host, **spent}, "n_from_cache": n_cached}
    summary.notes.append(spending_line(spent, n_cached))
    return _joined(summary, named)


def _run_here(
    catalog: Catalog, settings: CaptionSettings, engine: Engine, pile: Pile, wording: Wording, source: str
) -> RunSummary:
    """Let a model on this machine describe the chosen."""
    from mekiki.models.describe_qwen import QwenDescriber, describer_identity

    what = settings.captioner.partition(":")[2]
    make = partial(QwenDescriber, what, device=settings.device, max_new_tokens=settings.max_output_tokens)
    identity = describer_identity(what, settings.max_output_tokens, settings.device)
    work = LocalWork(make, identity, settings.device, source, wording, pile.guesses, settings.long_side)
    settings = settings.without_judging().with_batches_of(LOCAL_BATCH)  # another rule describes nothing again
    if engine.dry_run:
        return engine.map(catalog, STAGE, settings, work, pile.chosen, reads=pile.reads)
    with stopping(catalog, STAGE, fingerprint(STAGE, settings, work.identity(), pile.reads)):
        told = ClassNameWork(pile.names, work.identity(), settings.device)
        named = _name_others(catalog, settings, engine, pile, told)
        return _joined(engine.map(catalog, STAGE, settings, work, pile.chosen, reads=pile.reads), named)


def _write_names(catalog: Catalog, settings: CaptionSettings, engine: Engine, pile: Pile) -> RunSummary:
    """Let the name of its class stand for everything."""
    work = ClassNameWork(pile.names, CLASS_NAME)
    everything = Joined(pile.chosen, pile.others)
    return engine.map(catalog, STAGE, settings.with_batches_of(NAMES_AT_ONCE), work, everything, reads=pile.reads)


def _name_others(
    catalog: Catalog, settings: CaptionSettings, engine: Engine, pile: Pile, work: ClassNameWork
) -> RunSummary:
    """Give what nobody is asked about the name of its class, in the same run."""
    plain = settings.model_copy(update={"limit": None, "batch_size": NAMES_AT_ONCE})
    return engine.map(catalog, STAGE, plain, work, pile.others, reads=pile.reads)


def _joined(summary: RunSummary, other: RunSummary) -> RunSummary:
    """Return a summary with the counts of another part of the same run added."""
    for name in ("n_selected", "n_written", "n_skipped", "n_failed", "n_rows", "seconds"):
        setattr(summary, name, getattr(summary, name) + getattr(other, name))
    summary.failures += other.failures
    return summary
