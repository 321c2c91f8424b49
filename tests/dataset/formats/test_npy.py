"""Vectors in ``.npy`` files: what is read, and what a file may claim without harm."""

from __future__ import annotations

import io
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from mekiki.dataset.formats.npy import open_vector_file, read_vector, row_path, split_row, vector_faults
from mekiki.errors import UnreadableError

MADE = np.random.default_rng(0).normal(size=(37, 5)).astype(np.float32)


def save(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def with_header(text: str, body: bytes = b"\0" * 64, version: bytes = b"\x01\x00") -> bytes:
    """Return a file whose header says what it likes."""
    length = len(text).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    return b"\x93NUMPY" + version + length + text.encode("latin1") + body


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_any_float_in_any_order_is_read_as_float32(dtype: str, order: str, tmp_path: Path) -> None:
    file = open_vector_file(save(tmp_path / "m.npy", np.asarray(MADE, dtype, order=order)))

    assert (file.n_rows, file.n_dims, file.is_single) == (37, 5, False)
    np.testing.assert_array_equal(file.read(), MADE)
    np.testing.assert_array_equal(file.read(10, 20), MADE[10:20])
    np.testing.assert_array_equal(np.concatenate([block for _, block in file.blocks(8)]), MADE)
    np.testing.assert_array_equal(read_vector(file.path, 36), MADE[36])
    assert file.read().dtype == np.float32


def test_float16_is_read_exactly(tmp_path: Path) -> None:
    half = MADE.astype(np.float16)

    np.testing.assert_array_equal(open_vector_file(save(tmp_path / "m.npy", half)).read(), half.astype(np.float32))


def test_one_vector_may_have_one_row_or_none(tmp_path: Path) -> None:
    for name, array in (("flat", MADE[0]), ("row", MADE[:1])):
        path = save(tmp_path / f"{name}.npy", array)
        assert open_vector_file(path).is_single
        np.testing.assert_array_equal(read_vector(path), MADE[0])


def test_a_row_beyond_the_end_and_a_matrix_where_one_is_wanted_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "m.npy", MADE)

    with pytest.raises(UnreadableError, match="rows 0 to 36 only"):
        read_vector(path, 37)
    with pytest.raises(UnreadableError, match="a matrix of 37 vectors, and one was expected"):
        read_vector(path)


HOSTILE = {
    "many rows": (
        with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 512), }\n"),
        "broken: by its header",
    ),
    "beyond 64 bits": (
        with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 30 + ", 2), }\n"),
        "broken: by its header",
    ),
    "negative": (with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4), }\n"), "header says shape"),
    "a program": (with_header("__import__('os').system('touch /tmp/x')\n"), "header cannot be read"),
    "deep": (with_header("(" * 9000 + "\n"), "header cannot be read"),
    "signs": (with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "-" * 9000 + "1,), }\n"), "header"),
    "no dict": (with_header("[1, 2]\n"), "header cannot be read"),
    "wrong dtype": (
        with_header("{'descr': 'wat', 'fortran_order': False, 'shape': (4,), }\n"),
        "header cannot be read",
    ),
    "subarray": (with_header("{'descr': ('<f4', (2,)), 'fortran_order': False, 'shape': (4,), }\n"), "plain numbers"),
    "long header": (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + b" " * 100, "header cannot be read"),
    "version 9": (with_header("{}", version=b"\x09\x00"), "version 9.0"),
    "magic only": (b"\x93NUMPY", "header cannot be read"),
    "zip": (b"PK\x03\x04" + b"\0" * 100, "no .npy file"),
    "empty": (b"", r"empty file \(0 bytes\)"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_one_line_without_taking_memory(name: str, tmp_path: Path) -> None:
    content, reason = HOSTILE[name]
    path = tmp_path / "m.npy"
    path.write_bytes(content)

    tracemalloc.start()
    with pytest.raises(UnreadableError, match=reason) as error:
        open_vector_file(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert "\n" not in str(error.value)
    assert peak < 20e6


STRANGE = {
    "pickled": (np.array([{"a": 1}], object), "pickled Python objects"),
    "records": (np.zeros(3, [("x", "<f4"), ("y", "<i4")]), "records and not plain numbers"),
    "integers": (np.arange(5), "it holds int64"),
    "complex": (np.zeros(5, np.complex64), "it holds complex64"),
    "truth": (np.ones(5, np.bool_), "it holds bool"),
    "text": (np.array(["a", "b"]), "it holds <U1"),
    "0-d": (np.float32(1), r"shape \(\)"),
    "3-d": (np.zeros((2, 2, 2), np.float32), r"shape \(2, 2, 2\)"),
    "no rows": (np.zeros((0, 5), np.float32), "holds no vector"),
    "no columns": (np.zeros((5, 0), np.float32), "holds no vector"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_is_no_vector_is_refused(name: str, tmp_path: Path) -> None:
    array, reason = STRANGE[name]
    path = tmp_path / "m.npy"
    np.save(path, array, allow_pickle=True)

    with pytest.raises(UnreadableError, match=reason):
        open_vector_file(path)


@pytest.mark.parametrize("change", [-1, 1])
def test_a_file_of_another_length_than_its_header_says_is_refused(change: int, tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, MADE)
    whole = stream.getvalue()
    path = tmp_path / "m.npy"
    path.write_bytes(whole[:-1] if change < 0 else whole + b"\0")

    with pytest.raises(UnreadableError, match="broken: by its header" if change < 0 else "1 bytes lie behind"):
        open_vector_file(path)


def test_a_file_that_shrinks_after_it_was_opened_is_unreadable(tmp_path: Path) -> None:
    path = save(tmp_path / "m.npy", MADE)
    file = open_vector_file(path)
    os.truncate(path, path.stat().st_size - 4)

    np.testing.assert_array_equal(file.read(0, 30), MADE[:30])
    with pytest.raises(UnreadableError, match="become shorter"):
        file.read(30)


def test_a_folder_and_a_pipe_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "folder.npy").mkdir()
    for name in ("pipe.npy", "folder.npy"):
        with pytest.raises(UnreadableError, match="it is no file"):
            open_vector_file(tmp_path / name)


def test_faults_name_the_rows() -> None:
    rows = np.array([[1, 2], [np.nan, 1], [0, 0], [np.inf, 0], [-0.0, 0]], np.float32)

    assert vector_faults(rows).keys() == {1, 2, 3, 4}
    assert vector_faults(rows[:0]) == {}


def test_minus_zero_is_zero(tmp_path: Path) -> None:
    path = save(tmp_path / "m.npy", np.array([-0.0, 1], np.float32))

    assert not np.signbit(read_vector(path)).any()


@pytest.mark.parametrize("path", ["/a/b.npy", "/a/b#3.npy", "m.npy#x.npy"])
def test_a_row_is_written_behind_its_file(path: str) -> None:
    assert split_row(row_path(path, 12)) == (Path(path), 12)
    assert split_row(path) == (Path(path), None)
