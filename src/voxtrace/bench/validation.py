"""How well a model does on the labelled validation cases, beside baselines that need no net.

    python -m voxtrace.bench.validation --data DIR --model voxtrace-small --out benchmarks/validation.json

Knowledge of the truth that is used: the exact box of the object on one frame (a picture; the slice in the middle of the
object's z range; a video's first labelled frame). Nothing else: the z range is not given. The carried baselines do use
it. Means are over objects, then cases, then sets.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace import __version__
from voxtrace.bench.baselines import carried, ellipse
from voxtrace.engine import Engine
from voxtrace.engines import open_engine
from voxtrace.errors import InputError
from voxtrace.eval.metrics import dice
from voxtrace.io import read, read_mask
from voxtrace.manifest import Case, read_manifest
from voxtrace.prompts import Box
from voxtrace.sessions import ImageSession, VideoSession, VolumeSession
from voxtrace.volume import Picture, Video, Volume

OBJECTS_A_CASE = 12  # of dozens of nuclei or neurites: an even choice by size
MODALITIES = {"ct": "CT", "mri": "MR", "pet": "PT", "ultrasound": "US"}


@dataclass(frozen=True, slots=True)
class Row:
    """One object of one case. carried_*: volumes only, with the true z range."""

    case: str
    set: str
    kind: str
    modality: str
    object: int
    dsc: float
    ellipse: float
    carried_mask: float | None
    seconds: float


def evaluate(engine: Engine, cases: list[Case]) -> Iterator[Row]:
    """A row for each object of each case."""
    for case in cases:
        yield from {"image": _image, "volume": _volume, "video": _video}[case.kind](engine, case)


def _image(engine: Engine, case: Case) -> Iterator[Row]:
    picture = read(case.image_path, modality=MODALITIES.get(case.modality))
    assert isinstance(picture, Picture)
    labels = _pixels(case.mask_path)
    session = ImageSession(engine, picture)
    for label in _objects(labels):
        truth = labels == label
        box = box_of(truth, 0)
        start = time.perf_counter()
        session.add(box, object=int(label))
        result = session.run()
        mask = result.mask(int(label))[0]
        session.remove(int(label))
        yield _row(case, label, dice(mask, truth), dice(ellipse(box, truth.shape), truth), None, start)


def _volume(engine: Engine, case: Case) -> Iterator[Row]:
    scan = read(case.image_path, modality=MODALITIES.get(case.modality))
    assert isinstance(scan, Volume)
    labels = read_mask(case.mask_path, like=scan)
    for label in _objects(labels):
        truth = labels == label
        present = np.flatnonzero(truth.any((1, 2)))
        middle = int(present[len(present) // 2])
        box = box_of(truth[middle], middle)
        start = time.perf_counter()
        result = VolumeSession(engine, scan).add(box, object=int(label)).run()
        score = dice(result.mask(int(label)), truth)
        flat = dice(carried(ellipse(box, truth.shape[1:]), truth), truth)
        yield _row(case, label, score, flat, dice(carried(truth[middle], truth), truth), start)


def _video(engine: Engine, case: Case) -> Iterator[Row]:
    video = read(case.image_path, modality=MODALITIES.get(case.modality))
    assert isinstance(video, Video)
    names = [path.stem for path in sorted(case.image_path.iterdir())]
    masks = {names.index(path.stem): _pixels(path) for path in sorted(case.mask_path.iterdir())}
    for label in sorted({int(v) for mask in masks.values() for v in np.unique(mask)} - {0}):
        shown = [frame for frame in sorted(masks) if (masks[frame] == label).any()]
        if len(shown) < 2:
            continue
        box = box_of(masks[shown[0]] == label, shown[0])
        start = time.perf_counter()
        result = VideoSession(engine, video).add(box, object=label).run()
        later = [frame for frame in sorted(masks) if frame > shown[0]]
        truth = np.stack([masks[frame] == label for frame in later])
        flat = np.broadcast_to(ellipse(box, truth.shape[1:]), truth.shape)
        mask = np.stack([result.frame_mask(label, frame) for frame in later])
        yield _row(case, label, dice(mask, truth), dice(flat, truth), None, start)


def box_of(mask: np.ndarray, z: int) -> Box:
    """The tight half-open box of an (H, W) mask, on slice z."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return Box.on_slice(z, int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def _objects(labels: np.ndarray) -> list[int]:
    values, counts = np.unique(labels[labels > 0], return_counts=True)
    ordered = values[np.argsort(counts, kind="stable")]
    if len(ordered) > OBJECTS_A_CASE:
        ordered = ordered[np.linspace(0, len(ordered) - 1, OBJECTS_A_CASE).round().astype(int)]
    return sorted(int(v) for v in ordered)


def _pixels(path: Path) -> np.ndarray:
    mask = read(path)
    if not isinstance(mask, Picture) or mask.pixels.ndim != 2:
        raise InputError(f"{path} is not a mask: one grey channel of labels was expected")
    return mask.pixels


def _row(case: Case, label: int, dsc: float, flat: float, carried_mask: float | None, start: float) -> Row:
    seconds = round(time.perf_counter() - start, 3)
    numbers = (round(dsc, 4), round(flat, 4), None if carried_mask is None else round(carried_mask, 4))
    return Row(case.id, case.set, case.kind, case.modality, int(label), *numbers, seconds)


def summary(rows: list[Row]) -> dict[str, Any]:
    """Means over objects, then cases, then sets, for every column."""
    out: dict[str, Any] = {"by_set": {}, "by_kind": {}}
    for name in sorted({row.set for row in rows}):
        own = [row for row in rows if row.set == name]
        out["by_set"][name] = {"kind": own[0].kind, "objects": len(own)} | {c: _mean(own, c) for c in COLUMNS}
    for kind in sorted({row.kind for row in rows}):
        sets = [s for s in out["by_set"].values() if s["kind"] == kind]
        out["by_kind"][kind] = {"sets": len(sets)} | {c: _over(s[c] for s in sets) for c in COLUMNS}
    return out


COLUMNS = ("dsc", "ellipse", "carried_mask")


def _mean(rows: list[Row], column: str) -> float | None:
    cases: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if getattr(row, column) is not None:
            cases[row.case].append(getattr(row, column))
    return _over(float(np.mean(values)) for values in cases.values())


def _over(values: Iterator[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return round(float(np.mean(known)), 4) if known else None


def main() -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser(description="Measure a model on the labelled validation cases.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="voxtrace-small")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kind", choices=["image", "volume", "video"])
    parser.add_argument("--set", dest="sets", nargs="*")
    parser.add_argument("--most", type=int, default=1000, help="cases of one set, an even choice")
    args = parser.parse_args()
    cases = [c for c in read_manifest(args.data / "manifest.jsonl") if c.split == "val"]
    cases = [c for c in cases if args.kind in (None, c.kind) and (not args.sets or c.set in args.sets)]
    rows = []
    for row in evaluate(open_engine(args.model), _thinned(cases, args.most)):
        print(
            f"{row.case:60} {row.object:4} dsc {row.dsc:.3f} ellipse {row.ellipse:.3f} {row.seconds:6.1f} s", flush=True
        )
        rows.append(row)
    machine = {"processor": platform.processor() or platform.machine(), "python": platform.python_version()}
    report = {"model": args.model, "voxtrace": __version__, "cases_a_set": args.most, "machine": machine} | summary(
        rows
    )
    args.out.write_text(json.dumps(report | {"rows": [asdict(row) for row in rows]}, indent=1) + "\n")
    print(json.dumps(report["by_kind"], indent=1))


def _thinned(cases: list[Case], most: int) -> list[Case]:
    by_set: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        by_set[case.set].append(case)
    chosen = (np.linspace(0, len(s) - 1, min(most, len(s))).round().astype(int) for s in by_set.values())
    return [s[i] for s, indices in zip(by_set.values(), chosen, strict=True) for i in indices]


if __name__ == "__main__":
    main()
