"""The entry point: find the command, run it, turn our errors into one line and an exit code."""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TextIO

from mekiki.cli.help import COMMANDS, VERBS, help_text
from mekiki.errors import MekikiError, UsageError, nearest_name, printable, unknown_name

INTERRUPTED = 130
USERS_ERRNOS = (errno.ENAMETOOLONG, errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EFBIG)
"""What the system refuses for reasons that a user can mend: names, full or read-only disks, permissions, limits."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    Args:
        words: The arguments without the program's name; None takes those of this process.
    """
    arguments = list(sys.argv[1:] if words is None else words)
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
    except MekikiError as error:
        print(f"mekiki: {printable(' '.join(str(error).split()))}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if isinstance(error, BrokenPipeError) or error.errno not in USERS_ERRNOS:
            return _give_up(error)
        what = printable(str(error.filename or f"workspace {_workspace_of(arguments)}"))
        print(f"mekiki: cannot use {what}: {error.strerror}", file=sys.stderr)
        return UsageError.exit_code
    except KeyboardInterrupt:
        print("mekiki: interrupted; the same command goes on", file=sys.stderr)
        return INTERRUPTED
    return code


def _workspace_of(arguments: list[str]) -> str:
    """Return the workspace that a command means, for an error in a file that has lost its name."""
    from mekiki.cli.flags import Parser, add_common_flags

    parser = Parser("mekiki", "")
    add_common_flags(parser)
    return str(parser.parse_known_args(arguments)[0].workspace)


def _give_up(error: OSError) -> int:
    """Return quietly if our output's reader is gone; anything else is a bug and is raised."""
    if isinstance(error, BrokenPipeError) and _is_reader_gone():
        return INTERRUPTED
    raise error


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(help_text())
        return 0
    command, *words = arguments
    if command == "--version":
        from mekiki.catalog.runs import mekiki_version

        print(f"mekiki {mekiki_version()}")
        return 0
    if command in VERBS:
        return int(import_module("mekiki.cli.verbs").run_verb(command, words))
    if command in COMMANDS:
        return int(getattr(import_module("mekiki.cli.commands"), f"{command}_command")(words))
    if command.startswith("-"):
        near = nearest_name(command, ("--help", "--version"))
        guess = f" Did you mean {near}?" if near else ""
        raise UsageError(f"there is no flag {command!r} before a verb.{guess} See mekiki --help")
    raise unknown_name("verb", command, [*VERBS, *COMMANDS])


def _is_reader_gone() -> bool:
    """Return whether nobody reads our output any more, as behind ``| head``; what is left of it then goes nowhere."""
    gone = [stream for stream in (sys.stdout, sys.stderr) if _is_unread(stream)]
    for stream in gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return bool(gone)


def _is_unread(stream: TextIO) -> bool:
    waiting = select.poll()
    waiting.register(stream, select.POLLOUT)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in waiting.poll(0))


def run_process() -> None:
    """Run and leave the process with the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that a terminal cannot show is no reason to stop
    sys.exit(main())


if __name__ == "__main__":
    run_process()
