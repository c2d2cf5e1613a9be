"""Checks of where results go, made before the work starts, so that nothing is computed in vain or overwritten."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from voxtrace.errors import InputError, OutputError


def check_input(path: Path, what: str = "input") -> None:
    """Raise InputError if there is nothing at `path`."""
    if not path.exists():
        raise InputError(f"the {what} {path} does not exist{_near(path)}")


def check_file(path: Path, inputs: Iterable[Path], overwrite: bool, suffixes: Sequence[str] = ()) -> None:
    """Raise OutputError unless the file can be written: known ending, possible folder, no input, not there yet."""
    if path.is_dir() or str(path).endswith(("/", os.sep)):
        raise OutputError(f"the output {path} is a folder; name a file in it")
    if suffixes and not path.name.lower().endswith(tuple(suffixes)):
        raise OutputError(f"the output {path} has an unknown format; its name must end in one of {', '.join(suffixes)}")
    check_not_input(path, inputs)
    check_folder(path.parent)
    if path.exists() or path.is_symlink():
        if not overwrite:
            raise OutputError(f"the output {path} exists already; choose another name or add --overwrite")
        if not os.access(path, os.W_OK):
            raise OutputError(f"the output {path} exists and may not be written: permission denied")


def check_not_input(path: Path, inputs: Iterable[Path]) -> None:
    """Raise OutputError if `path` is an input, or a file that is in a folder of inputs, links followed."""
    for given in inputs:
        if _same(path, given):
            raise OutputError(f"the output {path} would overwrite the input {given}; choose another name")
        if given.is_dir() and path.exists() and any(_same(path, member) for member in _members(given)):
            raise OutputError(f"the output {path} would overwrite a file of the input {given}; choose another name")


def check_folder(folder: Path) -> None:
    """Raise OutputError unless the folder is there and may be written, or can be made."""
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise OutputError(f"the output folder {folder} cannot be made: {existing} is a file")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise OutputError(f"the output folder {folder} may not be written: no permission for {existing}")


def make_folder(folder: Path) -> None:
    """Make the folder and those above it. Raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the output folder {folder} cannot be made: {error.strerror}") from None


def stem_of(path: Path) -> str:
    """The name without its ending, also double ones: scan.nii.gz -> scan."""
    name = path.name
    for ending in (".nii.gz", ".seg.nrrd", ".ome.tif", ".ome.tiff"):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return path.stem if path.suffix and not path.is_dir() else name


def _same(first: Path, second: Path) -> bool:
    """Whether both names lead to one file: through symbolic and hard links, and for a name that is not there yet."""
    if first.resolve() == second.resolve():
        return True
    return first.exists() and second.exists() and os.path.samefile(first, second)


def _members(folder: Path) -> Iterable[Path]:
    return (path for path in folder.iterdir() if path.is_file())


def _near(path: Path) -> str:
    import difflib

    if not path.parent.is_dir():
        return f" (nor does the folder {path.parent})"
    names = [member.name for member in path.parent.iterdir()]
    close = difflib.get_close_matches(path.name, names, n=2, cutoff=0.7)
    return f"; did you mean {' or '.join(close)}?" if close else ""
