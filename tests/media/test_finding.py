"""From what a user names to the files that are meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from mekiki.errors import UsageError
from mekiki.media.finding import find_files, read_list_file


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("b.JPG", "a.png", "sub/c.mp4", "sub/deep/d.webp", "notes.md", ".hidden.jpg", ".cache/e.jpg"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "photos"


def names(found: object, folder: Path) -> list[str]:
    return [Path(path).relative_to(folder).as_posix() for path in found.files]  # type: ignore[attr-defined]


def test_a_folder_means_its_photos_and_videos_in_a_fixed_order_and_counts_the_rest(photos: Path) -> None:
    found = find_files([str(photos)])

    assert names(found, photos) == ["a.png", "b.JPG", "sub/c.mp4", "sub/deep/d.webp"]
    assert found.n_ignored == 1


def test_folders_inside_count_only_if_wanted(photos: Path) -> None:
    assert names(find_files([str(photos)], is_recursive=False), photos) == ["a.png", "b.JPG"]


def test_the_workspace_is_passed_over(photos: Path) -> None:
    assert names(find_files([str(photos)], leave_out=photos / "sub"), photos) == ["a.png", "b.JPG"]


def test_a_file_named_twice_is_one(photos: Path) -> None:
    assert names(find_files([str(photos), str(photos / "sub" / ".." / "a.png")]), photos).count("a.png") == 1


def test_a_glob_finds_at_any_depth(photos: Path) -> None:
    assert names(find_files([f"{photos}/**/*.webp"]), photos) == ["sub/deep/d.webp"]


def test_a_single_file_is_taken_whatever_its_ending(photos: Path) -> None:
    (photos / "strange.dat").write_bytes(b"x")

    assert names(find_files([str(photos / "strange.dat")]), photos) == ["strange.dat"]


def test_a_list_is_read_line_by_line_and_keeps_missing_files(photos: Path) -> None:
    lines = ["# a comment", "", "a.png", "  sub/c.mp4  ", "a.png", "gone.jpg", str(photos / "b.JPG")]
    (photos / "list.txt").write_text("\n".join(lines), encoding="utf-8-sig")

    found = find_files([str(photos / "list.txt")])

    assert [Path(path).name for path in found.files] == ["a.png", "c.mp4", "gone.jpg", "b.JPG"]


def test_paths_in_a_list_start_at_the_current_folder_or_else_at_the_list(photos: Path, monkeypatch) -> None:
    (photos / "sub" / "list.txt").write_text("a.png\nc.mp4\n")
    monkeypatch.chdir(photos)

    assert names(find_files(["sub/list.txt"]), photos) == ["a.png", "sub/c.mp4"]


def test_a_folder_that_links_to_itself_ends(photos: Path) -> None:
    (photos / "sub" / "loop").symlink_to(photos, target_is_directory=True)

    assert len(find_files([str(photos)]).files) == 4


def test_a_link_to_another_folder_is_followed(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "f.jpg").write_bytes(b"x")
    (photos / "linked").symlink_to(tmp_path / "disk", target_is_directory=True)

    assert "linked/f.jpg" in names(find_files([str(photos)]), photos)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        pytest.param("nothing", "there is no file or folder 'nothing'", id="missing"),
        pytest.param("*.nothing", "no file matches", id="empty glob"),
        pytest.param("labels.csv", "is a table, not a photo: give it with --labels", id="table"),
        pytest.param("broken.txt", "is no list of paths", id="binary list"),
    ],
)
def test_what_is_not_there_is_refused(written: str, message: str, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "labels.csv").write_text("a,b")
    (tmp_path / "broken.txt").write_bytes(b"\xff\xfe\x00\x81")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UsageError, match=message):
        find_files([written])


def test_an_empty_list_names_nothing(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("# nothing yet\n\n")

    assert read_list_file(tmp_path / "list.txt") == []
