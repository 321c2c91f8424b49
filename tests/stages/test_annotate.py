"""Stage ``annotate`` asking a server: what it writes, what it sends, what it never asks twice."""

from __future__ import annotations

import csv
import io
import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as PillowImage

from mekiki.api.verbs import run_stage
from mekiki.api.workspace import forget
from mekiki.engine.local import LocalEngine
from mekiki.errors import DataError, UsageError
from mekiki.records import RunSummary
from vlm_server import INPUT_TOKENS, OUTPUT_TOKENS, VlmServer, every
from workspaces import (
    attributes,
    counts,
    dump,
    file_hashes,
    ingest,
    labels,
    make_photos,
    query,
    reasons,
    run,
    write_text,
)

CLASSES = ["fox", "cat"]


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with 12 photos inside, so that it can be copied."""
    return make_photos(tmp_path_factory.mktemp("annotate") / "ws", 12, make="Secret Camera Maker")


@pytest.fixture
def photos(ingested: Path, tmp_path: Path) -> Path:
    shutil.copytree(ingested, tmp_path / "ws")
    return tmp_path / "ws"


def annotate(workspace: Path, **settings: Any) -> RunSummary:
    return run("annotate", workspace, **{"classes": CLASSES, **settings})


def test_every_picture_gets_a_label_for_every_class(photos: Path, server: VlmServer) -> None:
    summary = annotate(photos)

    assert counts(summary) == (12, 12, 0, 0)
    assert set(labels(photos)) == {f"{number:02d}.jpg" for number in range(12)}
    assert all(states == {"fox": "present", "cat": "absent"} for states in labels(photos).values())
    assert query(photos, "SELECT DISTINCT annotator, confidence FROM labels") == [("vlm:gpt-5.2", 0.9)]
    assert query(photos, "SELECT name FROM classes ORDER BY position") == [("fox",), ("cat",)]


def test_what_the_model_said_is_kept_beside_the_labels(photos: Path, server: VlmServer) -> None:
    annotate(photos, limit=1)

    ((name, text),) = attributes(photos, "response_text").items()
    assert json.loads(text)["labels"] == ["fox"]
    assert attributes(photos, "reason") == {name: "it looks so"}
    assert attributes(photos, "model") == {name: "gpt-5.2"}
    assert attributes(photos, "response_id") == {name: "chat_1"}
    assert attributes(photos, "confidence") == {name: "0.9"}


def test_unknown_means_that_every_class_is_absent(photos: Path, server: VlmServer) -> None:
    server.labels = lambda _picture: ["unknown"]

    summary = annotate(photos, limit=1)

    assert list(labels(photos).values()) == [{"fox": "absent", "cat": "absent"}]
    assert summary.extra["annotation"]["n_unknown"] == 1


def test_a_picture_is_sent_shrunk_as_jpeg_without_metadata(photos: Path, server: VlmServer) -> None:
    annotate(photos, limit=1, long_side=48, quality=70, detail="high")

    sent = PillowImage.open(io.BytesIO(server.asked[0].picture))
    assert (sent.format, max(sent.size)) == ("JPEG", 48)
    assert not sent.getexif()
    assert b"Secret" not in server.asked[0].picture
    assert server.asked[0].body["messages"][1]["content"][1]["image_url"]["detail"] == "high"


def test_twice_asks_nothing_and_writes_nothing(photos: Path, server: VlmServer) -> None:
    annotate(photos)
    rows, files, n_asked = dump(photos), file_hashes(photos), len(server.asked)

    summary = annotate(photos)

    assert counts(summary) == (12, 0, 12, 0)
    assert len(server.asked) == n_asked
    assert (dump(photos), file_hashes(photos)) == (rows, files)


def test_settings_that_do_not_change_the_question_ask_nothing_again(photos: Path, server: VlmServer) -> None:
    first = annotate(photos)
    n_asked = len(server.asked)

    same = annotate(photos, concurrency=2, retries=1, timeout=9, api="chat", rate_limit=6000, price_in=1, price_out=1)
    other = annotate(photos, classes_file=str(_class_file(photos.parent)), classes=[])

    assert same.run_id == first.run_id
    assert other.run_id != first.run_id, "other aliases may read an answer differently"
    assert counts(other) == (12, 12, 0, 0)
    assert other.extra["n_from_cache"] == 12
    assert len(server.asked) == n_asked
    assert "12 pictures needed no call" in other.notes[0]


def _class_file(folder: Path) -> Path:
    path = folder / "classes.yaml"
    path.write_text("classes: {fox: [red fox], cat: []}\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"model": "other"}, id="model"),
        pytest.param({"long_side": 64}, id="picture side"),
        pytest.param({"quality": 50}, id="quality"),
        pytest.param({"detail": "high"}, id="detail"),
        pytest.param({"language": "ja"}, id="prompt"),
        pytest.param({"classes": ["fox", "dog"]}, id="classes"),
        pytest.param({"temperature": 0}, id="sampling"),
    ],
)
def test_another_question_is_asked(change: dict[str, Any], photos: Path, server: VlmServer) -> None:
    annotate(photos, limit=1)

    annotate(photos, limit=1, **change)

    assert len(server.asked) == 2


def test_a_model_can_be_named_with_the_annotator(photos: Path, server: VlmServer) -> None:
    first = annotate(photos, limit=1, annotator="vlm:qwen")
    second = annotate(photos, limit=1, model="qwen")

    assert first.run_id == second.run_id
    assert server.asked[0].body["model"] == "qwen"
    with pytest.raises(UsageError, match="two models are named"):
        annotate(photos, annotator="vlm:qwen", model="llava")


def test_the_shipped_list_asks_in_japanese_and_reads_english(photos: Path, server: VlmServer) -> None:
    server.labels = lambda _picture: ["Raccoon dog", "cat"]

    annotate(photos, limit=1, classes=[], classes_file="japanese-mammals")

    asked = server.asked[0].body["messages"][1]["content"][0]["text"]
    assert "アナグマ" in asked
    assert "写真" in asked
    present = [name for name, state in next(iter(labels(photos).values())).items() if state == "present"]
    assert present == ["タヌキ", "ネコ"]


def test_without_a_list_the_classes_of_the_workspace_are_asked_for(photos: Path, server: VlmServer) -> None:
    with pytest.raises(UsageError, match="--classes-file"):
        annotate(photos, classes=[])

    ingest(photos, photos / "in", label=["hare"])
    server.labels = lambda _picture: ["hare"]
    annotate(photos, classes=[], limit=1)

    assert ("vlm:gpt-5.2", "hare", "present") in query(photos, "SELECT annotator, class_name, state FROM labels")


def test_as_many_calls_as_wanted_are_in_flight_and_none_waits_for_a_batch(photos: Path, server: VlmServer) -> None:
    annotate(photos, limit=1)  # imports the client
    server.delay_s = 1.0  # so long that eight calls meet, however busy the machine is

    annotate(photos, limit=8, concurrency=8)

    assert server.most_in_flight == 8


def test_calls_can_be_limited_per_minute(photos: Path, server: VlmServer) -> None:
    annotate(photos, limit=1)
    started = time.monotonic()

    annotate(photos, limit=5, rate_limit=1200)

    assert time.monotonic() - started >= 4 * 0.05


def test_tokens_and_cost_are_summed_up_over_all_invocations(photos: Path, server: VlmServer) -> None:
    prices = {"price_in": 10, "price_out": 20}
    annotate(photos, limit=5, **prices)

    summary = annotate(photos, **prices)

    totals = summary.extra["annotation"]
    assert (totals["n_calls"], totals["n_pictures"]) == (12, 12)
    assert (totals["input_tokens"], totals["output_tokens"]) == (12 * INPUT_TOKENS, 12 * OUTPUT_TOKENS)
    assert totals["cost_usd"] == pytest.approx(server.cost_usd(10, 20))
    assert totals["classes"] == {"fox": 12, "cat": 0}
    assert json.loads((photos / summary.outputs["annotation"]).read_text()) == totals
    assert summary.extra["n_from_cache"] == 0


def test_names_of_no_class_are_left_out_and_listed(photos: Path, server: VlmServer) -> None:
    server.labels = lambda _picture: ["fox", "moose"]

    summary = annotate(photos, limit=2)

    assert summary.extra["annotation"]["labels_left_out"] == {"moose": 2}
    assert "moose (2)" in summary.notes[1]


def test_a_dry_run_counts_calls_and_money_and_sends_nothing(photos: Path, server: VlmServer) -> None:
    annotate(photos, limit=5)
    rows, files, n_asked = dump(photos), file_hashes(photos), len(server.asked)

    summary = run_stage("annotate", photos, {"classes": CLASSES}, engine=LocalEngine(dry_run=True))
    short = run_stage("annotate", photos, {"classes": CLASSES, "limit": 2}, engine=LocalEngine(dry_run=True))
    other = run_stage("annotate", photos, {"classes": CLASSES, "model": "mine"}, engine=LocalEngine(dry_run=True))

    assert (summary.extra["n_calls"], summary.extra["n_todo"], summary.n_skipped) == (7, 7, 5)
    assert 0 < summary.extra["estimate"]["cost_usd"] < summary.extra["estimate"]["at_most_usd"]
    assert short.extra["n_calls"] == 2
    assert other.extra["estimate"]["cost_usd"] is None
    assert "no price is known for vlm:mine: give --price-in" in other.notes[1]
    assert len(server.asked) == n_asked
    assert (dump(photos), file_hashes(photos)) == (rows, files)


def test_a_dry_run_knows_what_other_runs_were_told(photos: Path, server: VlmServer) -> None:
    annotate(photos, limit=4)
    settings = {"classes_file": str(_class_file(photos.parent))}

    summary = run_stage("annotate", photos, settings, engine=LocalEngine(dry_run=True))

    assert (summary.extra["n_calls"], summary.extra["n_todo"]) == (8, 12)


def test_an_answer_does_for_a_picture_that_is_gone(photos: Path, server: VlmServer) -> None:
    server.labels = lambda _picture: []
    annotate(photos)
    (photos / "in" / "00.jpg").unlink()
    (photos / "in" / "01.jpg").unlink()

    known = annotate(photos, classes=[], classes_file=str(_class_file(photos.parent)))
    asked = annotate(photos, classes=["dog"])

    assert known.n_failed == 0
    assert {name: why[:17] for name, why in reasons(asked).items()} == dict.fromkeys(
        ("00.jpg", "01.jpg"), "gone since ingest"
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"annotator": "vml"}, "no annotator is called 'vml'. Did you mean 'vlm'", id="name"),
        pytest.param({"annotator": "human"}, "--annotator human:NAME", id="a person without a name"),
        pytest.param(
            {"labels": ["x.csv"]}, "--labels is for --annotator import or human, not for vlm", id="labels for vlm"
        ),
        pytest.param(
            {"annotator": "import", "model": "x"},
            "--model is for --annotator vlm, not for import",
            id="model for import",
        ),
        pytest.param({"annotator": "import"}, "--labels FILE", id="import of nothing"),
        pytest.param({"classes_file": "japanese-mammals"}, "exclude each other", id="two lists"),
        pytest.param({"between": ["a", "b"]}, "--between goes with --agreement", id="between alone"),
        pytest.param({"agreement": True, "between": ["a", "a"]}, "names two annotators", id="between one and itself"),
        pytest.param({"annotator": "vlm:"}, "vlm: names no model", id="no model"),
        pytest.param({"annotator": "vlm: "}, "vlm: names no model", id="a blank model"),
        pytest.param({"kind": ["image", "video"]}, "--kind video", id="videos"),
        pytest.param(
            {"max_cost": 1, "model": "mine"},
            "no price is known for vlm:mine: give --price-in",
            id="cap without a price",
        ),
        pytest.param({"price_in": 1}, "give both --price-in and --price-out", id="half a price"),
        pytest.param({"classes": ["fox", "fox"]}, "named twice", id="a class twice"),
        pytest.param({"classes": ["unknown"]}, "is no class", id="unknown as a class"),
        pytest.param({"classes": ["fox", "other"]}, "it means unknown", id="other as a class"),
    ],
)
def test_what_cannot_be_meant_is_refused(settings: dict[str, Any], message: str, photos: Path) -> None:
    with pytest.raises(UsageError, match=message):
        annotate(photos, **settings)


def test_an_empty_catalog_says_what_to_do_first(workspace: Path) -> None:
    with pytest.raises((DataError, UsageError), match="mekiki ingest"):
        annotate(workspace)


def test_a_server_that_fails_one_call_in_five_ends_complete(photos: Path, server: VlmServer) -> None:
    server.fault = every(5, "500")

    summary = annotate(photos, concurrency=3)

    assert counts(summary) == (12, 12, 0, 0)
    assert len(server.asked) > 12
    assert set(server.paid_by_picture().values()) == {1}


def test_seed_1s_table_and_folders_come_out_of_export(photos: Path, server: VlmServer) -> None:
    server.labels = lambda picture: ["fox", "cat"] if picture[300] % 2 else ["unknown"]
    annotate(photos)
    write_text(photos / "in" / "corrected.csv", "filepath,label\n00.jpg,cat\n")
    run("annotate", photos, annotator="human:ALICE", labels=[photos / "in" / "corrected.csv"], classes=CLASSES)

    summary = run("export", photos, format="seed1")

    folder = photos / summary.outputs["folder"]
    rows = list(csv.DictReader((folder / "openai_video_annotations.csv").open(encoding="utf-8", newline="")))
    by_name = {Path(one["frame_source_path"]).name: one for one in rows}
    assert len(by_name) == 12
    assert by_name["00.jpg"]["assigned_labels_json"] == '["cat"]'
    assert (by_name["00.jpg"]["model"], by_name["00.jpg"]["reason"]) == ("", ""), "a person gave that label"
    told = by_name["01.jpg"]
    assert (told["model"], told["reason"], told["confidence"]) == ("gpt-5.2", "it looks so", "0.9000")
    assert told["response_id"].startswith("chat_")
    assert json.loads(told["response_text"])["labels"] in (["fox", "cat"], ["unknown"])
    for one in rows:
        labels_of_row, copies = json.loads(one["assigned_labels_json"]), json.loads(one["copied_paths_json"])
        assert [Path(path).parent.name for path in copies] == labels_of_row
        assert all((folder / path).is_file() for path in copies)

    other = run("export", photos, format="seed1-annotations", annotator="vlm:gpt-5.2")

    text = (photos / other.outputs["folder"] / "openai_video_annotations.csv").read_text(encoding="utf-8")
    assert text.count("it looks so") == 2 * 12, "of one annotator alone: the reason, and the text with it"


def test_calls_made_before_a_price_was_known_count_at_todays(photos: Path, server: VlmServer) -> None:
    annotate(photos, limit=6, model="mine")

    summary = annotate(photos, model="mine", price_in=10, price_out=20, max_cost=6 * 0.0038 + 0.0001)

    assert len(server.asked) == 6
    assert summary.extra["annotation"]["cost_usd"] == pytest.approx(6 * 0.0038)
    assert summary.extra["n_left"] == 6


def test_forgetting_a_picture_forgets_what_was_said_of_it(photos: Path, server: VlmServer) -> None:
    before = annotate(photos)
    ((item_id,),) = query(photos, "SELECT item_id FROM sources WHERE path LIKE '%/00.jpg'")
    known = {row[0] for row in query(photos, "SELECT key FROM answers")}

    forget(photos, str(photos / "in" / "00.jpg"))

    assert len(query(photos, "SELECT answer FROM answers WHERE answer <> 'null'")) == 11
    assert query(photos, "SELECT count(*) FROM answers WHERE answer LIKE ?", f"%{item_id}%") == [(0,)]
    ((key, usage),) = query(photos, "SELECT key, usage FROM answers WHERE answer = 'null'")
    assert key not in known, "the key says which picture it was"
    assert item_id not in usage
    after = annotate(photos)
    assert after.extra["annotation"]["cost_usd"] == before.extra["annotation"]["cost_usd"], "the money is spent"
    assert after.extra["annotation"]["n_lost_calls"] == 0


def test_forgetting_a_run_keeps_what_was_paid_for(photos: Path, server: VlmServer) -> None:
    summary = annotate(photos)

    forget(photos, summary.run_id)
    again = annotate(photos)

    assert counts(again) == (12, 12, 0, 0)
    assert len(server.asked) == 12
