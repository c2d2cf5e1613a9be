"""Which labelled cases a training may see, and which of them can be read."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from voxtrace.errors import TrainingError, VoxtraceError
from voxtrace.manifest import Case, shipped_training_cases
from voxtrace.train.cases import LoadedCase, load_case
from voxtrace.train.recipe import Recipe

log = logging.getLogger(__name__)

UNREADABLE = (OSError, EOFError, ValueError, ArithmeticError, LookupError, VoxtraceError)


def permitted(cases: Sequence[Case], recipe: Recipe, all_licences: bool = False) -> tuple[list[Case], str]:
    """The cases that may be used, and why these, as a phrase.

    A recipe of weights that are given away (`ships`) sees only cases marked may_train_shipped_weights, wherever a
    manifest marks any; a manifest that marks none is a user's own, whose weights are the user's affair. Other recipes
    see everything. The recipe's `without` are left out of any.
    """
    cases = [case for case in cases if case.id not in recipe.without]
    free = [case for case in cases if case.may_train_shipped_weights is True]
    if not recipe.ships:
        return list(cases), "all cases: the recipe's weights are not given away"
    if all_licences:
        return list(cases), "all cases, as asked: these weights may not be given away"
    if not free:
        return list(cases), "all cases, none is marked may_train_shipped_weights: these weights may not be given away"
    return free, f"{len(free)} of {len(cases)} cases: those that may train weights that are given away"


def shipped(cases: Sequence[Case], recipe: Recipe) -> list[Case]:
    """What embedded weights may see: marked as such, of split "train", and not among the recipe's `without`."""
    return [case for case in shipped_training_cases(cases) if case.id not in recipe.without]


def load_each(cases: Iterable[Case]) -> tuple[list[LoadedCase], dict[str, str]]:
    """Every case that can be read, and {case: why} of the others. Raises TrainingError if none can."""
    loaded: list[LoadedCase] = []
    left_out: dict[str, str] = {}
    for case in cases:
        try:
            loaded.append(load_case(case))
        except UNREADABLE as error:
            left_out[case.id] = f"{error}" if isinstance(error, VoxtraceError) else f"{type(error).__name__}: {error}"
            log.warning("case %s is left out: %s", case.id, left_out[case.id])
    if not loaded:
        first = next(iter(left_out.items()), ("", "there is none"))
        raise TrainingError(
            f"none of the {len(left_out)} cases can be read; {': '.join(first)}. `voxtrace data index` checks them all"
        )
    return loaded, left_out
