"""What a training clip shows is what a session would show its net."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fake_engine import FakeEngine, FakeFeatures  # noqa: E402
from voxtrace.prompts import Box  # noqa: E402
from voxtrace.sessions import ImageSession  # noqa: E402
from voxtrace.train.framing import Options, choose_window  # noqa: E402
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
