"""A submission: a folder with `predict`, `predict.sh` or submission.toml, or the name of a container image."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from voxtrace.bench.challenge.contents import hash_of
from voxtrace.errors import InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SETTINGS = "submission.toml"
INPUTS, OUTPUTS = "/workspace/inputs", "/workspace/outputs"
IMAGE_COMMAND = ("/bin/bash", "-c", "sh predict.sh")  # the challenge's own
OURS = ("inputs", "outputs")  # folders of this name in a submission are not shown: ours stand there


@dataclass(frozen=True, slots=True)
class Submission:
    """What is run. folder is None for a container image; {inputs} and {outputs} in the command are folders."""

    name: str
    command: tuple[str, ...]
    folder: Path | None
    image: str = ""
    sha256: str = ""

    def command_for(self, inputs: str, outputs: str) -> list[str]:
        """The command with the folders' names in it."""
        return [word.replace("{inputs}", inputs).replace("{outputs}", outputs) for word in self.command]


def read_submission(given: str) -> Submission:
    """A folder's submission, or a container image where no such folder is. Raises InputError."""
    path = Path(given)
    if not path.is_dir():
        if path.suffix == ".sif" and path.is_file():
            return Submission(path.stem, IMAGE_COMMAND, None, str(path.resolve()), hash_of(path))
        if path.exists() or given.startswith((".", "/", "~")) or not given.strip():
            raise InputError(f"the submission {given} is no folder; name a folder or a container image")
        return Submission(given.replace("/", "_").replace(":", "_"), IMAGE_COMMAND, None, given)
    folder = path.resolve()
    name, command = _settings(folder)
    return Submission(name, command, folder, sha256=hash_of(folder))


def _settings(folder: Path) -> tuple[str, tuple[str, ...]]:
    if (folder / SETTINGS).is_file():
        return _from_toml(folder / SETTINGS, folder.name)
    if (folder / "predict").is_file():
        return folder.name, ("./predict", "{inputs}", "{outputs}")
    if (folder / "predict.sh").is_file():
        return folder.name, ("sh", "predict.sh")
    raise InputError(f"{folder} is no submission: it has none of {SETTINGS}, predict, predict.sh (docs/challenge.md)")


def _from_toml(file: Path, name: str) -> tuple[str, tuple[str, ...]]:
    form = 'command = ["python3", "predict.py", "{inputs}", "{outputs}"]'
    try:
        settings = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is not TOML: {error}") from None
    unknown = sorted(set(settings) - {"name", "command"})
    command = settings.get("command")
    if unknown:
        raise InputError(f"{file}: {unknown[0]} is not understood; it may have name and command")
    if not (isinstance(command, list) and command and all(isinstance(word, str) for word in command)):
        raise InputError(f"{file} names no command; write {form}")
    if not isinstance(settings.get("name", name), str):
        raise InputError(f"{file}: name is {settings['name']!r}; a text is needed")
    return settings.get("name", name), tuple(command)


def unreadable_file(folder: Path) -> Path | None:
    """A file or folder in there that not everybody may read, None if there is none."""
    for where, folders, files in os.walk(folder):
        for path in (Path(where), *(Path(where, name) for name in (*folders, *files))):
            needed = 0o005 if path.is_dir() else 0o004
            if not path.is_symlink() and path.stat().st_mode & needed != needed:
                return path
    return None
