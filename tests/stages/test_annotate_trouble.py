"""Stage ``annotate`` with servers that fail, with kill -9, with Ctrl-C, and with a limit on what it may cost."""

from __future__ import annotations

import base64
import json
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mekiki.cli.main import main
from mekiki.dataset.ids import content_id
from mekiki.errors import BackendError, DataError
from mekiki.media.images import encode_jpeg, read_image, shrink_image
from mekiki.records import RunSummary
from vlm_server import Asked, VlmServer, every
from workspaces import counts, dump, labels, make_photos, mekiki, query, reasons, run, start_mekiki

N_PHOTOS = 40
WORDS = ("--classes", "fox", "--classes", "cat", "-q")
PRICES = {"price_in": 10.0, "price_out": 20.0}


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with 40 photos inside, so that it can be copied."""
    return make_photos(tmp_path_factory.mktemp("trouble") / "ws", N_PHOTOS)


@pytest.fixture
def photos(ingested: Path, tmp_path: Path) -> Path:
    shutil.copytree(ingested, tmp_path / "ws")
    return tmp_path / "ws"


def annotate(workspace: Path, **settings: Any) -> RunSummary:
    return run("annotate", workspace, **{"classes": ["fox", "cat"], **settings})


def picture_hashes(workspace: Path) -> dict[str, str]:
    """Return item id to the hash of the picture as the server gets it."""
    found = {}
    for path in (workspace / "in").iterdir():
        sent = encode_jpeg(shrink_image(read_image(path), 1024), 85)
        found[content_id(path.read_bytes())] = Asked(0, "", {}, sent, {}).picture_hash
    return found


def answered_items(workspace: Path) -> set[str]:
    """Return the items with an answer on the disk."""
    rows = query(workspace, "SELECT answer FROM answers WHERE answer <> 'null'")
    return {json.loads(answer)["item_id"] for (answer,) in rows}


FAULTS = {
    "broken": "no JSON of its protocol",
    "prose": "no JSON object: 'I see a fox'",
    "wrong": "no class is called 'purple wombat'",
    "refusal": "the model refused: no",
    "incomplete": "raise --max-output-tokens",
    "drop": "the connection broke off",
    "hang": "no answer within 0.3 s",
    "500": "status 500: planned 500",
    "413": "refused with status 413",
}


@pytest.mark.parametrize("api", ["responses", "chat"])
@pytest.mark.parametrize("fault", FAULTS)
def test_what_one_picture_comes_to_is_a_failure_that_is_asked_again(
    fault: str, api: str, photos: Path, server: VlmServer
) -> None:
    bad = min(picture_hashes(photos).items())[1]
    server.fault = lambda asked: fault if asked.picture_hash == bad else None
    settings = {"limit": 3, "retries": 0, "timeout": 0.3, "api": api}

    failed = annotate(photos, **settings)
    server.fault = lambda _asked: None
    healed = annotate(photos, **settings)

    assert counts(failed) == (3, 2, 0, 1)
    assert FAULTS[fault] in next(iter(reasons(failed).values()))
    assert len(query(photos, "SELECT DISTINCT item_id FROM labels")) == 5, "the failed one is never an unknown"
    assert healed.n_failed == 0
    assert query(photos, "SELECT count(*) FROM failures") == [(0,)]


@pytest.mark.parametrize(("fault", "n_tries"), [("broken", 2), ("wrong", 2), ("500", 2), ("refusal", 1)])
def test_what_may_pass_is_tried_again_at_once(fault: str, n_tries: int, photos: Path, server: VlmServer) -> None:
    server.fault = lambda asked: fault if asked.number == 1 else None

    summary = annotate(photos, limit=1, concurrency=1)

    assert len(server.asked) == n_tries
    assert summary.n_failed == (n_tries == 1)


def test_text_around_the_json_does_no_harm(photos: Path, server: VlmServer) -> None:
    server.fault = lambda _asked: "text"

    assert annotate(photos, limit=2).n_failed == 0


def test_a_pause_that_the_server_asks_for_is_kept_by_all(photos: Path, server: VlmServer) -> None:
    annotate(photos, limit=1)
    server.retry_after = "0.4"
    server.fault = lambda asked: "429" if asked.number == 2 else None
    started = time.monotonic()

    summary = annotate(photos, limit=6, concurrency=2)

    assert summary.n_failed == 0
    assert time.monotonic() - started >= 0.4


def test_an_answer_that_could_not_be_read_is_read_again_before_it_is_paid_for_again(
    photos: Path, server: VlmServer
) -> None:
    server.fault = lambda _asked: "wrong"
    annotate(photos, limit=3, retries=0)
    path = photos.parent / "classes.yaml"
    path.write_text("classes: {fox: [], cat: [purple wombat]}\n")

    summary = run("annotate", photos, classes_file=str(path), limit=3)

    assert (summary.n_failed, len(server.asked)) == (0, 3)
    assert all(states["cat"] == "present" for states in labels(photos).values())


@pytest.mark.parametrize("status", ["401", "403"])
def test_a_refused_key_stops_the_stage_and_keeps_what_has_arrived(status: str, photos: Path, server: VlmServer) -> None:
    server.fault = lambda asked: status if asked.number > 6 else None

    with pytest.raises(BackendError, match="OPENAI_API_KEY"):
        annotate(photos, concurrency=1)
    server.fault = lambda _asked: None
    n_asked = len(server.asked)
    summary = annotate(photos)

    assert n_asked < 12
    assert summary.n_failed == 0
    assert set(server.paid_by_picture().values()) == {1}


def test_an_empty_account_stops_the_stage(photos: Path, server: VlmServer) -> None:
    server.fault = lambda _asked: "402"

    with pytest.raises(BackendError, match="wants to be paid"):
        annotate(photos)


def test_a_server_that_is_not_there_stops_the_stage(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")

    with pytest.raises(BackendError, match=r"127\.0\.0\.1:9 cannot be reached.*OPENAI_BASE_URL"):
        annotate(photos, retries=0)


def test_openai_wants_a_key_and_says_which_variable(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    with pytest.raises(BackendError, match="OPENAI_API_KEY is not set"):
        annotate(photos)


def test_a_server_that_answers_nothing_readable_stops_the_stage(photos: Path, server: VlmServer) -> None:
    server.fault = lambda _asked: "prose"

    with pytest.raises(DataError, match=r"annotate stopped: .* items failed"):
        annotate(photos, retries=0)

    assert len(server.asked) < N_PHOTOS


@pytest.mark.parametrize("fault", [None, "broken", "drop", "hang"])
def test_the_cost_cap_is_never_exceeded(fault: str | None, photos: Path, server: VlmServer) -> None:
    server.fault = every(4, fault) if fault else server.fault
    settings = {**PRICES, "retries": 0, "timeout": 0.3, "concurrency": 5}
    seen: list[float] = []

    for cap in (0.05, 0.05, 0.09):
        summary = annotate(photos, max_cost=cap, **settings)
        seen.append(server.cost_usd(10, 20))

        assert seen[-1] <= summary.extra["annotation"]["cost_usd"] <= cap
        assert f"{summary.extra['n_left']} pictures are left" in summary.extra["refusal"]
        assert summary.n_selected + summary.extra["n_left"] == N_PHOTOS
        assert summary.n_selected == summary.n_written + summary.n_skipped + summary.n_failed
        assert (summary.n_rows > 0) == (summary.n_written > 0)
        assert len(query(photos, "SELECT DISTINCT item_id FROM labels")) == summary.n_written + summary.n_skipped
    assert 0 < seen[0] == seen[1] < seen[2]
    rest = annotate(photos, max_cost=1000, **settings)
    assert rest.n_skipped + rest.n_written + rest.n_failed == N_PHOTOS
    assert "refusal" not in rest.extra


def test_a_server_that_counts_no_tokens_is_charged_the_most(photos: Path, server: VlmServer) -> None:
    server.has_usage = False

    summary = annotate(photos, max_cost=0.5, **PRICES)

    assert 0 < summary.n_written == N_PHOTOS - summary.extra["n_left"] < N_PHOTOS
    assert 0.4 < summary.extra["annotation"]["cost_usd"] <= 0.5


def test_half_a_surrogate_pair_in_an_answer_stops_nothing(photos: Path, server: VlmServer) -> None:
    said = json.dumps({"labels": ["fox", "\ud800"], "confidence": 1, "reason": "a \udc00"})
    message = {"message": {"content": said}, "finish_reason": "stop"}
    server.raw = json.dumps({"id": "x\ud800", "model": "m\udfff", "choices": [message]}).encode()
    server.fault = lambda asked: "raw" if asked.number == 2 else None

    summary = annotate(photos, limit=4, concurrency=1)
    again = annotate(photos, limit=4)

    assert (summary.n_failed, again.n_failed) == (0, 0)
    assert summary.extra["annotation"]["labels_left_out"] == {"\ufffd": 1}


def test_a_body_of_any_shape_is_a_failure_of_one_picture(photos: Path, server: VlmServer) -> None:
    server.raw = b'{"choices": 5, "output": 7, "usage": {"prompt_tokens": true}}'
    server.fault = lambda asked: "raw" if asked.number == 1 else None

    for api in ("chat", "responses"):
        server.asked.clear()
        assert annotate(photos, limit=2, retries=0, concurrency=1, api=api).n_failed == 1


def test_the_cap_counts_what_came_before_at_the_price_of_today(photos: Path, server: VlmServer) -> None:
    first = annotate(photos, limit=6, **PRICES)
    dearer = {"price_in": 100.0, "price_out": 200.0}

    capped = annotate(photos, max_cost=first.extra["annotation"]["cost_usd"] * 2, **dearer)

    assert len(server.asked) == 6, "at today's price the cap is spent"
    assert capped.extra["annotation"]["cost_usd"] == pytest.approx(10 * first.extra["annotation"]["cost_usd"])


@pytest.mark.parametrize("fault", ["hang", "drop", None], ids=["hang", "drop", "no usage"])
def test_the_cap_counts_calls_of_unknown_cost_made_before_there_was_a_price(
    fault: str | None, photos: Path, server: VlmServer
) -> None:
    server.fault, server.has_usage = (lambda _asked: fault), False
    unpriced = annotate(photos, limit=2, model="mine", retries=0, timeout=0.3, max_failed_share=1.0)
    n_asked = len(server.asked)

    capped = annotate(photos, model="mine", max_cost=0.05, **PRICES)

    assert unpriced.extra["annotation"]["cost_usd"] is None
    assert 0.01 < capped.extra["annotation"]["cost_usd"] > 0.05, "two calls at their worst are beyond the cap"
    assert len(server.asked) == n_asked


def test_the_command_line_says_where_the_cap_was_reached(
    photos: Path, server: VlmServer, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["annotate", "-w", str(photos), *WORDS, "--price-in", "10", "--price-out", "20", "--max-cost", "0.06"]

    code = main([*words, "--json"])

    out, err = capsys.readouterr()
    assert code == 4
    assert "pictures are left" in err
    assert "--max-cost goes on" in err
    assert json.loads(out)["n_left"] > 0


def watch(process: subprocess.Popen[str], is_reached: Callable[[], bool]) -> None:
    """Wait until something is reached."""
    while not is_reached():
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)


@pytest.mark.slow
@pytest.mark.parametrize("is_priced", [True, False], ids=["priced", "unpriced"])
def test_over_kills_nothing_that_arrived_is_paid_for_twice(is_priced: bool, photos: Path, server: VlmServer) -> None:
    server.delay_s = 0.1
    server.fault = every(5, "500")
    hashes = picture_hashes(photos)
    prices = ["--price-in", "10", "--price-out", "20", "--max-cost", "5"] if is_priced else []
    words = ["annotate", "-w", photos, *WORDS, "--concurrency", "4", *prices]
    n_in_flight = 0

    for n_more in (9, 14):
        n_before = server.n_paid
        process = start_mekiki(*words)
        watch(process, lambda n_wanted=n_before + n_more: server.n_paid >= n_wanted)
        process.kill()
        process.communicate()
        n_in_flight += server.n_in_flight
        time.sleep(0.3)
        known, n_asked = {hashes[item_id] for item_id in answered_items(photos)}, len(server.asked)
        assert len(known) >= n_before + n_more - 8
    code, _, err = mekiki(*words)

    assert code == 0, err
    asked_after = {one.picture_hash for one in server.asked[n_asked:]}
    assert not asked_after & known, "an answer on the disk was asked for again"
    paid = server.paid_by_picture()
    assert set(paid) == set(hashes.values())
    assert sum(paid.values()) - N_PHOTOS <= 2 * 4
    assert len(query(photos, "SELECT DISTINCT item_id FROM labels")) == N_PHOTOS
    assert query(photos, "SELECT count(*) FROM failures") == [(0,)]
    rows = dump(photos)
    assert mekiki(*words)[0] == 0
    assert dump(photos) == rows


@pytest.mark.slow
def test_the_cap_holds_over_a_kill(photos: Path, server: VlmServer) -> None:
    server.delay_s = 0.05
    cap = ["--price-in", "10", "--price-out", "20", "--max-cost", "0.3"]
    process = start_mekiki("annotate", "-w", photos, *WORDS, *cap)
    watch(process, lambda: server.n_paid >= 6)
    process.kill()
    process.communicate()
    time.sleep(0.2)

    code, _, _ = mekiki("annotate", "-w", photos, *WORDS, *cap)

    assert code in (0, 4)
    assert server.cost_usd(10, 20) <= 0.3


@pytest.mark.slow
def test_ctrl_c_ends_after_the_calls_in_flight_and_nothing_is_paid_twice(photos: Path, server: VlmServer) -> None:
    server.delay_s = 0.2
    process = start_mekiki("annotate", "-w", photos, *WORDS, "--concurrency", "3")
    watch(process, lambda: server.n_paid >= 5)
    n_asked = len(server.asked)

    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    n_asked_more = len(server.asked) - n_asked
    server.delay_s = 0
    code, _, _ = mekiki("annotate", "-w", photos, *WORDS)

    assert (process.returncode, code) == (130, 0), err
    assert "The same command goes on" in err
    assert n_asked_more <= 6
    assert set(server.paid_by_picture().values()) == {1}


@pytest.mark.slow
def test_no_key_no_header_and_no_picture_is_kept_or_shown(photos: Path, server: VlmServer) -> None:
    secret = "sk-verysecret-0123456789"
    server.fault = lambda asked: "echo" if asked.number % 3 == 0 else "401" if asked.number == 31 else None
    env = {"OPENAI_API_KEY": secret, "OPENAI_BASE_URL": server.url}

    code, out, err = mekiki("annotate", "-w", photos, *WORDS, "-v", "--retries", "0", "--concurrency", "1", env=env)
    env["OPENAI_BASE_URL"] = server.url.replace("http://", f"http://user:{secret}@")
    more = mekiki("annotate", "-w", photos, *WORDS, "--json", "--limit", "3", "--retries", "0", env=env)

    assert code in (3, 4, 5)
    assert "refused with status 400" in out + str(query(photos, "SELECT reason FROM failures"))
    told = {one.headers["authorization"] for one in server.asked}
    assert len(told) == 2, "the key once as such, once in the address"
    pieces = [secret.encode(), *(words.split()[1].encode() for words in told), b"base64,"]
    for asked in server.asked:
        pieces += [asked.picture[:64], asked.picture[200:260], base64.b64encode(asked.picture)[:40]]
    contents = {path: path.read_bytes() for path in photos.rglob("*") if path.is_file() and path.parent.name != "in"}
    assert any(path.name.startswith("mekiki.db") for path in contents)
    for name, content in {**contents, Path("stdout"): f"{out}{err}{more}".encode()}.items():
        assert [piece for piece in pieces if piece in content] == [], name


def test_two_threads_that_change_the_request_at_once_agree(photos: Path, server: VlmServer) -> None:
    server.refuses = ("json_schema", "json_object", "reasoning_effort", "temperature", "detail", "max_tokens")

    summary = annotate(photos, concurrency=8, temperature=0.0, reasoning_effort="low")

    assert counts(summary) == (N_PHOTOS, N_PHOTOS, 0, 0)
    assert len(server.asked) <= N_PHOTOS + 6 * 8


def test_the_threads_are_gone_when_the_stage_ends(photos: Path, server: VlmServer) -> None:
    n_threads = threading.active_count()
    server.fault = lambda _asked: "401"

    with pytest.raises(BackendError):
        annotate(photos, concurrency=8)

    time.sleep(0.2)
    mine = [one for one in threading.enumerate() if "process_request" not in one.name]
    assert len(mine) <= n_threads, [one.name for one in mine]
