"""One prompt for a whole set of images: an object is marked on one of them and looked for on all others.

As in One-Prompt Segmentation (Wu et al., CVPR 2024), with our set session. The first picture, in the manifest's order,
that shows a class is the marked one, by its mask; the others that show the class are scored. What is recalled of them
is the way's memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from voxtrace.bench.asking import Way
from voxtrace.bench.cost import Cost, measured
from voxtrace.bench.measuring import lost, row
from voxtrace.bench.methods import Method, Net
from voxtrace.bench.plan import Plan
from voxtrace.bench.record import Record
from voxtrace.bench.scoring import scores
from voxtrace.bench.truths import Target, open_case
from voxtrace.bench.worst import Worst, about
from voxtrace.eval.results import Row, failed
from voxtrace.frames import PictureFrames
from voxtrace.manifest import Case
from voxtrace.memory import OF_SETS
from voxtrace.prompts import MaskPrompt
from voxtrace.sessions import SetSession
from voxtrace.volume import Picture


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A picture of a set and its objects by label."""

    case: Case
    picture: Picture
    targets: dict[int, Target]


def sets_of(cases: Sequence[Case]) -> list[list[Case]]:
    """The pictures of each set whose labels are classes: where one prompt can serve all. Sets of one are left out."""
    found: dict[str, list[Case]] = {}
    for case in cases:
        if case.kind == "image" and case.label_type == "semantic":
            found.setdefault(case.set, []).append(case)
    return [own for own in found.values() if len(own) > 1]


def of_set(plan: Plan, method: Method, way: Way, cases: Sequence[Case], record: Record, worst: Worst) -> Iterator[Row]:
    """The rows of a set, each kept in the record before it is given; none if all of them are there. `worst` is offered
    each object."""
    work = (method.name, str(way), False, cases[0].set)
    if not isinstance(method, Net) or record.is_whole(*work):
        return
    new, members = [], []
    for case in cases:
        record.retry(method.name, str(way), False, case.id)
        try:
            members.append(_member(case, plan.objects))
        except Exception as error:
            new.append(record.add(lost(error, method.name, way, False, case)))
            yield new[-1]
    for label in sorted({label for member in members for label in member.targets}):
        for made in _of_class(plan, method, way, members, label, worst):
            new.append(record.add(made))
            yield made
    if not any(failed(made) for made in new):
        record.end(*work)


def _member(case: Case, objects: int) -> Member:
    picture, targets = open_case(case, objects)
    assert isinstance(picture, Picture)
    return Member(case, picture, {target.label: target for target in targets})


def _of_class(plan: Plan, method: Net, way: Way, members: Sequence[Member], label: int, worst: Worst) -> list[Row]:
    showing = [number for number, member in enumerate(members) if label in member.targets]
    marked, others = showing[0], showing[1:]
    if not others:
        return []
    with measured() as cost:
        try:
            masks = _found(method, way, members, marked, label)
        except Exception as error:
            asked = [(members[n].case, members[n].targets[label]) for n in others]
            return [lost(error, method.name, way, False, case, target) for case, target in asked]
    share = Cost(round(cost.seconds / len(members), 4), cost.peak_mb)
    rows = []
    for number in others:
        member, target = members[number], members[number].targets[label]
        found = scores(masks[number][None], target, member.picture, plan.tolerance)
        rows.append(replace(row(found, share, method.name, way, False, member.case, target), frame=None))
        worst.offer(about(rows[-1]), member.picture, target, masks[number][None])
    return rows


def _found(method: Net, way: Way, members: Sequence[Member], marked: int, label: int) -> list[np.ndarray]:
    """(H, W) bool of each picture."""
    pictures = Shown([PictureFrames(member.picture) for member in members])
    session = SetSession(method.engine, pictures, memory=OF_SETS[way.memory])
    session.add(MaskPrompt(members[marked].targets[label].marked), image=marked)
    result = session.run()
    return [result.frame_mask(1, number) for number in range(len(members))]


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """The pictures as frames, (H, W, 3) uint8 of any sizes."""

    pictures: Sequence[PictureFrames]

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.pictures[index][0]
