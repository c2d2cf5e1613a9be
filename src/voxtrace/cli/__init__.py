"""The command line. A command is a dataclass: its fields are the options, their docstrings the help, run() the work.

Exit codes: 0 done; 1 a fault in voxtrace (with a traceback); 2 a mistake in what was asked, told in a line or two;
3 some cases of a batch failed; 4 a fine-tuned net is not better than its base; 130 interrupted. Results go to stdout,
everything else to stderr.
"""

from __future__ import annotations

import errno
import functools
import io
import operator
import os
import platform
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any, Protocol

import tyro

from voxtrace import __version__
from voxtrace.errors import VoxtraceError

DESCRIPTION = """Segment medical images, volumes and video from one prompt.

Mark an object once (box, click, scribble, mask or RECIST line) and get it through the whole scan, in the scan's own
geometry. Coordinates are the file's own voxels (z, y, x) counted from 0; boxes are half-open."""

# name -> module and class. Only the one that is asked for is imported: all together take a second.
COMMANDS = {
    "segment": "segment:Segment",
    "track": "track:Track",
    "oneprompt": "oneprompt:OnePrompt",
    "batch": "batch:Batch",
    "finetune": "finetune:Finetune",
    "train": "train:Train",
    "data": "data:Data",
    "evaluate": "evaluate:Evaluate",
    "bench": "bench:Bench",
    "challenge": "challenge:Challenge",
    "distil": "distil:Distil",
    "report": "reporting:MakeReport",
    "cache": "cache:Cache",
    "info": "info:Info",
    "weights": "weights:Weights",
    "export": "export:Export",
    "doctor": "doctor:Doctor",
}
GO_ON = ("batch", "train", "finetune", "distil", "evaluate")
DISK_ERRORS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the file system is read-only",
    errno.ENAMETOOLONG: "the name is too long",
}


class Command(Protocol):
    """What every command offers."""

    def run(self) -> int:
        """Do the work; returns the exit code."""
        ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. argv: the arguments without the program's name (default: sys.argv)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may hold what the terminal cannot show
    if arguments[:1] in (["--version"], ["-V"]):
        print(f"voxtrace {__version__}")
        return 0
    try:
        command = _parsed(arguments)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 2
    except KeyboardInterrupt:
        return _fail("interrupted before anything was done", 130)
    return _guarded(command, arguments)


def _parsed(arguments: list[str]) -> Command:
    """The command as asked for. SystemExit after help, and for what cannot be understood."""
    asked = arguments[:1]
    if asked and asked[0] in COMMANDS:
        kind, prog, description = _kind(asked[0]), f"voxtrace {asked[0]}", None
        rest = arguments[1:]
    else:
        every = [Annotated[_kind(name), tyro.conf.subcommand(name)] for name in COMMANDS]
        kind, prog, description = functools.reduce(operator.or_, every), "voxtrace", DESCRIPTION
        rest = arguments or ["--help"]
    settings = (tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff)
    return tyro.cli(kind, args=rest, prog=prog, description=description, config=settings)


def _kind(name: str) -> Any:
    """A command's class."""
    module, _, kind = COMMANDS[name].partition(":")
    return getattr(import_module(f"voxtrace.cli.{module}"), kind)


def _guarded(command: Command, arguments: list[str]) -> int:
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            code = command.run()
            sys.stdout.flush()
            return code
    except VoxtraceError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        goes_on = "; the same command goes on where it was" if arguments[:1] and arguments[0] in GO_ON else ""
        return _fail(f"interrupted; nothing half-written is left{goes_on}", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError:
        return _fail("not enough memory for this scan; crop it, or use a machine with more", 2)
    except OSError as error:
        if error.errno in DISK_ERRORS:
            where = f" {error.filename}" if error.filename else ""
            return _fail(f"cannot read or write{where}: {DISK_ERRORS[error.errno]}", 2)
        return _report_fault(arguments)
    except Exception:
        return _report_fault(arguments)


def _fail(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code


def _report_fault(arguments: list[str]) -> int:
    traceback.print_exc()
    print(
        f"\nerror: this is a fault in voxtrace, not in what you asked. Please report it with the lines above and:\n"
        f"  voxtrace {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        f"  voxtrace {' '.join(arguments)}",
        file=sys.stderr,
    )
    return 1


def _show_warning(message: Warning | str, *_details: object, **_more: object) -> None:
    print(f"warning: {message}", file=sys.stderr)
