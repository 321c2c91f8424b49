"""Data sets from a hub, against a small one on 127.0.0.1: fetched, resumed, refused, offline."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mekiki.errors import UsageError
from mekiki.models.hub import PREFIX, fetch_dataset
from pictures import encode, jpeg
from workspaces import labels, mekiki, query, scene, start_mekiki

pytest.importorskip("huggingface_hub")

OWNER_NAME = "owner/name"
ADDRESS = f"{PREFIX}{OWNER_NAME}"


@dataclass
class Hub:
    """What the hub has, what it was asked, and how it misbehaves."""

    files: dict[str, bytes]
    commit: str = "a" * 40
    asked: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)  # answered with 500
    stalled: set[str] = field(default_factory=set)  # the first half is sent, then nothing more
    closing: threading.Event = field(default_factory=threading.Event)
    endpoint: str = ""

    def api(self, path: str) -> Any:
        """Return what an address of the hub's interface answers; None if there is nothing."""
        of_set = f"/api/datasets/{OWNER_NAME}"
        if path in (of_set, f"{of_set}/revision/main", f"{of_set}/revision/{self.commit}"):
            siblings = [{"rfilename": name} for name in self.files]
            return {"id": OWNER_NAME, "sha": self.commit, "siblings": siblings, "private": False, "tags": []}
        if path == f"{of_set}/tree/{self.commit}":
            return [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in self.files.items()
            ]
        return None


def handler_of(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def do_HEAD(self) -> None:
            self.answer(has_body=False)

        def do_GET(self) -> None:
            self.answer(has_body=True)

        def answer(self, *, has_body: bool) -> None:
            path = self.path.partition("?")[0]
            hub.asked.append(f"{self.command} {path}")
            found = re.fullmatch(f"/datasets/{OWNER_NAME}/resolve/([^/]+)/(.+)", path)
            if found and found[1] == hub.commit and found[2] in hub.files:
                self.send_content(found[2], has_body=has_body)
                return
            answer = hub.api(path)
            if answer is not None:
                self.send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})
            elif path.startswith(f"/api/datasets/{OWNER_NAME}/"):
                self.send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            else:
                self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

        def send_content(self, name: str, *, has_body: bool) -> None:
            content = hub.files[name]
            headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": hub.commit}
            if name in hub.broken and has_body:
                self.send(500, b"", {})
                return
            if name in hub.stalled and has_body:
                self.send(200, content[: len(content) // 2], headers, n_promised=len(content))
                hub.closing.wait(30)
                self.close_connection = True
                return
            self.send(200, content, headers, has_body=has_body)

        def send(
            self, code: int, content: bytes, headers: dict[str, str], *, has_body: bool = True, n_promised: int = -1
        ) -> None:
            self.send_response(code)
            for header, value in headers.items():
                self.send_header(header, value)
            self.send_header("Content-Length", str(len(content) if n_promised < 0 else n_promised))
            self.end_headers()
            if has_body:
                self.wfile.write(content)
                self.wfile.flush()

    return Handler


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A hub with one data set: three photos in a folder and their metadata.csv, one photo of them large."""
    noise = np.random.default_rng(0).integers(0, 256, (600, 900, 3), dtype=np.uint8)
    shown = Hub(
        {
            "README.md": b"# Three photos\n",
            "train/metadata.csv": b"file_name,label\na.jpg,fox\nb.jpg,car\nbig.png,unknown\n",
            "train/a.jpg": jpeg(scene(1)),
            "train/b.jpg": jpeg(scene(2)),
            "train/big.png": encode(noise, "PNG"),
        }
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(shown))
    server.daemon_threads = True
    shown.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield shown
    shown.closing.set()
    server.shutdown()
    server.server_close()


def environment(hub: Hub, tmp_path: Path, **more: str) -> dict[str, str]:
    return {
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "NO_PROXY": "127.0.0.1",
        "HF_HUB_OFFLINE": "0",
        **more,
    }


def fetched(workspace: Path) -> dict[str, bytes]:
    """Return the files of the data set in a workspace, but for what its packages note down."""
    folder = workspace / "media/hub/owner--name"
    paths = (path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    return {name: path.read_bytes() for name, path in names.items() if not name.startswith(".")}


LABELS = {
    "a.jpg": {"fox": "present", "car": "absent"},
    "b.jpg": {"fox": "absent", "car": "present"},
    "big.png": {"fox": "absent", "car": "absent"},
}


def test_a_data_set_becomes_items_with_its_labels_and_parts(hub: Hub, workspace: Path, tmp_path: Path) -> None:
    code, out, err = mekiki("ingest", ADDRESS, "-w", workspace, env=environment(hub, tmp_path))

    assert (code, "Traceback" in err) == (0, False), err
    assert "ingest: 3 written" in out
    assert fetched(workspace) == hub.files
    assert labels(workspace) == LABELS
    assert query(workspace, "SELECT DISTINCT name, value FROM attributes") == [("part", "train")]
    paths = {path for (path,) in query(workspace, "SELECT path FROM sources")}
    assert paths == {f"media/hub/owner--name/train/{name}" for name in LABELS}


@pytest.mark.slow
def test_files_that_are_there_are_not_fetched_again_and_nothing_is_written(
    hub: Hub, workspace: Path, tmp_path: Path
) -> None:
    words = ("ingest", ADDRESS, "-w", workspace)
    mekiki(*words, env=environment(hub, tmp_path))
    hub.asked.clear()

    code, out, _ = mekiki(*words, env=environment(hub, tmp_path))

    assert code == 0
    assert "ingest: 0 written, 3 done before" in out
    assert not [line for line in hub.asked if "resolve" in line]


@pytest.mark.slow
def test_our_frames_and_exports_are_not_taken_for_the_data_sets(hub: Hub, workspace: Path, tmp_path: Path) -> None:
    env = environment(hub, tmp_path)
    mekiki("ingest", ADDRESS, "-w", workspace, env=env)
    mekiki("export", "--format", "yolo", "-w", workspace, env=env)

    code, out, err = mekiki("ingest", tmp_path, ADDRESS, "-w", workspace, env=env)

    assert (code, "ingest: 0 written, 3 done before" in out) == (0, True), out + err


@pytest.mark.slow
def test_a_new_commit_is_fetched(hub: Hub, workspace: Path, tmp_path: Path) -> None:
    env = environment(hub, tmp_path)
    mekiki("ingest", ADDRESS, "-w", workspace, env=env)
    hub.files["train/c.jpg"] = jpeg(scene(3))
    hub.files["train/metadata.csv"] += b"c.jpg,fox\n"
    hub.commit = "b" * 40

    code, out, err = mekiki("ingest", ADDRESS, "-w", workspace, env=env)

    assert (code, "ingest: 1 written, 3 done before" in out) == (0, True), out + err
    assert labels(workspace)["c.jpg"]["fox"] == "present"


def test_a_missing_data_set_is_one_clear_line_and_exit_5(hub: Hub, workspace: Path, tmp_path: Path) -> None:
    code, _, err = mekiki("ingest", f"{PREFIX}owner/nothing", "-w", workspace, env=environment(hub, tmp_path))

    assert code == 5
    assert err.count("\n") == 1
    assert "cannot fetch hf://datasets/owner/nothing: the hub has no such data set" in err
    assert "HF_TOKEN" in err


@pytest.mark.slow
def test_a_missing_revision_is_one_clear_line_and_exit_5(hub: Hub, workspace: Path, tmp_path: Path) -> None:
    code, _, err = mekiki("ingest", f"{ADDRESS}@v9", "-w", workspace, env=environment(hub, tmp_path))

    assert (code, err.count("\n")) == (5, 1)
    assert "it has no such revision" in err


@pytest.mark.slow
def test_a_hub_that_is_not_there_is_one_clear_line_and_exit_5(hub: Hub, workspace: Path, tmp_path: Path) -> None:
    env = environment(hub, tmp_path, HF_ENDPOINT="http://127.0.0.1:9")

    code, _, err = mekiki("ingest", ADDRESS, "-w", workspace, env=env)

    assert (code, err.count("\n")) == (5, 1)
    assert "HF_ENDPOINT" in err


@pytest.mark.slow
def test_a_download_that_is_killed_half_way_is_continued_without_the_files_that_had_arrived(
    hub: Hub, workspace: Path, tmp_path: Path
) -> None:
    hub.stalled.add("train/big.png")
    process = start_mekiki("ingest", ADDRESS, "-w", workspace, env=environment(hub, tmp_path))
    assert _wait_for_files(workspace, len(hub.files) - 1)
    process.kill()
    process.communicate()
    hub.stalled.clear()
    hub.closing.set()
    hub.asked.clear()

    code, _, err = mekiki("ingest", ADDRESS, "-w", workspace, env=environment(hub, tmp_path))

    assert code == 0, err
    assert fetched(workspace) == hub.files
    assert labels(workspace) == LABELS
    assert {line for line in hub.asked if "/resolve/" in line and line.startswith("GET")} == {
        f"GET /datasets/{OWNER_NAME}/resolve/{hub.commit}/train/big.png"
    }
    assert list((workspace / "media").rglob("*.incomplete")) == []


def _wait_for_files(workspace: Path, n_files: int) -> bool:
    """Wait until so many files are whole and one more has been begun; False if that never happens."""
    pause = threading.Event()
    for _ in range(300):
        if len(fetched(workspace)) >= n_files and list((workspace / "media/hub").rglob("*.incomplete")):
            return True
        pause.wait(0.1)
    return False


@pytest.mark.slow
def test_half_a_data_set_is_never_taken_for_a_whole_one(hub: Hub, workspace: Path, tmp_path: Path) -> None:
    hub.broken.add("train/big.png")
    env = environment(hub, tmp_path)

    first = mekiki("ingest", ADDRESS, "-w", workspace, env=env)
    offline = mekiki("ingest", ADDRESS, "-w", workspace, env={**env, "HF_HUB_OFFLINE": "1"})
    hub.broken.clear()
    second = mekiki("ingest", ADDRESS, "-w", workspace, env=env)

    assert (first[0], offline[0]) == (5, 5), first[2] + offline[2]
    assert second[0] == 0, second[2]
    assert labels(workspace) == LABELS


@pytest.mark.slow
@pytest.mark.parametrize(
    "away", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}], ids=["offline", "gone"]
)
def test_a_whole_data_set_is_used_without_the_hub(
    away: dict[str, str], hub: Hub, workspace: Path, tmp_path: Path
) -> None:
    mekiki("ingest", ADDRESS, "-w", workspace, env=environment(hub, tmp_path))
    n_asked = len(hub.asked)

    code, out, err = mekiki("ingest", ADDRESS, "-w", workspace, env=environment(hub, tmp_path, **away))

    assert (code, "ingest: 0 written, 3 done before" in out) == (0, True), err
    assert len(hub.asked) == n_asked


def test_offline_and_never_fetched_says_so(hub: Hub, workspace: Path, tmp_path: Path) -> None:
    code, _, err = mekiki("ingest", ADDRESS, "-w", workspace, env=environment(hub, tmp_path, HF_HUB_OFFLINE="1"))

    assert (code, err.count("\n"), hub.asked) == (5, 1, [])
    assert "HF_HUB_OFFLINE is set, and it has not been fetched" in err


@pytest.mark.parametrize(
    "address", ["hf://datasets/", "hf://datasets/name", "hf://datasets/a/b/c", "hf://datasets/a/b@"]
)
def test_another_spelling_is_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is written hf://datasets/OWNER/NAME"):
        fetch_dataset(address, tmp_path)


@pytest.mark.parametrize("address", ["hf://datasets/../..", "hf://datasets/a--b/c", "hf://datasets/-a/b"])
def test_a_name_that_no_hub_can_have_is_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no data set that can be on a hub"):
        fetch_dataset(address, tmp_path)
