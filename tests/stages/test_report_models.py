"""The page about models: what the runs left, the latest of each, and what is missing said in its place."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import pytest

from mekiki.catalog.db import Catalog
from model_runs import (
    agreement,
    annotation,
    ensemble,
    estimate,
    evaluated,
    evaluation,
    history,
    leave,
    mistakes,
    tuning,
)
from workspaces import ingest, run, write_photo

N_PHOTOS = 6
TITLES = (
    *("Training", "Models compared", "Thresholds", "Class by class", "Areas under curves", "Worst mistakes"),
    "Labels and who gave them",
)


@pytest.fixture
def filled(workspace: Path, tmp_path: Path) -> Path:
    for number in range(N_PHOTOS):
        write_photo(tmp_path / "photos" / f"IMG_{number}.jpg", number)
    ingest(workspace, tmp_path / "photos")
    return workspace


@pytest.fixture
def judged(filled: Path, tmp_path: Path) -> Path:
    photos = [tmp_path / "photos" / f"IMG_{number}.jpg" for number in range(N_PHOTOS)]
    for name in ("small", "wide"):
        files = {"history.csv": history(5)}
        leave(filled, "train", name, files, model=name, arch="small-cnn", best_epoch=4, settings={"arch": "small-cnn"})
    leave(filled, "ensemble", "both", {"ensemble.json": ensemble()}, model="both")
    leave(filled, "tune", "both", {"tuning.json": tuning()}, model="both-tuned")
    files = {"metrics.json": evaluation(), "mistakes.json": mistakes([*photos, tmp_path / "gone" / "lost.jpg"])}
    leave(filled, "evaluate", "all", files)
    return filled


def page(workspace: Path) -> str:
    run("report", workspace)
    text = unescape((workspace / "reports" / "report.html").read_text())
    for mark in (
        "<wbr>",
        "<bdi>",
        "</bdi>",
        '<bdi lang="ja">',
        '<span class="note">',
        '<span class="estimate">',
        "</span>",
    ):
        text = text.replace(mark, "")
    return text


def titles(text: str) -> list[str]:
    return re.findall(r"<h2[^>]*>(.*?)</h2>", text)


def test_a_workspace_without_models_has_a_page_without_their_sections(filled: Path) -> None:
    assert not set(TITLES) & set(titles(page(filled)))


def test_every_stage_that_ran_has_its_section_in_the_order_of_the_work(judged: Path) -> None:
    text = page(judged)

    shown = [title for title in titles(text) if title in TITLES]
    assert shown == list(TITLES[:-1])
    for told in ("small", "wide", "both-tuned", "タヌキ", "アナグマ", "chosen on val only"):
        assert told in text
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", text)
    assert "<script" not in text


def test_the_best_models_test_figure_is_at_the_top_with_its_interval(judged: Path) -> None:
    head = page(judged).split("<nav")[0]

    assert "0.93 (0.90 to 0.96)" in head
    assert "micro F1 on test" in head
    assert "both-tuned" in head


def test_pr_auc_on_test_is_named_with_its_interval(judged: Path) -> None:
    text = page(judged)

    assert "PR-AUC (trapezoid) on test" in text.split("<nav")[0]
    assert re.search(
        r"both-tuned, タヌキ: PR-AUC \(trapezoid\) 0\.\d{3}, 95 % interval 0\.\d{3} to 0\.\d{3}, 200 pictures, 60 "
        "independent groups",
        text,
    )


def test_a_search_is_shown_with_its_trials_and_a_broken_one_is_said(filled: Path) -> None:
    trials = [
        {
            "number": n,
            "state": "complete",
            "value": 0.8 + n / 100,
            "parameters": {"units": 128 * (1 + n % 2)},
            "seconds": 2,
        }
        for n in range(5)
    ]
    content = {"objective": "val_pr_auc", "direction": "maximize", "trials": trials, "best": 4}
    for name, found in (("good", content), ("bad", {"trials": [{}]}), ("none", None)):
        files = {"history.csv": history(3)} | ({} if found is None else {"search.json": found})
        leave(filled, "train", name, files, model=name, settings={"search": 5})

    text = page(filled)

    assert "Search of good" in text
    assert "5 trials, 0 of them stopped early" in text
    assert re.search(r"bad: runs/\w+/search.json of stage train cannot be understood", text)
    assert re.search(r"none: runs/\w+/search.json of stage train is missing", text)


def test_a_figure_on_another_part_than_test_is_no_main_figure(filled: Path) -> None:
    val_only = evaluated("small", 0.8)
    del val_only["parts"]["test"]
    leave(filled, "evaluate", "val", {"metrics.json": evaluation(val_only, parts={"val": 9}, best_overall="small")})

    text = page(filled)
    assert "micro F1 on test" not in text.split("<nav")[0]
    assert "small on val." in text


def test_mistakes_are_pictures_and_one_that_is_gone_is_its_name(judged: Path) -> None:
    text = page(judged)
    section = text[text.index('id="mistakes"') : text.index('id="failures"')]

    assert section.count("<img") == N_PHOTOS
    assert section.count("picture not readable") == 1
    assert "clips/night.mp4 at 3.20 s" in section
    assert "score 0.98, threshold 0.31" in section


def test_a_mistake_is_shown_with_the_labels_that_the_picture_has_now(filled: Path, tmp_path: Path) -> None:
    with Catalog(filled) as catalog:
        (item_id,) = [row[0] for row in catalog.rows("SELECT item_id FROM sources WHERE path LIKE '%IMG_1.jpg'")]
    table = tmp_path / "photos" / "labels.csv"
    table.write_text("filepath,label\nIMG_0.jpg,cat\nIMG_1.jpg,タヌキ\n")
    run("annotate", filled, annotator="human:rie", labels=[table])
    wrong = mistakes([Path("/moved/away.jpg")])
    wrong["mistakes"][0] |= {"item_id": item_id, "class_name": "cat", "path": None}
    leave(filled, "evaluate", "all", {"metrics.json": evaluation(), "mistakes.json": wrong})

    text = page(filled)

    section = text[text.index('id="mistakes"') : text.index('id="failures"')]
    assert section.count("<img") == 1
    assert "shows タヌキ" in section
    assert "IMG_1.jpg" in section


def test_the_latest_run_of_each_name_counts(judged: Path) -> None:
    leave(judged, "train", "again", {"history.csv": history(9)}, model="small", arch="resnet18", best_epoch=8)

    text = page(judged)

    assert "resnet18" in text
    assert text.count("small (small-cnn)") == 0
    assert "2 models, of each name the last" in text


def test_a_new_run_makes_a_new_page_and_nothing_new_none(judged: Path) -> None:
    assert "0.93 (0.90 to 0.96)" in page(judged)
    assert run("report", judged).n_written == 0

    better = evaluation(evaluated("best", 0.95), best_overall="best", best_single="best")
    leave(judged, "evaluate", "new", {"metrics.json": better, "mistakes.json": mistakes([])})

    assert run("report", judged).n_written > 0
    text = page(judged)
    assert "0.95 (0.92 to 0.98)" in text.split("<nav")[0]
    assert "decided every picture of test as its labels say" in text


@pytest.mark.parametrize(
    ("stage", "file", "said"),
    [
        pytest.param("train", "history.csv", "of stage train is missing", id="history"),
        pytest.param("tune", "tuning.json", "of stage tune is missing", id="tuning"),
        pytest.param("evaluate", "metrics.json", "of stage evaluate is missing", id="metrics"),
        pytest.param("evaluate", "mistakes.json", "of stage evaluate is missing", id="mistakes"),
        pytest.param("ensemble", "ensemble.json", "of stage ensemble is missing", id="ensemble"),
    ],
)
def test_a_file_that_is_missing_is_said_and_the_rest_of_the_page_stands(
    stage: str, file: str, said: str, judged: Path
) -> None:
    for path in judged.glob(f"runs/*/{file}"):
        path.unlink()

    text = page(judged)

    assert f"/{file} {said}" in text
    assert set(TITLES[:2]) <= set(titles(text))


@pytest.mark.parametrize("content", ["", "[]", b"\xff\xfe\xfd"])
@pytest.mark.parametrize("file", ["metrics.json", "tuning.json", "mistakes.json", "ensemble.json", "history.csv"])
def test_a_broken_file_is_said_too(file: str, content: str | bytes, judged: Path) -> None:
    for path in judged.glob(f"runs/*/{file}"):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    text = page(judged)

    assert re.search(rf"/{file} of stage \w+ (cannot be|holds no epoch)", text)


def test_annotators_and_their_agreement_are_shown(filled: Path, tmp_path: Path) -> None:
    leave(filled, "annotate", "vlm", {"annotation.json": annotation()})
    leave(filled, "annotate", "compare", {"agreement.json": agreement()}, settings={"agreement": True})
    table = tmp_path / "photos" / "labels.csv"
    table.write_text("filepath,label\nIMG_0.jpg,タヌキ\nIMG_1.jpg,cat\n")
    run("annotate", filled, annotator="human:理恵", labels=[table])

    text = page(filled)

    section = text[text.index('id="annotation"') : text.index('id="duplicates"')]
    for told in (
        "vlm:gpt-5.2",
        "api.openai.com",
        "123,456",
        "1.235",
        "Named in answers but no class, so left out: deer (3)",
    ):
        assert told in section
    for told in ("human:理恵", "entries in label files", "Agreement of vlm:gpt and human:rie", "0.80 (0.70 to 0.90)"):
        assert told in section
    assert ".json" not in section


def test_what_is_gone_of_annotators_is_said(filled: Path) -> None:
    leave(filled, "annotate", "vlm", {})
    leave(filled, "annotate", "compare", {}, settings={"agreement": True})

    text = page(filled)

    assert "/annotation.json of stage annotate is missing" in text
    assert "/agreement.json of stage annotate is missing" in text


def test_names_of_models_and_classes_stay_text(filled: Path) -> None:
    name = "<script>alert(1)</script>"
    content = json.loads(json.dumps(evaluation(evaluated(name, 0.8))).replace("タヌキ", "<b>x"))
    content |= {"best_overall": name, "best_single": name}
    content["comparisons"] = [
        {"first": name, "second": name, "part": "test", "metric": "micro_f1", "difference": estimate(0.1)}
    ]
    leave(filled, "evaluate", "all", {"metrics.json": content, "mistakes.json": mistakes([])})
    leave(filled, "tune", "t", {"tuning.json": tuning(model=name)}, model=name)
    leave(filled, "train", "t", {"history.csv": history(3)}, model=name, arch=name)

    run("report", filled)

    html = (filled / "reports" / "report.html").read_text()
    assert "<script" not in html
    assert "<b>" not in html
