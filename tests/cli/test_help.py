"""``mekiki --help``: a literal table that says what there is, and loads nothing."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from mekiki.api.verbs import STAGES, settings_class
from mekiki.cli import commands
from mekiki.cli.help import COMMANDS, VERBS, help_text
from mekiki.cli.main import main
from mekiki.settings import flags_of

HEAVY = ("numpy", "sklearn", "torch", "pydantic", "rich", "yaml", "PIL", "av")


def modules_after(*calls: list[str]) -> str:
    """Return which heavy modules are loaded after these command lines, in a fresh process."""
    code = (
        "import sys; from mekiki.cli.main import main\n"
        f"for words in {list(calls)!r}:\n"
        "    try:\n        main(words)\n    except SystemExit as end:\n        assert end.code == 0, end.code\n"
        f"print('LOADED', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.rpartition("LOADED ")[2].strip()


@pytest.mark.parametrize(
    "words",
    [
        pytest.param([], id="nothing"),
        pytest.param(["--help"], id="--help"),
        pytest.param(["-h"], id="-h"),
        pytest.param(["help"], id="help"),
    ],
)
def test_help_is_the_table_of_all_verbs_and_commands(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0

    assert capsys.readouterr().out == help_text() + "\n"
    for name, about in {**VERBS, **COMMANDS}.items():
        assert f"  {name:<8} {about}" in help_text().splitlines()


def test_the_table_is_what_exists() -> None:
    functions = {name for name, _ in inspect.getmembers(commands, inspect.isfunction) if name.endswith("_command")}

    assert sorted(VERBS) == STAGES.names()
    assert functions == {f"{name}_command" for name in COMMANDS}
    assert not set(VERBS) & set(COMMANDS)


def test_help_fits_a_terminal_and_names_the_exit_codes() -> None:
    assert all(len(line) <= 110 for line in help_text().splitlines())
    for code in ("0", "1", "2", "3", "4", "5", "130"):
        assert f" {code} " in help_text()


def test_help_loads_nothing_heavy() -> None:
    assert modules_after(["--help"], []) == "[]"


def test_the_help_of_verbs_loads_no_torch() -> None:
    assert "torch" not in modules_after(*([verb, "--help"] for verb in VERBS))


@pytest.mark.parametrize("verb", list(VERBS))
def test_the_help_of_a_verb_has_every_flag_with_its_description_and_default(
    verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")  # argparse would break the lines that are looked for

    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])

    text = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    assert " ".join((settings_class(verb).__doc__ or "").split()) in text
    for flag in flags_of(settings_class(verb)):
        assert flag.description
        assert flag.description in text
        if not flag.is_positional:
            assert flag.name in text
        if flag.default and flag.shape != "switch":
            assert f"(default: {flag.default})" in text
    for common in ("--workspace", "--json", "--quiet", "--verbose", "--dry-run"):
        assert common in text


@pytest.mark.parametrize("command", list(COMMANDS))
def test_a_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])

    assert ended.value.code == 0
    assert f"usage: mekiki {command}" in capsys.readouterr().out


def test_the_version_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0

    assert capsys.readouterr().out.startswith("mekiki ")
