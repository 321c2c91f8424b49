"""Stage ``caption``: who is asked about what, what never gets lost, and what counts as a description."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from detections import cloud_with_strangers, mined_street, street
from embedders import hf_folder
from hf_models import qwen_folder
from mekiki.api.verbs import run_stage
from mekiki.api.workspace import forget
from mekiki.catalog.db import Catalog
from mekiki.catalog.describing import Descriptions, find_descriptions
from mekiki.catalog.mining import Mining, require_mining
from mekiki.cli.main import main
from mekiki.engine.local import LocalEngine
from mekiki.errors import BackendError, DataError, UsageError
from mekiki.records import RunSummary
from mined import COMMON, make_crops, make_mining
from vectors import space_of, store_vectors
from vlm_server import VlmServer, question_of
from workspaces import counts, dump, file_hashes, query, reasons, run, start_mekiki, write_text

PRICES = {"price_in": 10.0, "price_out": 20.0}
N_CROPS, N_CHOSEN = 12, 4


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with 12 crops of which 4 are rare; its photos lie inside, so that it can be copied."""
    workspace = tmp_path_factory.mktemp("caption") / "ws"
    make_mining(workspace, make_crops(workspace), N_CHOSEN)
    return workspace


@pytest.fixture
def mined(prepared: Path, tmp_path: Path) -> Path:
    shutil.copytree(prepared, tmp_path / "ws")
    return tmp_path / "ws"


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server and no key."""
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def caption(workspace: Path, **settings: Any) -> RunSummary:
    return run("caption", workspace, **{"captioner": "vlm", "retries": 0, **settings})


def dry_run(workspace: Path, **settings: Any) -> RunSummary:
    told = {"captioner": "vlm", **settings}
    return run_stage("caption", workspace, told, engine=LocalEngine(dry_run=True))


def mining_of(workspace: Path) -> Mining:
    with Catalog(workspace) as catalog:
        return require_mining(catalog)


def descriptions(workspace: Path) -> Descriptions:
    with Catalog(workspace) as catalog:
        found = find_descriptions(catalog, require_mining(catalog))
    assert found is not None
    return found


def captions(workspace: Path, run_id: str) -> dict[str, tuple[str, str]]:
    rows = query(workspace, "SELECT item_id, text, annotator FROM captions WHERE run_id = ?", run_id)
    assert len(rows) == len({row[0] for row in rows}), "nothing has two captions"
    return {item_id: (text, annotator) for item_id, text, annotator in rows}


def adds_up(summary: RunSummary) -> dict[str, Any]:
    """Return the count of describing, once it is seen that all counts add up."""
    for one in summary.extra["counts"]:
        assert one["n_in"] == one["n_kept"] + one["n_dropped"] + one["n_failed"]
    return dict(next(one for one in summary.extra["counts"] if one["step"] == "describing"))


def test_only_what_is_rare_is_asked_about_and_everything_has_exactly_one_caption(
    mined: Path, server: VlmServer
) -> None:
    server.says = lambda asked: f"A thing, number {asked.number}."
    mining = mining_of(mined)
    rare = [one.item_id for one in mining.selected]

    summary = caption(mined)

    assert counts(summary) == (N_CROPS, N_CROPS, 0, 0)
    assert len(server.asked) == N_CHOSEN
    found = captions(mined, summary.run_id)
    assert found.keys() == mining.class_of.keys()
    assert {item_id for item_id, (_, who) in found.items() if who == "vlm:gpt-5.2"} == set(rare)
    others = {item_id: text for item_id, (text, who) in found.items() if who == "class-name"}
    assert others == {item_id: name for item_id, name in mining.class_of.items() if item_id not in rare}
    assert list(descriptions(mined).described) == rare, "the order of the mining stays"
    tally = adds_up(summary)
    assert (tally["n_in"], tally["n_kept"], tally["n_dropped"], tally["n_failed"]) == (N_CROPS, N_CHOSEN, 8, 0)


def test_each_thing_gets_the_words_about_its_own_picture(mined: Path, server: VlmServer) -> None:
    server.says = lambda asked: f"picture {asked.picture_hash[:8]}"

    summary = caption(mined, concurrency=4)

    found = captions(mined, summary.run_id)
    for (answer,) in query(mined, "SELECT answer FROM answers WHERE answer <> 'null'"):
        stored = json.loads(answer)
        assert found[stored["item_id"]][0] == stored["text"]
    assert len({text for text, who in found.values() if who != "class-name"}) == N_CHOSEN


def test_a_broken_picture_fails_alone_and_shifts_nothing(mined: Path, server: VlmServer) -> None:
    server.says = lambda asked: f"picture {asked.picture_hash[:8]}"
    whole = caption(mined, limit=1000)
    told = captions(mined, whole.run_id)
    rare = [one.item_id for one in mining_of(mined).selected]
    ((path,),) = query(
        mined, "SELECT s.path FROM sources s JOIN items i ON i.parent_id = s.item_id WHERE i.item_id = ?", rare[1]
    )
    there = Path(path) if Path(path).is_absolute() else mined / path
    there.unlink()

    summary = caption(mined, quality=70)

    gone = {item_id for (item_id,) in query(mined, "SELECT item_id FROM failures")}
    assert rare[1] in gone <= set(rare)
    assert set(reasons(summary)) == {there.name}
    judged = descriptions(mined).described
    assert list(judged) == rare
    for item_id in rare:
        if item_id in gone:
            assert judged[item_id].source == "class-name"
            assert judged[item_id].trouble
        else:
            assert judged[item_id].text.startswith("picture ")
    assert len(told) == N_CROPS
    assert adds_up(summary)["n_failed"] == len(gone)


@pytest.mark.parametrize("text", ["I'm sorry, but I cannot help with that.", "  ", "Unable to see the picture."])
def test_a_failed_answer_is_a_failure_and_never_a_description(
    text: str, mined: Path, server: VlmServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.says = lambda asked: text if asked.number == 1 else "A bus on its side."

    failed = caption(mined, concurrency=1)

    assert counts(failed) == (N_CROPS, N_CROPS - 1, 0, 1)
    ((bad,),) = query(mined, "SELECT item_id FROM failures")
    assert bad not in captions(mined, failed.run_id)
    stands_in = descriptions(mined).described[bad]
    assert (stands_in.text, stands_in.source) == (mining_of(mined).class_of[bad], "class-name")
    assert stands_in.judged_on == "class-name"
    assert "no description" in stands_in.trouble or "empty" in stands_in.trouble
    assert adds_up(failed)["n_failed"] == 1
    n_asked = len(server.asked)

    healed = caption(mined)

    assert len(server.asked) == n_asked + 1, "it alone is asked again"
    assert counts(healed) == (N_CROPS, 1, N_CROPS - 1, 0)
    assert descriptions(mined).described[bad].text == "A bus on its side."


def test_twice_asks_nothing_and_writes_nothing(mined: Path, server: VlmServer) -> None:
    server.says = lambda _asked: "A cow."
    caption(mined)
    rows, files, n_asked = dump(mined), file_hashes(mined), len(server.asked)

    summary = caption(mined)

    assert counts(summary) == (N_CROPS, 0, N_CROPS, 0)
    assert len(server.asked) == n_asked
    assert (dump(mined), file_hashes(mined)) == (rows, files)


def test_another_way_to_judge_asks_nothing_again(mined: Path, server: VlmServer) -> None:
    server.says = lambda _asked: "A cow."
    first = caption(mined)
    n_asked = len(server.asked)

    second = caption(mined, final_rule="keywords", keywords=["bicycle"])

    assert len(server.asked) == n_asked
    assert first.extra["judgement"]["run_id"] != second.extra["judgement"]["run_id"]
    assert second.extra["n_from_cache"] == N_CHOSEN
    assert {one.decided_by for one in descriptions(mined).described.values()} == {"keywords"}


def test_the_detectors_guess_is_told_as_unverified_and_makes_another_question(mined: Path, server: VlmServer) -> None:
    server.says = lambda _asked: "others"
    mining = mining_of(mined)

    caption(mined, prompt="name", names=["bus", "car"])

    asked = sorted(question_of(one) for one in server.asked)
    guesses = sorted(mining.named[one.item_id] for one in mining.selected)
    assert all("may be wrong" in one for one in asked)
    assert sorted(one.split('A detector took it for "')[1].split('"')[0] for one in asked) == guesses
    assert all("- bus\n- car\n- others" in one for one in asked)
    assert all(one.body["response_format"]["type"] == "json_schema" for one in server.asked)


def test_a_description_is_asked_for_as_plain_text(mined: Path, server: VlmServer) -> None:
    server.says = lambda _asked: "A cow."

    caption(mined)

    assert not any("response_format" in one.body for one in server.asked)


@pytest.mark.parametrize(
    "said", ["construction vehicle", '{"name": "construction_vehicle"}', "It is a Construction-Vehicle."]
)
def test_a_name_is_read_leniently_and_judged(said: str, mined: Path, server: VlmServer) -> None:
    server.says = lambda _asked: said

    caption(mined, prompt="name", names=["car", "construction_vehicle"])

    judged = descriptions(mined).described.values()
    assert {one.text for one in judged} == {"construction_vehicle"}
    assert all(one.is_final_outlier and one.judged_on == "text" and one.decided_by == "names" for one in judged)
    assert all("construction_vehicle" in one.targets for one in judged)


def test_a_common_name_is_no_final_outlier(mined: Path, server: VlmServer) -> None:
    server.says = lambda _asked: "Traffic light"

    summary = caption(mined, prompt="name", names=["traffic_light", "bus"])

    assert not any(one.is_final_outlier for one in descriptions(mined).described.values())
    assert summary.extra["judgement"]["n_final_outliers"] == 0


def test_a_name_of_no_list_is_a_failure(mined: Path, server: VlmServer) -> None:
    server.says = lambda _asked: "a zeppelin"

    summary = caption(mined, prompt="name", names=["bus"])

    assert summary.n_failed == N_CHOSEN
    assert {one.reason for one in summary.failures} == {"the answer has no name of the list: 'a zeppelin'"}


def test_a_question_of_ones_own_is_filled_in(mined: Path, server: VlmServer, tmp_path: Path) -> None:
    path = tmp_path / "ask.txt"
    path.write_text("What {is} this? {guess}", encoding="utf-8")
    server.says = lambda _asked: "A cow."

    caption(mined, prompt_file=str(path))

    assert all(question_of(one).startswith("What {is} this? A detector took it for") for one in server.asked)


def test_without_a_model_the_class_name_stands_in_and_every_output_says_so(mined: Path, nobody: None) -> None:
    mining = mining_of(mined)

    summary = caption(mined, captioner="auto")

    assert counts(summary) == (N_CROPS, N_CROPS, 0, 0)
    assert summary.extra["captioner"] == "class-name"
    assert any("OPENAI_BASE_URL" in note for note in summary.notes)
    assert any("4 by class-name" in note for note in summary.notes)
    assert {who for _, who in captions(mined, summary.run_id).values()} == {"class-name"}
    judged = descriptions(mined)
    assert judged.captioner == "class-name"
    for item_id, one in judged.described.items():
        assert (one.text, one.source, one.judged_on) == (mining.class_of[item_id], "class-name", "class-name")
        assert one.is_final_outlier == (one.text not in COMMON)
        assert not one.trouble
    assert len({one.is_final_outlier for one in judged.described.values()}) == 2, (
        "the planted classes are of both sorts"
    )
    tally = adds_up(summary)
    assert (tally["n_kept"], tally["n_dropped"], tally["why"]) == (0, N_CROPS, "class name, no call")


def test_a_key_alone_sends_nothing(mined: Path, nobody: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-a-key")

    summary = caption(mined, captioner="auto")

    assert summary.extra["captioner"] == "class-name"
    assert any("--captioner vlm or --max-cost" in note for note in summary.notes)


def test_auto_asks_the_server_that_is_named(mined: Path, server: VlmServer) -> None:
    server.says = lambda _asked: "A cow."

    summary = caption(mined, captioner="auto")

    assert len(server.asked) == N_CHOSEN
    assert summary.extra["captioner"] == "vlm:gpt-5.2"
    assert caption(mined, captioner="vlm").run_id == summary.run_id


def test_a_dry_run_estimates_calls_and_sends_nothing(mined: Path, server: VlmServer) -> None:
    rows = dump(mined)

    summary = run_stage("caption", mined, {"captioner": "vlm", **PRICES}, engine=LocalEngine(dry_run=True))

    assert summary.extra["n_calls"] == N_CHOSEN
    assert summary.extra["estimate"]["cost_usd"] > 0
    assert server.asked == []
    assert dump(mined) == rows


def test_the_cost_cap_stops_asking_and_says_what_is_left(mined: Path, server: VlmServer) -> None:
    server.says = lambda _asked: "A cow."
    cap = 0.02

    summary = caption(mined, max_cost=cap, concurrency=1, **PRICES)

    assert 0 < len(server.asked) < N_CHOSEN
    assert server.cost_usd(10, 20) <= cap
    left = N_CHOSEN - len(server.asked)
    assert summary.extra["n_left"] == left
    assert "--max-cost" in summary.extra["refusal"]
    assert summary.n_selected == N_CROPS - left
    judged = descriptions(mined).described
    assert sum(one.trouble == "not asked yet" for one in judged.values()) == left
    assert f"{left} of them not asked yet" in adds_up(summary)["why"]

    rest = caption(mined, max_cost=100.0, **PRICES)

    assert len(server.asked) == N_CHOSEN
    assert "refusal" not in rest.extra
    assert not any(one.trouble for one in descriptions(mined).described.values())


def test_a_cost_cap_needs_a_price(mined: Path, server: VlmServer) -> None:
    with pytest.raises(UsageError, match="--price-in"):
        caption(mined, max_cost=1.0, model="mine")


def test_all_pictures_can_be_described(mined: Path, server: VlmServer) -> None:
    server.says = lambda _asked: "A street."

    summary = caption(mined, of="pictures")

    assert counts(summary) == (4, 4, 0, 0)
    assert len(server.asked) == 4
    assert "A detector" not in question_of(server.asked[0])
    assert "judgement" not in summary.extra


def test_pictures_without_anybody_to_ask_are_refused(mined: Path, nobody: None) -> None:
    before = dump(mined)

    with pytest.raises(UsageError, match=r"--of pictures needs somebody to ask.*OPENAI_BASE_URL.*--captioner vlm"):
        caption(mined, captioner="auto", of="pictures")

    assert dump(mined) == before


def test_free_descriptions_that_decide_nothing_are_told_before_they_are_paid_for(
    mined: Path, server: VlmServer
) -> None:
    server.says = lambda _asked: "A cow."

    tried, asked, ruled = dry_run(mined), caption(mined), caption(mined, final_rule="names")
    named = caption(mined, prompt="name", names=["cow"])

    for one in (tried, asked, ruled, named):
        is_told = any("decide nothing" in note and "--prompt name" in note for note in one.notes)
        assert is_told == (one is not named)
    assert any("names decide, since concepts cannot" in note for note in tried.notes)


def test_a_model_that_nobody_named_is_told_and_priced_by_its_name(mined: Path, server: VlmServer) -> None:
    tried = dry_run(mined, captioner="auto")

    assert tried.extra["estimate"]["cost_usd"] > 0
    assert any("it is asked for gpt-5.2" in note for note in tried.notes)


def test_a_key_that_is_missing_leaves_no_run_that_seems_to_be_finished(
    mined: Path, nobody: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BackendError, match="OPENAI_API_KEY is not set"):
        caption(mined)

    assert query(mined, "SELECT status FROM runs WHERE stage = 'caption'") == [("stopped",)]


def test_nothing_mined_says_what_to_do_first(mined: Path, nobody: None) -> None:
    with sqlite3.connect(mined / "mekiki.db") as connection:
        connection.execute("DELETE FROM runs WHERE stage = 'mine'")

    with pytest.raises(DataError, match="mekiki mine"):
        caption(mined, captioner="class-name")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"captioner": "class-name", "model": "x"}, "--model is for --captioner vlm", id="model"),
        pytest.param({"captioner": "class-name", "of": "pictures"}, "a whole picture has no class", id="no class"),
        pytest.param({"captioner": "qwen-vl"}, "needs a model", id="no local model"),
        pytest.param({"captioner": "vml"}, "Did you mean 'vlm'", id="misspelt"),
        pytest.param({"of": "pictures", "final_rule": "names"}, "--final-rule is for --of rare", id="nothing judged"),
        pytest.param({"names": ["bus"]}, "add --prompt name", id="names without name"),
        pytest.param({"keywords": ["bus"]}, "add --final-rule keywords", id="keywords without rule"),
        pytest.param({"weight_text": "2"}, "a number from 0 to 1, or adaptive", id="weight"),
        pytest.param({"captioner": "vlm:"}, "names no model", id="empty model"),
        pytest.param({"final_rule": "names", "weight_text": 0.7}, "--weight-text is for concepts", id="no concepts"),
        pytest.param({"final_rule": "keywords", "use_image": False}, "--use-image is for concepts", id="no picture"),
        pytest.param({"final_rule": "names", "weights": "a.pt"}, "--weights is for concepts", id="no words"),
        pytest.param({"use_image": False, "weight_text": 0.7}, "--weight-text shares between", id="nothing to share"),
    ],
)
def test_a_setting_that_means_nothing_is_refused(settings: dict[str, Any], message: str, mined: Path) -> None:
    with pytest.raises(UsageError, match=message):
        run("caption", mined, **settings)


def test_concepts_are_refused_where_the_vectors_know_no_words(mined: Path, nobody: None) -> None:
    with pytest.raises(BackendError, match="words have no place among them"):
        caption(mined, captioner="class-name", final_rule="concepts")


def test_where_crops_were_embedded_without_words_it_says_how_to_embed_them_with(workspace: Path, nobody: None) -> None:
    crops = street(workspace, ["car", "bus"] * 6)
    vectors = cloud_with_strangers(len(crops), [])
    store_vectors(workspace, dict(zip(crops, vectors, strict=True)), space_of(vectors.shape[1], "colour-layout"))
    run("mine", workspace)

    with pytest.raises(BackendError, match=r"Type: mekiki embed --kind crop --embedder clip.*, mekiki mine, then this"):
        caption(workspace, captioner="class-name", final_rule="concepts")


def test_the_command_line_says_by_its_exit_code_what_is_left(
    mined: Path, server: VlmServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.says = lambda _asked: "I'm sorry."
    words = ["caption", "-w", str(mined), "--captioner", "vlm:m", "--retries", "0", "-q", "--json"]
    prices = ["--price-in", "10", "--price-out", "20"]

    refused = main([*words, *prices, "--max-cost", "0.001"])
    failed = main(words)
    server.says = lambda _asked: "A cow."
    healed = main(words)

    assert (refused, failed, healed) == (4, 3, 0)
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["judgement"]["n_described"] == N_CHOSEN


def test_no_client_is_made_and_no_key_is_needed_where_nobody_is_asked(mined: Path) -> None:
    told = ["caption", "--captioner", "class-name", "-w", str(mined), "-q"]
    program = (
        "import sys\n"
        "class Without:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'openai':\n"
        "            raise ModuleNotFoundError('openai was imported')\n"
        "sys.meta_path.insert(0, Without())\n"
        "import mekiki.stages.caption\n"
        "from mekiki.cli.main import main\n"
        f"code = main({told!r})\n"
        "assert 'openai' not in sys.modules\n"
        "sys.exit(code)\n"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}

    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    assert {one.source for one in descriptions(mined).described.values()} == {"class-name"}


def test_after_the_preset_of_seed_2_keywords_decide_where_vectors_know_no_words(workspace: Path, nobody: None) -> None:
    mined_street(workspace, ["car"] * 12 + ["truck", "person"], strangers=[12, 13])
    run("mine", workspace, preset="seed2", rule={"isolation": "count:2", "frequency": "count:2"})

    summary = caption(workspace, captioner="class-name")

    assert summary.extra["judgement"]["rule"] == "keywords"
    assert any(note.startswith("keywords decide as in seed 2, since concepts cannot") for note in summary.notes)
    judged = descriptions(workspace).described.values()
    assert {one.decided_by for one in judged} == {"keywords"}
    assert all(one.is_final_outlier == (one.text == "truck") for one in judged)

    run("mine", workspace, keep="count:2", n_neighbours=3)
    assert caption(workspace, captioner="class-name").extra["judgement"]["rule"] == "names"


def test_what_mine_read_from_files_counts_wherever_caption_is_run_and_whatever_they_say_by_then(
    workspace: Path, tmp_path: Path, nobody: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    mined_street(workspace, ["car"] * 12 + ["truck", "person"], strangers=[12, 13])
    write_text(tmp_path / "here" / "map.yaml", "truck: excavator\n")
    write_text(tmp_path / "here" / "concepts.txt", "excavator\nbus\n")
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    files = {"class_map": "map.yaml", "concepts": "concepts.txt"}
    run("mine", workspace, keep="count:2", n_neighbours=3, target_classes=["excavator"], **files)
    write_text(tmp_path / "there" / "map.yaml", "truck: lorry\n")
    monkeypatch.chdir(tmp_path / "there")

    caption(workspace, captioner="class-name")

    targets = {one.text: one.targets for one in descriptions(workspace).described.values()}
    assert targets == {"excavator": ("excavator",), "person": ()}
    assert mining_of(workspace).class_map.table == {"truck": "excavator"}
    assert mining_of(workspace).concepts == ("excavator", "bus")


@pytest.mark.slow
def test_killed_half_way_it_asks_nothing_twice(mined: Path, server: VlmServer) -> None:
    server.says, server.delay_s = (lambda asked: f"picture {asked.picture_hash[:8]}"), 0.5
    process = start_mekiki("caption", "-w", mined, "--captioner", "vlm", "--concurrency", "1", "-q")
    until = time.monotonic() + 50
    while len(query(mined, "SELECT 1 FROM answers WHERE answer <> 'null'")) < 2:
        assert time.monotonic() < until, "it never asked"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    server.delay_s = 0.0
    answered = {one for (one,) in query(mined, "SELECT json_extract(answer, '$.item_id') FROM answers")} - {None}

    summary = caption(mined)

    assert summary.n_failed == 0
    assert len(captions(mined, summary.run_id)) == N_CROPS
    asked_after = [one for one in server.asked if one.status == 200]
    assert len(answered) >= 2
    assert len({one.picture_hash for one in asked_after}) == N_CHOSEN
    assert len(server.asked) <= N_CHOSEN + 1, "only the call in flight when it was killed may be asked again"


def test_annotate_looks_at_crops_too(mined: Path, server: VlmServer) -> None:
    summary = run("annotate", mined, classes=["fox", "cat"], kind=["crop"], limit=3)

    assert counts(summary) == (3, 3, 0, 0)
    sizes = query(
        mined, "SELECT DISTINCT i.kind FROM labels l JOIN items i ON i.item_id = l.item_id WHERE l.state = 'present'"
    )
    assert sizes == [("crop",)]


def test_forgetting_a_thing_leaves_no_word_about_it(mined: Path, server: VlmServer) -> None:
    server.says = lambda asked: f"secret {asked.picture_hash[:12]}"
    summary = caption(mined)
    rare = [one.item_id for one in mining_of(mined).selected]
    text = captions(mined, summary.run_id)[rare[0]][0]

    forget(mined, rare[0])

    assert list(descriptions(mined).described) == rare[1:]
    holding = [path for path in mined.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]
    assert not [path for path in holding if path.suffix == ".json"]
    assert not any(text in repr(rows) for rows in dump(mined).values())


@pytest.mark.slow
def test_where_vectors_know_words_concepts_decide(tmp_path: Path, nobody: None) -> None:
    workspace = tmp_path / "ws"
    crop_ids = make_crops(workspace, n_photos=2)
    run("embed", workspace, embedder=f"hf:{hf_folder(tmp_path / 'clip')}", device="cpu", kind=["crop"])
    ((vector_run,),) = query(workspace, "SELECT run_id FROM runs WHERE stage = 'embed'")
    make_mining(workspace, crop_ids, 5, concepts=("red cat", "blue dog"), vector_run_id=vector_run)

    summary = caption(workspace, captioner="auto", weight_text="adaptive")

    judged = descriptions(workspace).described
    assert len(judged) == 5
    assert summary.extra["judgement"]["rule"] == "concepts"
    assert any("concepts decide, by hf:" in note for note in summary.notes)
    for one in judged.values():
        assert one.source == "class-name"
        assert one.used_image
        assert one.weight_text is not None
        assert 0.2 <= one.weight_text <= 0.8
        assert list(one.concepts.values()) == sorted(one.concepts.values(), reverse=True)
        if one.concepts:
            assert one.is_final_outlier == (next(iter(one.concepts)) not in COMMON)


@pytest.mark.slow
def test_a_model_on_this_machine_describes_what_is_rare_and_nothing_else(
    mined: Path, nobody: None, tmp_path: Path
) -> None:
    folder = qwen_folder(tmp_path / "qwen", "qwen2_vl")
    given = {"captioner": f"qwen-vl:{folder}", "device": "cpu", "max_output_tokens": 16, "long_side": 32}

    summary = run("caption", mined, **given)
    again = run("caption", mined, **given, final_rule="names")

    assert summary.n_selected == N_CROPS
    assert summary.n_written + summary.n_failed == N_CROPS
    assert summary.n_failed <= N_CHOSEN, "random weights may have nothing to say"
    told = captions(mined, summary.run_id).values()
    assert sum(who == "class-name" for _, who in told) == N_CROPS - N_CHOSEN
    assert adds_up(summary)["n_kept"] + summary.n_failed == N_CHOSEN
    assert again.run_id == summary.run_id, "judging otherwise describes nothing again"
