"""Pictures of a challenge's worst cases: from the masks that a run kept, and the cases where they are now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from voxtrace.bench.challenge import npy
from voxtrace.bench.challenge.cases import ChallengeCase, content_hash, list_cases, read_truth, spacing_zyx
from voxtrace.bench.challenge.runs import OK, PREDICTIONS, CaseRow, Run
from voxtrace.bench.shown import Sight, most_different, shown
from voxtrace.errors import CaseMissingError, InputError
from voxtrace.eval.metrics import dice
from voxtrace.prompts import BOX_START, BOX_STOP, FramePrompt

MOST = 3  # cases of a submission


def challenge_sights(names: Mapping[str, Run], folder: Path) -> list[Sight]:
    """The worst cases of each submission that gave a mask. Raises CaseMissingError if `folder` holds none of them, and
    InputError if one is another file than the one that was run."""
    cases = {case.name: case for case in list_cases(folder)}
    known = {row.case for run in names.values() for row in run.rows}
    if not known & cases.keys():
        raise CaseMissingError(f"{folder} holds none of the cases that were run; give --data the folder that does")
    found = []
    for name, run in names.items():
        rows = [row for row in run.rows if row.status == OK and row.dsc is not None and row.case in cases]
        for row in sorted(rows, key=lambda row: (row.dsc, row.case))[:MOST]:
            case, kept = cases[row.case], run.folder / PREDICTIONS / row.case
            if content_hash(case) != row.case_sha256:
                raise InputError(f"{case.file} is another file than the one that {run.folder} was run on")
            if case.truth is not None and kept.is_file():
                found.append(_sight(name, row, case, kept))
    return found


def _sight(name: str, row: CaseRow, case: ChallengeCase, kept: Path) -> Sight:
    """The object that was found worst, on the slice where the mask is most wrong, with its box if it crosses it."""
    truth, labels, image = read_truth(case), npy.read_plain(kept, "segs"), npy.read_plain(case.file, "imgs")
    assert truth is not None
    volume = truth.ndim == 3
    truths, masks, frames = (array if volume else array[None] for array in (truth, labels, image))
    objects = [int(value) for value in np.unique(truths) if value > 0] or [1]
    label = min(objects, key=lambda value: dice(masks == value, truths == value))
    frame = most_different(masks == label, truths == label, range(len(truths)))
    spacing = (spacing_zyx(case) if volume else None) or (1.0, 1.0, 1.0)
    one = shown(
        frame,
        _rgb(frames[frame]),
        truths[frame] == label,
        masks[frame] == label,
        _box(case, label, frame),
        pixel_mm=(spacing[1], spacing[2]),
    )
    about = {
        "model": name,
        "prompt": "its boxes",
        "z_range": False,
        "set": case.modality,
        "case": row.case.removesuffix(".npz"),
    }
    kind = "volume" if volume else "image"
    return Sight(about | {"object": label, "kind": kind, "dsc": row.dsc, "nsd": row.nsd}, (one,))


def _box(case: ChallengeCase, label: int, frame: int) -> FramePrompt | None:
    """The box of the object: boxes come in the order of the labels, their last voxel inside."""
    if "boxes" not in npy.members(case.file):
        return None
    boxes = np.atleast_2d(npy.read_plain(case.file, "boxes")).astype(np.float32)
    if not 0 < label <= len(boxes):
        return None
    box = boxes[label - 1]
    if len(box) == 6:
        if not box[2] <= frame <= box[5]:
            return None
        box = box[[0, 1, 3, 4]]
    corners = np.array([box[:2], box[2:4] + 1], np.float32)
    return FramePrompt(corners, np.array([BOX_START, BOX_STOP], np.int32))


def _rgb(frame: np.ndarray) -> np.ndarray:
    """(H, W) or (H, W, 3 or more) -> (H, W, 3) uint8; challenge files are uint8 already."""
    grey = np.clip(frame, 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2) if grey.ndim == 2 else grey[..., :3]
