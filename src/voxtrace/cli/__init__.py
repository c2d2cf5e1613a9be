"""The command line. A command is a dataclass: its fields are the options, their docstrings the help, run() the work.

Exit codes: 0 done; 1 a fault in voxtrace (with a traceback); 2 a mistake in what was asked, told in a line or two;
3 some cases of a batch failed; 4 a fine-tuned net is not better than its base; 130 interrupted. Results go to stdout,
everything else to stderr.
"""

from __future__ import annotations

import errno
import os
import platform
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Annotated

import tyro

from voxtrace import __version__
from voxtrace.cli.batch import Batch
from voxtrace.cli.bench import Bench
from voxtrace.cli.cache import Cache
from voxtrace.cli.challenge import Challenge
from voxtrace.cli.data import Data
from voxtrace.cli.distil import Distil
from voxtrace.cli.doctor import Doctor
from voxtrace.cli.evaluate import Evaluate
from voxtrace.cli.finetune import Finetune
from voxtrace.cli.info import Info
from voxtrace.cli.oneprompt import OnePrompt
from voxtrace.cli.reporting import MakeReport
from voxtrace.cli.segment import Segment
from voxtrace.cli.track import Track
from voxtrace.cli.train import Train
from voxtrace.cli.weights import Weights
from voxtrace.errors import VoxtraceError

DESCRIPTION = """Segment medical images, volumes and video from one prompt.

Mark an object once (box, click, scribble, mask or RECIST line) and get it through the whole scan, in the scan's own
geometry. Coordinates are the file's own voxels (z, y, x) counted from 0; boxes are half-open."""

Command = (
    Annotated[Segment, tyro.conf.subcommand("segment")]
    | Annotated[Track, tyro.conf.subcommand("track")]
    | Annotated[OnePrompt, tyro.conf.subcommand("oneprompt")]
    | Annotated[Batch, tyro.conf.subcommand("batch")]
    | Annotated[Finetune, tyro.conf.subcommand("finetune")]
    | Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Data, tyro.conf.subcommand("data")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Bench, tyro.conf.subcommand("bench")]
    | Annotated[Challenge, tyro.conf.subcommand("challenge")]
    | Annotated[Distil, tyro.conf.subcommand("distil")]
    | Annotated[MakeReport, tyro.conf.subcommand("report")]
    | Annotated[Cache, tyro.conf.subcommand("cache")]
    | Annotated[Info, tyro.conf.subcommand("info")]
    | Annotated[Weights, tyro.conf.subcommand("weights")]
    | Annotated[Doctor, tyro.conf.subcommand("doctor")]
)

GO_ON = ("train", "finetune", "distil", "evaluate")
DISK_ERRORS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the file system is read-only",
    errno.ENAMETOOLONG: "the name is too long",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. argv: the arguments without the program's name (default: sys.argv)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] in (["--version"], ["-V"]):
        print(f"voxtrace {__version__}")
        return 0
    try:
        command = tyro.cli(
            Command,  # type: ignore[arg-type]
            args=arguments or ["--help"],
            prog="voxtrace",
            description=DESCRIPTION,
            config=(tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
        )
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 2
    return _guarded(command, arguments)


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
