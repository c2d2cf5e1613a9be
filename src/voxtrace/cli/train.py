"""`voxtrace train`: a net trained by a recipe, from labelled cases to a state, a log and a report."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from voxtrace.cli import outputs
from voxtrace.cli.options import TellOptions
from voxtrace.cli.terminal import note, print_json, say
from voxtrace.cli.watching import watched
from voxtrace.errors import MissingDependencyError, OutputError, TrainingError
from voxtrace.manifest import Case, select

if TYPE_CHECKING:
    from voxtrace.train.recipe import Recipe
    from voxtrace.train.telling import Tell

WRITTEN = ("log.csv", "weights.safetensors", "report.html", "run.json")


@dataclass(frozen=True)
class Train:
    """Train a net as a recipe says (recipes/*.toml). The folder gets state.pt, log.csv, pictures of what the net draws,
    report.html and in the end weights.safetensors, which every command takes with --model. The same command goes on
    where it was stopped. On several GPUs or machines:
    torchrun --nproc-per-node N -m voxtrace train ..."""

    recipe: Annotated[Positional[Path], arg(metavar="RECIPE.toml")]
    """What is trained and how."""
    data: Annotated[Path, arg(metavar="PLACE")]
    """Labelled cases: our manifest, or a folder laid out as nnU-Net raw, BIDS, image/mask pairs or challenge npz."""
    out: Annotated[Path, arg(aliases=["-o"], metavar="DIR")]
    """The run's folder."""
    sets: Annotated[tuple[str, ...], arg(metavar="NAME [NAME ...]")] = ()
    """Only these sets."""
    split: Annotated[str, arg(metavar="train|val|test|all")] = "train"
    """Which part of the data."""
    start: Annotated[str | None, arg(metavar="FILE|NAME")] = None
    """What to go on from, instead of the recipe's `start`: another run's state.pt, a weights file or a model's name."""
    all_licences: bool = False
    """Recipes of weights that are given away (`ships = true`) leave out cases that may not train such, where the
    manifest marks any. With this they see all cases; what comes out may then not be given away."""
    telling: TellOptions = field(default_factory=TellOptions)

    def run(self) -> int:
        """Train; returns 0."""
        outputs.check_input(self.recipe, "recipe")
        outputs.check_input(self.data, "data")
        self._check_out()
        try:
            import torch  # noqa: F401
        except ImportError:
            raise MissingDependencyError("torch", "torch", "training") from None
        from voxtrace.train.ending import write_weights
        from voxtrace.train.gathering import load_each
        from voxtrace.train.loop import train
        from voxtrace.train.recipe import read_recipe

        leads = os.environ.get("RANK", "0") == "0"
        silent = self.telling.silent or not leads
        recipe = read_recipe(self.recipe)
        recipe = recipe if self.start is None else replace(recipe, start=self.start)
        cases, facts = self._cases(recipe, silent)
        outputs.make_folder(self.out)
        loaded, left_out = load_each(cases)
        note(f"{len(loaded)} cases, {len(left_out)} left out; {facts['licences']}", silent)
        with watched(recipe, silent) as bar, _board(self.out, leads, silent) as board:

            def tell(step: Any) -> None:
                bar(step)
                if board is not None:
                    board(step)

            state = train(recipe, loaded, self.out, tell=tell, facts=facts | {"left_out": left_out})
        if leads:
            self._report(state, write_weights(state, recipe, loaded, facts), silent)
        return 0

    def _check_out(self) -> None:
        """A training's folder is empty, new, or that of the training that goes on."""
        outputs.check_folder(self.out)
        if not self.out.is_dir() or (self.out / "state.pt").is_file():
            return
        if self.out.samefile(self.data):
            raise OutputError(f"the output folder {self.out} is that of the data; choose another --out")
        if others := [name for name in WRITTEN if (self.out / name).exists() and not (self.out / "run.json").is_file()]:
            raise OutputError(
                f"the output folder {self.out} holds {others[0]}, which is not of this training; choose another --out"
            )

    def _cases(self, recipe: Recipe, silent: bool) -> tuple[list[Case], dict[str, Any]]:
        from voxtrace.datasets import find_cases
        from voxtrace.datasets.copies import copied, shared_patients, told
        from voxtrace.train.gathering import permitted
        from voxtrace.train.ship import data_sha256

        found = find_cases(self.data)
        for text in found.notes:
            note(text, silent)
        split = None if self.split == "all" else self.split
        chosen, rule = permitted(select(found.cases, split=split, sets=self.sets or None), recipe, self.all_licences)
        if not chosen:
            splits = sorted({case.split for case in found.cases})
            raise TrainingError(f"no case of {self.data} is in split {self.split!r}; there are {', '.join(splits)}")
        held = [case for case in found.cases if self.split != "all" and case.split != self.split]
        pairs = {pair[1].id: pair for pair in [*shared_patients(chosen, held), *copied(chosen, held)]}
        if pairs:
            note(
                f"warning: {len(pairs)} case(s) of other splits share an image or a patient with the training, and "
                f"figures on them mean nothing: {told(list(pairs.values()))} (`voxtrace data check` tells more; "
                "`without` in the recipe leaves cases out)",
                silent,
            )
        facts = {"data": str(self.data), "split": self.split, "licences": rule, "data_sha256": data_sha256(chosen)}
        return chosen, facts

    def _report(self, state: Path, weights: Path | None, silent: bool) -> None:
        from voxtrace.report.trained import report

        made: Path | None = None
        try:
            made = report(self.out)
        except MissingDependencyError as error:
            note(f"no report: {error}", silent)
        if self.telling.json:
            named = {"state": state, "weights": weights, "report": made}
            print_json({name: str(path) if path else None for name, path in named.items()})
            return
        if weights:
            say(f"{weights} (--model; card: {weights.with_suffix('.md').name}, measure it with voxtrace evaluate)")
        else:
            say(f"{state} (the refiner alone: `start` of a recipe of stage net)")
        if made:
            say(str(made))


@contextmanager
def _board(out: Path, leads: bool, silent: bool) -> Iterator[Tell | None]:
    """TensorBoard's log where it is installed; one note where it is not."""
    from voxtrace.train.boards import ABSENT, Board

    try:
        board = Board(out) if leads else None
    except ImportError:
        note(ABSENT, silent)
        board = None
    try:
        yield board.tell if board else None
    finally:
        if board:
            board.close()
