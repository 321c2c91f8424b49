"""Stage ``predict`` with PATHS: one file of predictions, and no workspace touched."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from classifiers import CLASSES, Saved, make_model, register
from mekiki.api.verbs import run_stage
from mekiki.cli.main import main
from mekiki.engine.local import LocalEngine
from mekiki.errors import UsageError
from mekiki.media.images import read_image
from mekiki.media.preprocessing import at_hand
from mekiki.media.sampling import Sampling
from mekiki.media.video import sample_frames
from mekiki.models.classify import open_classifier
from mekiki.models.opening import Opening
from mekiki.records import RunSummary
from videos import Recipe, make_video, packet_places, scramble
from workspaces import dump, file_hashes, mekiki, reasons, write_photo, write_text

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    return make_model(tmp_path_factory.mktemp("model"), name="tiny")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with three photos, one in a folder of its own."""
    for number, name in enumerate(("b.jpg", "a.jpg", "deep/c.jpg")):
        write_photo(tmp_path / "in" / name, number)
    return tmp_path / "in"


@pytest.fixture(autouse=True)
def current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def predict(saved: Saved, /, *paths: Path | str, **settings: Any) -> RunSummary:
    given = {"model": str(saved.path), "paths": [str(path) for path in paths], "device": "cpu", **settings}
    return run_stage("predict", "no workspace", given)


def rows_of(path: Path | str = "predict.csv") -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def names_of(path: Path | str = "predict.csv") -> list[str]:
    return [Path(row["image_path"]).name for row in rows_of(path)]


def scores_of(row: dict[str, str]) -> list[float]:
    return [float(row[f"prob_{name}"]) for name in CLASSES]


def files_here() -> list[str]:
    return sorted(path.name for path in Path.cwd().iterdir())


def expected(model: Saved, image: Any) -> Any:
    classifier = open_classifier(Opening(model.path, device="cpu"))
    return classifier.score([classifier.prepare(at_hand(image))])[0]


def test_a_folder_becomes_a_table_with_seed_1s_columns(model: Saved, photos: Path, current_folder: Path) -> None:
    summary = predict(model, photos)

    rows = rows_of()
    assert list(rows[0]) == [
        *("image_path", "predicted_labels_json", "predicted_labels_text", "is_unknown"),
        *(f"prob_{name}" for name in CLASSES),
    ]
    assert [row["image_path"] for row in rows] == [str(photos / name) for name in ("a.jpg", "b.jpg", "deep/c.jpg")]
    assert Path("predict.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    assert (summary.n_selected, summary.n_written, summary.n_rows) == (3, 3, 3)
    assert summary.outputs == {"predictions": str(current_folder / "predict.csv")}
    assert files_here() == ["predict.csv"]


def test_scores_are_those_of_the_picture_and_decide_the_labels(model: Saved, photos: Path) -> None:
    predict(model, photos / "a.jpg", photos / "b.jpg", threshold=0.5)

    for row in rows_of():
        scores = expected(model, read_image(Path(row["image_path"]), at_least_px=2 * 32))
        assert np.abs(scores - scores_of(row)).max() < 1e-5
        labels = [name for name, score in zip(CLASSES, scores, strict=True) if score >= 0.5] or ["unknown"]
        assert json.loads(row["predicted_labels_json"]) == labels
        assert row["predicted_labels_text"] == "|".join(labels)
        assert row["is_unknown"] == str(int(labels == ["unknown"]))


def test_rows_stand_in_the_order_of_the_inputs_each_once(model: Saved, photos: Path, current_folder: Path) -> None:
    for number in range(12):
        write_photo(photos / "many" / f"{number:02d}.jpg", number)
    listed = write_text(
        current_folder / "list.txt", f"# a comment\n\n{photos}/many/07.jpg\n{photos}/many/03.jpg\n{photos}/b.jpg\n"
    )

    predict(model, photos / "b.jpg", listed, f"{photos}/many/0[0-4].jpg", photos / "a.jpg", workers=4, batch_size=2)

    assert names_of() == ["b.jpg", "07.jpg", "03.jpg", "00.jpg", "01.jpg", "02.jpg", "04.jpg", "a.jpg"]


def test_bad_files_are_failures_and_shift_nobody(model: Saved, photos: Path, current_folder: Path) -> None:
    write_text(photos / "aa.jpg", "no picture")
    truncated = photos / "ab.jpg"
    truncated.write_bytes((photos / "a.jpg").read_bytes()[:-300])
    listed = write_text(
        current_folder / "list.txt",
        f"{photos}/a.jpg\n{photos}/gone.jpg\n{photos}/aa.jpg\n{truncated}\n{photos}/b.jpg\n",
    )

    summary = predict(model, listed, batch_size=1, workers=3)

    assert names_of() == ["a.jpg", "b.jpg"]
    assert np.abs(expected(model, read_image(photos / "b.jpg", at_least_px=64)) - scores_of(rows_of()[1])).max() < 1e-5
    assert (summary.n_selected, summary.n_written, summary.n_failed) == (5, 2, 3)
    assert reasons(summary).keys() == {"gone.jpg", "aa.jpg", "ab.jpg"}
    assert reasons(summary)["gone.jpg"] == "no such file"


def test_no_recursion_leaves_folders_inside_alone(model: Saved, photos: Path) -> None:
    predict(model, photos, recursive=False)

    assert names_of() == ["a.jpg", "b.jpg"]


def test_a_table_of_labels_is_an_input_like_a_list(model: Saved, photos: Path) -> None:
    table = write_text(photos / "t.csv", "filepath,label\nb.jpg,fox\n../../x.jpg,fox\ndeep/c.jpg,cat\nb.jpg,cat\n")

    summary = predict(model, table)

    assert names_of() == ["b.jpg", "c.jpg"]
    assert [failure.path for failure in summary.failures] == [f"{table}:3"]
    assert "outside" in summary.failures[0].reason


def test_json_says_the_same_with_the_model_at_its_top(model: Saved, photos: Path) -> None:
    predict(model, photos)
    predict(model, photos, output="out/p.json")

    document = json.loads(Path("out/p.json").read_text())
    assert (document["model"], document["model_id"]) == ("tiny", model.model_id)
    assert document["thresholds"] == dict.fromkeys(CLASSES, 0.5)
    for row, one in zip(rows_of(), document["predictions"], strict=True):
        assert one["image_path"] == row["image_path"]
        assert one["predicted_labels"] == json.loads(row["predicted_labels_json"])
        assert [one["probabilities"][name] for name in CLASSES] == scores_of(row)
        assert one["kind"] == "image"


def test_one_input_prints_its_answer(model: Saved, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["predict", str(model.path), str(photos / "a.jpg"), "--device", "cpu", "-q"]

    assert main([*words, "-o", "a.csv"]) == 0
    shown = capsys.readouterr().out
    assert main([*words, "-o", "b.csv", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)["answer"]

    row = rows_of("a.csv")[0]
    assert f"{photos / 'a.jpg'}: {row['predicted_labels_text'].replace('|', ', ')} (" in shown
    assert answer["predicted_labels"] == json.loads(row["predicted_labels_json"])
    assert answer["probabilities"] == dict(zip(CLASSES, scores_of(row), strict=True))


def test_of_one_picture_the_answer_is_shown_as_often_as_you_like_and_no_file_written(
    model: Saved, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", str(model.path), str(photos / "a.jpg"), "--device", "cpu", "-q"]

    codes = [main(words), main(words)]
    first, second = capsys.readouterr().out.strip().split(f"{photos / 'a.jpg'}: ")[1:]

    assert codes == [0, 0]
    assert first.split(")")[0] == second.split(")")[0]
    assert predict(model, photos / "a.jpg").outputs == {}
    assert files_here() == []


def test_of_a_folder_a_list_or_a_clip_a_file_is_written_though_it_be_one(model: Saved, photos: Path) -> None:
    (photos / "clips").mkdir()
    make_video(photos / "clips" / "clip.mp4", Recipe(n_frames=10))
    listed = write_text(Path("list.txt"), f"{photos}/a.jpg\n")

    for given in (photos / "deep", listed, f"{photos}/a*.jpg", photos / "clips" / "clip.mp4"):
        summary = predict(model, given, overwrite=True)
        assert "answer" in summary.extra
        assert Path(summary.outputs["predictions"]).name == "predict.csv"


@pytest.mark.parametrize(("name", "value"), [("overwrite", True), ("layout", "seed5")])
def test_what_is_of_a_file_is_refused_where_none_is_written(name: str, value: Any, model: Saved, photos: Path) -> None:
    with pytest.raises(UsageError, match="goes with -o FILE: of one picture"):
        predict(model, photos / "a.jpg", **{name: value})


@pytest.mark.parametrize("how", ["max", "mean"])
def test_a_clip_has_a_row_per_frame_and_one_that_sums_them_up(model: Saved, tmp_path: Path, how: str) -> None:
    clip = tmp_path / "clip.mp4"
    make_video(clip, Recipe(n_frames=30))
    write_photo(tmp_path / "z.jpg", 1)

    summary = predict(model, clip, tmp_path / "z.jpg", every_n_frames=10, clip_score=how)

    frames = list(sample_frames(clip, Sampling("every-n-frames", every_n=10)))
    rows = rows_of()
    paths = [f"{clip}#t={frame.time_s:.3f}" for frame in frames]
    assert [row["image_path"] for row in rows] == [*paths, str(clip), str(tmp_path / "z.jpg")]
    scores = np.array([expected(model, frame.pixels) for frame in frames])
    assert np.abs(scores - [scores_of(row) for row in rows[:3]]).max() < 1e-5
    assert np.abs(getattr(scores, how)(axis=0) - scores_of(rows[3])).max() < 1e-5
    assert summary.n_rows == 5
    assert f"1 clips are summed up by the {how} over their frames" in summary.notes
    assert sum(summary.extra["n_per_class"].values()) >= 2


def test_a_clip_that_breaks_off_has_no_rows(model: Saved, tmp_path: Path, photos: Path) -> None:
    clip = tmp_path / "clip.mp4"
    make_video(clip, Recipe(n_frames=30))
    clip.write_bytes(clip.read_bytes()[:300])

    summary = predict(model, clip, photos / "a.jpg")

    assert names_of() == ["a.jpg"]
    assert summary.n_failed == 1


def test_a_damaged_clip_is_scored_as_far_as_it_goes_and_said_to_be_damaged(model: Saved, tmp_path: Path) -> None:
    clean = make_video(tmp_path / "clip.mp4", Recipe(n_frames=60))
    start, n_bytes, _ = packet_places(clean)[24]
    damaged = scramble(clean, tmp_path / "damaged.mp4", start + 8, n_bytes - 8)

    summary = predict(model, damaged, every_n_frames=2)

    assert 1 < summary.n_rows < 31
    assert any(note.startswith("damaged clips: 1; ") for note in summary.notes)


def test_thresholds_that_are_given_win_over_the_models_own(tmp_path: Path, photos: Path) -> None:
    own = make_model(tmp_path, name="own", thresholds=(1.0, 1.0, 1.0))
    metrics = write_text(tmp_path / "metrics.json", json.dumps({"threshold": 1.0, "thresholds": {"cat": 0.0}}))

    predict(own, photos, output="own.csv")
    predict(own, photos, output="flag.csv", threshold=0.0)
    predict(own, photos, output="metrics.csv", thresholds=str(metrics))

    assert {row["predicted_labels_text"] for row in rows_of("own.csv")} == {"unknown"}
    assert {row["is_unknown"] for row in rows_of("own.csv")} == {"1"}
    assert {row["predicted_labels_text"] for row in rows_of("flag.csv")} == {"|".join(CLASSES)}
    assert {row["predicted_labels_text"] for row in rows_of("metrics.csv")} == {"cat"}


def test_what_a_spreadsheet_would_run_is_disarmed(tmp_path: Path, current_folder: Path) -> None:
    evil = make_model(tmp_path, name="evil", class_names=("=1+1", "@x"))
    write_photo(current_folder / "=2.jpg", 1)

    predict(evil, "=2.jpg", threshold=0, output=Path("p.csv"))

    text = Path("p.csv").read_text(encoding="utf-8-sig")
    header, row = text.splitlines()
    assert header.endswith(",prob_=1+1,prob_@x")
    assert ",'=1+1|@x," in row
    assert not any(cell.startswith(("=", "@", "+")) for cell in next(csv.reader([row])))


def test_a_file_that_is_there_is_kept_unless_asked(model: Saved, photos: Path) -> None:
    write_text(Path("predict.csv"), "mine")

    with pytest.raises(UsageError, match=r"predict\.csv exists: .* --overwrite"):
        predict(model, photos)
    assert Path("predict.csv").read_text() == "mine"

    predict(model, photos, overwrite=True)
    assert len(rows_of()) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"output": "x.xlsx"}, r"written to a \.csv or a \.json file, got x\.xlsx", id="ending"),
        pytest.param({"output": "folder.csv"}, "is a folder", id="folder"),
        pytest.param({"output": "file/x.csv"}, "no folder", id="below a file"),
        pytest.param({"model": "x.pt"}, "there is no model file 'x.pt'", id="no such file"),
        pytest.param({"model": "x"}, "no model file 'x', and no workspace in no workspace", id="name, no workspace"),
        pytest.param({"paths": ["nothing"]}, "there is no file or folder 'nothing'", id="no such input"),
        pytest.param({"paths": ["folder.csv"]}, "no photo or clip in", id="empty folder"),
        pytest.param({"device": "tpu"}, "no device is called 'tpu'", id="device"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_read(
    model: Saved, photos: Path, settings: dict[str, Any], message: str
) -> None:
    Path("folder.csv").mkdir()
    write_text(Path("file"), "")

    with pytest.raises(UsageError, match=message):
        predict(model, photos, **settings)
    assert files_here() == ["file", "folder.csv"]


def test_the_output_is_never_an_input(model: Saved, photos: Path) -> None:
    listed = write_text(photos / "list.txt", f"{photos}/a.jpg\n{photos}/x.csv\n")
    write_text(photos / "x.csv", "mine")

    with pytest.raises(UsageError, match="is one of the inputs and would be lost"):
        predict(model, listed, output=str(photos / "x.csv"), overwrite=True)
    table = write_text(photos / "table.csv", "filepath,label\na.jpg,fox\n")
    thresholds = write_text(photos / "thresholds.json", '{"fox": 0.3}')
    for settings in ({"paths": [str(table)], "output": table}, {"output": thresholds, "thresholds": str(thresholds)}):
        before = settings["output"].read_bytes()
        with pytest.raises(UsageError, match="is one of the inputs and would be lost"):
            predict(model, photos, overwrite=True, **settings)
        assert settings["output"].read_bytes() == before
    assert (photos / "x.csv").read_text() == "mine"


def test_a_workspace_only_says_which_model_is_meant(model: Saved, photos: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "ws"
    (workspace / "models").mkdir(parents=True)
    own = register(workspace, make_model(workspace / "models", name="own", seed=3))
    rows, files = dump(workspace), file_hashes(workspace)

    summary = run_stage("predict", workspace, {"model": "own", "paths": [str(photos)], "device": "cpu"})

    assert summary.extra["model_id"] == own.model_id
    assert dump(workspace) == rows
    assert file_hashes(workspace) == files
    with pytest.raises(UsageError, match=r"no model is called 'wno'\. Did you mean 'own'"):
        run_stage("predict", workspace, {"model": "wno", "paths": [str(photos)]})


def test_a_dry_run_writes_no_file(model: Saved, photos: Path) -> None:
    settings = {"model": str(model.path), "paths": [str(photos)], "device": "cpu"}

    summary = run_stage("predict", "no workspace", settings, engine=LocalEngine(dry_run=True))

    assert summary.extra == {"dry_run": True, "n_todo": 3}
    assert files_here() == []


def test_failures_are_told_by_the_exit_code(model: Saved, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_text(photos / "x.jpg", "no picture")

    code = main(["predict", str(model.path), str(photos), "--device", "cpu", "-q", "--json"])

    assert code == 3
    summary = json.loads(capsys.readouterr().out)
    assert [failure["path"] for failure in summary["failures"]] == [str(photos / "x.jpg")]
    assert len(rows_of()) == 3


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_pictures(model: Saved, tmp_path: Path) -> None:
    program = (
        "import sys, resource\n"
        "from mekiki.api.verbs import run_stage\n"
        "import torch; torch.set_num_threads(1)\n"
        "run_stage('predict', 'x', dict(model=sys.argv[1], paths=[sys.argv[2]], output=sys.argv[3], device='cpu'))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    content = write_photo(tmp_path / "a.jpg", 1).read_bytes()
    peaks_mb = []
    for n_photos in (100, 4000):
        folder = tmp_path / str(n_photos)
        folder.mkdir()
        for number in range(n_photos):
            (folder / f"{number:05d}.jpg").write_bytes(content)
        _, out, _ = run_python(program, model.path, folder, tmp_path / f"{n_photos}.csv")
        peaks_mb.append(int(out) / 1024)
        assert len(rows_of(tmp_path / f"{n_photos}.csv")) == n_photos

    assert peaks_mb[1] - peaks_mb[0] < 25


def run_python(program: str, *words: object) -> tuple[int, str, str]:
    import subprocess

    done = subprocess.run([sys.executable, "-c", program, *map(str, words)], capture_output=True, text=True, check=True)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
def test_seed_1s_command_works_with_its_own_checkpoint(tmp_path: Path, photos: Path) -> None:
    from mekiki.training.backbones import BackboneSpec, make_network

    network = make_network(BackboneSpec("resnet18", 2), pretrained=False, weights=None, allow_code=False)
    checkpoint = {
        "model_state_dict": network.state_dict(),
        "class_names": ["タヌキ", "ネコ"],
        "threshold": 0.0,
        "img_size": 64,
        "seed": 42,
        "arch": "resnet18",
    }
    torch.save(checkpoint, tmp_path / "best.pt")

    code, _, err = mekiki("predict", tmp_path / "best.pt", photos, "--device", "cpu", "-o", "p.csv", "-q")

    assert (code, err) == (0, "")
    assert {row["predicted_labels_text"] for row in rows_of("p.csv")} == {"タヌキ|ネコ"}
    assert "prob_タヌキ" in rows_of("p.csv")[0]
