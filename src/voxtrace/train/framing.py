"""What a clip shows: which object, along which axis, which frames, and which window around the prompted object.

The window is the one a session would cut around a sloppy person's box.
"""

from __future__ import annotations

import numpy as np

from voxtrace.train.cases import LabelledObject, LoadedCase
from voxtrace.train.options import Options
from voxtrace.view import Whole, view_around

Rectangle = tuple[float, float, float, float]  # y0, x0, y1, x1, half-open


def choose_object(case: LoadedCase, rng: np.random.Generator, options: Options, loose: bool = False) -> LabelledObject:
    """All of a label, one piece of it, or several labels at once, as far as the case has them. `loose`: one piece where
    there are several, for a click lies on one."""
    draw = rng.random()
    if loose and "part" in case.objects:
        kind = "part"
    elif "union" in case.objects and draw < options.union:
        kind = "union"
    elif "part" in case.objects and rng.random() < options.part * (1.0 if case.kind == "image" else 0.6):
        kind = "part"
    else:
        kind = "whole"
    choices = case.objects[kind]
    return choices[int(rng.integers(len(choices)))]


def choose_axis(case: LoadedCase, rng: np.random.Generator, options: Options) -> int:
    """Mostly z; also y or x where voxels are not too flat for such a view to make sense."""
    thin = case.kind == "volume" and max(case.spacing) <= 3.0 * min(case.spacing) and min(case.frames.shape[:3]) >= 20
    return int(rng.integers(1, 3)) if thin and rng.random() < options.other_axes else 0


def choose_frames(
    case: LoadedCase, target: LabelledObject, axis: int, rng: np.random.Generator, length: int, options: Options
) -> list[int] | None:
    """Frame numbers of a clip that starts where the object is, or a few frames before; often it runs past the object's
    end. Forward or backward; where the scan is shorter than the clip, the walk turns around at its ends (padding by
    reflection), and a picture is shown again."""
    areas = target.areas(axis)
    good = target.frames(axis)[0] + np.flatnonzero(areas >= max(6, 0.02 * areas.max()))
    track = _track(case, target, axis)
    starts = [track.index(int(f)) for f in good if int(f) in track]
    if not starts:
        return None
    if len(track) == 1:
        return [track[0]] * length
    step = int(rng.choice([-1, 1]))
    if (
        case.kind == "volume"
        and len(track) > 40
        and case.spacing[axis] <= 1.6 * min(case.spacing)
        and rng.random() < 0.4
    ):
        step *= 2
    reach = [s for s in starts if 0 <= s + step * (length - 1) < len(track)] or starts
    place = reach[int(rng.integers(len(reach)))]
    if rng.random() < options.ends:
        last = starts[-1] if step > 0 else starts[0]
        leaving = [s for s in reach if abs(last - s) < abs(step) * (length - 1)]
        place = leaving[int(rng.integers(len(leaving)))] if leaving else place
    if options.appears and length > 1 and rng.random() < options.appears:
        place = _before((starts[0] if step > 0 else starts[-1]), step, length, len(track), rng, place)
    return [track[_bounced(place + step * t, len(track))] for t in range(length)]


def _before(entrance: int, step: int, length: int, count: int, rng: np.random.Generator, otherwise: int) -> int:
    """A place from which a walk comes to `entrance` after one step or more; where there is none, the other place."""
    places = [place for t in range(1, length) if 0 <= (place := entrance - step * t) < count]
    return places[int(rng.integers(len(places)))] if places else otherwise


def choose_others(
    case: LoadedCase, target: LabelledObject, axis: int, order: list[int], rng: np.random.Generator, options: Options
) -> list[LabelledObject]:
    """Up to `options.objects` - 1 further objects of the same kind that show on some frame of a clip. On videos of few
    labels those that show on all of them: elsewhere a missing label does not say that the object is not there."""
    if options.objects == 1:
        return []
    enough = len(set(order)) if not axis and len(case.labelled) < len(case.frames) else 1
    choices = [
        one
        for one in case.objects[target.kind]
        if one is not target and sum(_shows(one, frame, axis) for frame in set(order)) >= enough
    ]
    drawn = rng.permutation(len(choices))[: options.objects - 1]
    return [choices[int(index)] for index in drawn]


def _shows(one: LabelledObject, frame: int, axis: int) -> bool:
    spot = one.on_frame(frame, axis)
    return spot is not None and bool(spot[1].any())


def _track(case: LoadedCase, target: LabelledObject, axis: int) -> list[int]:
    """The frames whose labels can be trusted. Where a video is labelled on a few frames only, not every object is on
    each of them (cine MR: the muscle in one phase only), so a missing label does not say that the object is gone."""
    if axis or len(case.labelled) == len(case.frames):
        return list(range(case.frames.shape[axis]))
    held = set((target.frames()[0] + np.flatnonzero(target.areas())).tolist())
    return [index for index in case.labelled if index in held]


def _bounced(position: int, count: int) -> int:
    """Reflect a walk that reaches the scan's end, the end frame not shown twice."""
    position = position % (2 * count - 2)
    return position if position < count else 2 * count - 2 - position


def box_of(first: tuple[int, int], patch: np.ndarray) -> Rectangle:
    rows, columns = np.flatnonzero(patch.any(1)), np.flatnonzero(patch.any(0))
    y, x = first
    return float(y + rows[0]), float(x + columns[0]), float(y + rows[-1] + 1), float(x + columns[-1] + 1)


def choose_window(
    box: Rectangle, shape: tuple[int, int], rng: np.random.Generator, options: Options, loose: bool = False
) -> Rectangle:
    """The part of a frame (H, W) that the net sees: around a sloppy person's box, `loose` around a click, or all."""
    if rng.random() < options.whole_frame:
        return 0.0, 0.0, float(shape[0]), float(shape[1])
    height, width = box[2] - box[0], box[3] - box[1]
    jitter = options.loose_jitter if loose else options.box_jitter
    off = rng.uniform(-1, 1, 4) * jitter * np.array([height, width, height, width])
    y0, x0, y1, x1 = np.array(box) + off
    zoom = np.exp(rng.uniform(*np.log(options.loose_zoom))) if loose else rng.uniform(*options.zoom)
    seen = view_around((x0, y0, x1, y1), shape, float(zoom))
    if isinstance(seen, Whole):
        return 0.0, 0.0, float(shape[0]), float(shape[1])
    return float(seen.y), float(seen.x), float(seen.y + seen.side), float(seen.x + seen.side)
