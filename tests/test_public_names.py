"""The public face: every name exists, is documented, and importing it costs nothing."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import mekiki


def test_the_list_is_sorted_and_complete() -> None:
    assert mekiki.__all__ == sorted(mekiki.__all__)
    assert set(dir(mekiki)) == set(mekiki.__all__)


@pytest.mark.parametrize("name", mekiki.__all__)
def test_a_public_name_exists_and_is_documented(name: str) -> None:
    thing = getattr(mekiki, name)

    assert inspect.getdoc(thing)
    assert thing.__name__ == name


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'classify'"):
        mekiki.classify  # noqa: B018


def test_importing_mekiki_loads_nothing_heavy() -> None:
    code = "import sys, mekiki; print([n for n in ('numpy', 'sklearn', 'torch', 'pydantic') if n in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
