"""Taking part in a challenge: an engine answers the one case that a submission is given.

from voxtrace import open_engine
from voxtrace.bench.challenge.answering import answer

answer(open_engine("voxtrace-small"), "inputs", "outputs")

As a program, `python -m voxtrace.bench.challenge.answering inputs outputs`, the embedded net answers every case there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from voxtrace.engine import Engine
from voxtrace.engines import DEFAULT_MODEL, open_engine
from voxtrace.errors import CaseMissingError, PromptError, VoxtraceError
from voxtrace.io import read
from voxtrace.io.npz import read_prompts, write
from voxtrace.prompts import Box, Prompt
from voxtrace.sessions import OBJECT_ENDS, ImageSession, Session, VolumeSession
from voxtrace.volume import Picture, Volume


def answer(engine: Engine, inputs: str | Path, outputs: str | Path) -> Path:
    """Read the npz in `inputs`, ask for each of its objects, write their labels 1..N under its name; returns the file.

    A box of a volume tells the slices between which the object lies: it is looked for on all of them and on no other.
    Raises CaseMissingError unless there is just one case, PromptError for a case without prompts.
    """
    files = sorted(Path(inputs).glob("*.npz"))
    if len(files) != 1:
        raise CaseMissingError(f"{inputs} holds {len(files)} npz files; a submission is given one case at a time")
    return answer_case(engine, files[0], Path(outputs))


def answer_case(engine: Engine, file: Path, outputs: Path) -> Path:
    """One npz; returns what was written. Raises PromptError for a case without prompts."""
    scan, prompts = read(file), read_prompts(file)
    if not prompts:
        raise PromptError(f"{file} asks for nothing: it has no boxes, scribbles or recist")
    target = outputs / file.name
    if isinstance(scan, Picture):
        write(target, _asked(ImageSession(engine, scan), prompts)[0])
    else:
        assert isinstance(scan, Volume)
        write(target, _in_volume(engine, scan, prompts))
    return target


def _in_volume(engine: Engine, volume: Volume, prompts: dict[int, list[Prompt]]) -> np.ndarray:
    """(D, H, W). To a session a box of one slice tells no range, so there the walk ends where the object does."""
    boxes = {number: box for number, marks in prompts.items() for box in marks if isinstance(box, Box)}
    told = len(boxes) == len(prompts) and all(box.z1 - box.z0 > 1 for box in boxes.values())
    labels = _asked(VolumeSession(engine, volume, stop=None if told else OBJECT_ENDS), prompts)
    for number, box in boxes.items():
        for outside in (labels[: int(box.z0)], labels[int(box.z1) :]):
            outside[outside == number] = 0
    return labels


def _asked(session: Session, prompts: dict[int, list[Prompt]]) -> np.ndarray:
    """(D, H, W) labels; an object's number is its label."""
    for number, marks in prompts.items():
        session.add(marks, number)
    return session.run().labels


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of this module: 0, or 3 if some case could not be answered; each is named."""
    parser = argparse.ArgumentParser(description="Answer every npz of a challenge with the embedded net.")
    parser.add_argument("inputs", type=Path)
    parser.add_argument("outputs", type=Path)
    args = parser.parse_args(argv)
    files = sorted(args.inputs.glob("*.npz"))
    failed = []
    try:
        if not files:
            raise CaseMissingError(f"there is no npz file in {args.inputs.absolute()}; put a challenge's case there")
        engine = open_engine(DEFAULT_MODEL, "cpu")
        args.outputs.mkdir(parents=True, exist_ok=True)
    except (VoxtraceError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, VoxtraceError) else 2
    for file in files:
        try:
            answer_case(engine, file, args.outputs)
        except VoxtraceError as error:
            failed.append(file)
            print(f"error: {file.name}: {error}", file=sys.stderr)
    return 3 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
