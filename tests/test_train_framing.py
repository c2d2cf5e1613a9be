"""What a training clip shows is what a session would show its net."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fake_engine import FakeEngine, FakeFeatures  # noqa: E402
from voxtrace.prompts import Box  # noqa: E402
from voxtrace.sessions import ImageSession  # noqa: E402
from voxtrace.train.augment import Strength  # noqa: E402
from voxtrace.train.cases import LoadedCase, find_objects  # noqa: E402
from voxtrace.train.framing import choose_frames, choose_others, choose_window  # noqa: E402
from voxtrace.train.options import Options  # noqa: E402
from voxtrace.train.samples import Sampler, cut_clip  # noqa: E402
from voxtrace.view import WORTH_CUTTING  # noqa: E402
from voxtrace.volume import Picture  # noqa: E402

pytestmark = pytest.mark.torch

EXACT = Options(whole_frame=0.0, box_jitter=0.0, zoom=(2.0, 2.0))


class Witness(FakeEngine):
    """Keeps the first frame that it is shown."""

    def encode(self, frames: Sequence[np.ndarray]) -> list[FakeFeatures]:
        if not self.encoded:
            self.shown = frames[0]
        return super().encode(frames)


def window_of_a_session(box: tuple[int, int, int, int], shape: tuple[int, int], zoom: float) -> tuple[float, ...]:
    """y0, x0, y1, x1 of what a session shows for a box on a picture whose every pixel says its place: (y, x) + 1."""
    rows, columns = np.indices(shape) + 1
    engine = Witness(zoom=zoom)
    picture = Picture(np.stack((rows, columns, rows), -1).astype(np.uint8))
    ImageSession(engine, picture).add(Box.on_slice(0, *box)).run()
    row, column = np.argwhere(engine.shown[..., 0] > 0)[0]  # beside the picture there is nothing but zeros
    y, x = engine.shown[row, column, :2].astype(int) - 1 - (row, column)
    height, width = engine.shown.shape[:2]
    return float(y), float(x), float(y + height), float(x + width)


@pytest.mark.parametrize(
    ("box", "shape"),
    [
        ((40, 90, 61, 120), (120, 200)),
        ((2, 180, 30, 198), (120, 200)),
        ((70, 50, 74, 53), (120, 200)),
        ((10, 20, 60, 100), (70, 200)),
        ((10, 100, 110, 130), (200, 150)),
        ((5, 5, 75, 85), (80, 100)),
        ((3, 4, 9, 8), (20, 90)),
    ],
    ids=["inside", "corner", "small", "taller than the frame", "wide as the frame", "all", "flat frame"],
)
def test_the_window_is_the_one_that_a_session_cuts(box, shape):
    window = choose_window(tuple(map(float, box)), shape, np.random.default_rng(0), EXACT)
    assert window == window_of_a_session(box, shape, zoom=2.0)


def test_a_window_sticks_out_only_along_an_axis_that_is_shorter_than_it():
    rng, options = np.random.default_rng(3), Options(whole_frame=0.0, zoom=(1.35, 3.0))
    stuck_out = 0
    for _ in range(300):
        shape = tuple(int(n) for n in rng.integers(40, 200, 2))
        y0, x0 = (int(rng.integers(0, n - 8)) for n in shape)
        box = (float(y0), float(x0), float(rng.integers(y0 + 4, shape[0])), float(rng.integers(x0 + 4, shape[1])))
        window = choose_window(box, shape, rng, options)
        for first, stop, length in zip(window[:2], window[2:], shape, strict=True):
            if stop - first <= length:
                assert 0 <= first < stop <= length
            else:
                assert first <= 0 < length <= stop
                stuck_out += 1
    assert stuck_out > 20


def test_a_window_that_is_not_the_whole_frame_is_square_and_leaves_out_a_tenth_of_it():
    rng, options = np.random.default_rng(4), Options(whole_frame=0.0, zoom=(1.35, 3.0))
    for _ in range(200):
        y0, x0, y1, x1 = choose_window((20.0, 30.0, 70.0, 100.0), (90, 130), rng, options)
        covered = (min(y1, 90) - max(y0, 0)) * (min(x1, 130) - max(x0, 0))
        assert (y0, x0, y1, x1) == (0, 0, 90, 130) or (y1 - y0 == x1 - x0 and covered <= WORTH_CUTTING * 90 * 130)


def test_a_sloppy_box_moves_the_window_by_no_more_than_its_jitter():
    rng, options = np.random.default_rng(5), Options(whole_frame=0.0, box_jitter=0.1, zoom=(2.0, 2.0))
    windows = np.array([choose_window((60.0, 80.0, 80.0, 110.0), (200, 300), rng, options) for _ in range(200)])
    centres = (windows[:, :2] + windows[:, 2:]) / 2
    assert np.abs(centres - [70, 95]).max(0) == pytest.approx([2, 3], abs=1)  # a tenth of 20 and of 30 pixels
    assert np.abs(windows[:, 2] - windows[:, 0] - 60).max() <= 2 * 2 * 0.1 * 30 + 1
    assert centres.std(0).min() > 0.5


# Which frames


def bar(slices: range, depth: int = 12, columns: slice = slice(20, 40)) -> np.ndarray:
    """Labels (depth, 50, 60) of a bar through some slices."""
    labels = np.zeros((depth, 50, 60), np.int32)
    labels[slices.start : slices.stop, 15:35, columns] = 1
    return labels


def volume(labels: np.ndarray, kind: str = "volume", labelled: tuple[int, ...] | None = None) -> LoadedCase:
    frames = (labels > 0).astype(np.uint8) * 255
    known = tuple(range(len(labels))) if labelled is None else labelled
    return LoadedCase("v/1", "v", kind, "mr", frames, find_objects(labels, parts=False), known, (9.0, 1.0, 1.0))


def test_a_scan_shorter_than_the_clip_is_padded_by_reflection():
    case = volume(bar(range(3), depth=3))
    target, rng = case.objects["whole"][0], np.random.default_rng(0)
    walks = {tuple(choose_frames(case, target, 0, rng, 8, EXACT) or ()) for _ in range(100)}
    assert (0, 1, 2, 1, 0, 1, 2, 1) in walks
    assert (2, 1, 0, 1, 2, 1, 0, 1) in walks
    assert all(abs(a - b) == 1 for walk in walks for a, b in pairwise(walk))


@pytest.mark.parametrize("kind", ["volume", "video"])
def test_clips_that_begin_before_the_object_come_to_it_from_both_sides(kind):
    case = volume(bar(range(4, 8)), kind)
    target, rng = case.objects["whole"][0], np.random.default_rng(1)
    walks = [choose_frames(case, target, 0, rng, 4, replace(EXACT, appears=1.0)) for _ in range(100)]
    entered = {next(frame for frame in walk if frame in range(4, 8)) for walk in walks if walk}
    assert entered == {4, 7}
    assert all(walk is not None and walk[0] not in range(4, 8) for walk in walks)


def test_an_object_that_fills_the_scan_cannot_appear_and_is_there_from_the_start():
    case = volume(bar(range(12)))
    target, rng = case.objects["whole"][0], np.random.default_rng(1)
    assert all(choose_frames(case, target, 0, rng, 3, replace(EXACT, appears=1.0)) for _ in range(30))


# Which objects


def test_further_objects_are_those_that_show_on_the_clips_frames():
    labels = bar(range(4))
    labels[6:8, 5:10, 5:10] = 2
    labels[2:9, 40:45, 45:55] = 3
    case = volume(labels)
    first, options = case.objects["whole"][0], replace(EXACT, objects=3)
    others = choose_others(case, first, 0, [0, 1, 2], np.random.default_rng(0), options)
    assert [one.label for one in others] == [3]
    both = choose_others(case, first, 0, [3, 4, 5, 6], np.random.default_rng(0), options)
    assert {one.label for one in both} == {2, 3}
    assert len(choose_others(case, first, 0, [5, 6], np.random.default_rng(0), replace(options, objects=2))) == 1


def test_in_a_video_of_few_labels_an_object_must_show_on_all_of_them():
    labels = bar(range(2, 9))
    labels[2, 5:10, 5:10] = 2
    labels[2:9, 40:45, 45:55] = 3
    case = volume(labels, "video", labelled=(2, 5, 8))
    others = choose_others(
        case, case.objects["whole"][0], 0, [2, 5, 8, 5], np.random.default_rng(0), replace(EXACT, objects=5)
    )
    assert [one.label for one in others] == [3]


# What is cut out


def test_a_clip_holds_all_its_objects_where_they_are_and_empty_places_for_the_rest():
    labels = bar(range(12))
    labels[:, 36:48, 44:56] = 2
    case = volume(labels)
    options = replace(EXACT, whole_frame=1.0, size=64, objects=4, strength=Strength.none())
    clip = cut_clip(case, np.random.default_rng(0), 3, options)
    assert clip is not None
    assert clip.masks.shape == (4, 3, 64, 64)
    seen = clip.masks.any((1, 2, 3))
    assert seen.tolist() == [True, True, False, False]
    assert not (clip.masks[0] & clip.masks[1]).any()
    bright = clip.images[:, 0] > 127
    assert (bright != (clip.masks[0] | clip.masks[1])).mean() < 0.02


def test_an_object_that_appears_later_is_empty_before_and_seen_through_its_own_window():
    case = volume(bar(range(4, 8), columns=slice(36, 46)))
    options = replace(EXACT, size=64, appears=1.0, strength=Strength.none())
    for seed in range(8):
        clip = cut_clip(case, np.random.default_rng(seed), 4, options)
        assert clip is not None
        shows = clip.masks.any((1, 2))
        assert not shows[0]
        assert shows.any()
        assert shows.tolist() == [frame in range(4, 8) for frame in clip.meta["frames"]]


def test_batches_of_several_objects_have_a_place_for_each():
    labels = bar(range(12))
    labels[:, 36:48, 44:56] = 2
    y, x = np.mgrid[:60, :60]
    picture = ((y - 30) ** 2 + (x - 30) ** 2 < 100).astype(np.int32)[None]
    pictures = [
        LoadedCase(f"p/{n}", "p", "image", "photo", picture.astype(np.uint8), find_objects(picture), (0,))
        for n in (0, 1)
    ]
    options = replace(EXACT, size=32, objects=3, sets=0.5)
    sampler = Sampler([volume(labels), *pictures], seed=0, clip_length=2, options=options)
    batches = list(sampler.batches(4, workers=0, stop=8))
    assert {batch.way for batch in batches} == {"clip", "set"}
    assert {tuple(batch.masks.shape) for batch in batches} == {(2, 3, 2, 32, 32)}
    assert all(batch.masks[:, 0].flatten(1).any(1).all() for batch in batches)
