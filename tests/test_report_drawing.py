"""What the report draws, and how figures become text."""

import math
import re

import numpy as np
import pytest

from voxtrace.bench.shown import Shown
from voxtrace.prompts import NEGATIVE, POSITIVE
from voxtrace.report.drawing.canvas import Frame, draw, fitted, text_width
from voxtrace.report.drawing.overlay import SIDE, overlay
from voxtrace.report.drawing.spread import density, spread
from voxtrace.report.drawing.trade import Estimate, trade, unit_limits
from voxtrace.report.numbers import best_of, fixed, interval, probability, seconds, signed, span
from voxtrace.report.palette import Palette
from voxtrace.report.signs import SHAPES, line_sign, sign


def shown(truth, mask, **more):
    nothing = np.zeros(truth.shape, bool)
    return Shown(0, True, 1.0, np.zeros(truth.shape, np.uint8), truth, mask, nothing, **more)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.8125, "0.812"), (-0.0001, "0.000"), (-0.25, "−0.250"), (None, "–"), (math.nan, "–"), (math.inf, "∞")],
)
def test_figures_have_three_digits(value, text):
    assert fixed(value) == text


def test_changes_have_signs():
    assert [signed(v) for v in (0.25, -0.25, 0.0001)] == ["+0.250", "−0.250", "0.000"]
    assert span(-0.1, 0.2) == "−0.100 to +0.200"
    assert interval({"low": 0.1, "high": 0.2, "n": 1}) == ""


def test_seconds_keep_two_digits_that_say_something():
    assert [seconds(v) for v in (0.0042, 0.52, 3.14, 84.4, 0.0, None)] == ["0.0042", "0.52", "3.1", "84", "0.00", "–"]


def test_small_probabilities_are_not_0():
    assert [probability(v) for v in (1e-9, 0.0344, 1.0)] == ["<0.001", "0.034", "1"]


def test_the_best_are_equal_as_shown():
    assert best_of(["0.700", "0.700", "0.600", "–"]) == {0, 1}
    assert best_of(["3.1", "84", "–"], lower=True) == {0}
    assert best_of(["0.700", "–"]) == set()


def test_signs_and_colours_together_tell_fifty_models_apart():
    palette = Palette()
    styles = [palette.of(f"model {n}") for n in range(50)]
    assert len({(style.colour, style.sign) for style in styles}) == 50
    assert all(sign(style) and line_sign(style) for style in styles)
    assert {style.sign for style in styles} == {"o", *SHAPES}


def test_an_outline_runs_between_pixels():
    """A block of rows 1..3 and columns 2..6 of 10 x 10 pixels: its corners are cut by half a pixel."""
    truth = np.zeros((10, 10), bool)
    truth[1:3, 2:6] = True
    svg = overlay(shown(truth, np.zeros_like(truth)))
    (path,) = set(re.findall(r'<path d="(M[^"]*Z)"', svg))
    points = np.array([[float(v) for v in pair.split()] for pair in re.split("[MLZ]", path) if pair]) / (SIDE / 10)
    assert points.min(0).tolist() == [2, 1]
    assert points.max(0).tolist() == [6, 3]
    assert len(points) == 8


def test_clicks_are_drawn_with_their_sign():
    empty = np.zeros((10, 20), bool)
    marks = {"points_xy": np.array([[5.0, 5.0], [10.0, 5.0]]), "labels": np.array([POSITIVE, NEGATIVE])}
    svg = overlay(shown(empty, empty, **marks))
    assert svg.count("<circle") == 2
    assert len(re.findall(r'<path d="M[^"]*h6M[^"]*v6"', svg)) == 1


def test_a_picture_keeps_its_shape_in_mm():
    """10 x 20 pixels of 4 x 1 mm are twice as tall as wide."""
    empty = np.zeros((10, 20), bool)
    one = Shown(0, False, 4.0, np.zeros((10, 20), np.uint8), empty, empty, empty)
    assert f'<image width="{SIDE / 2:.1f}" height="{SIDE:.1f}"' in overlay(one)


def test_a_violin_stays_where_values_can_be():
    at, height = density(np.array([0.0, 0.01, 0.02, 0.9, 1.0, 1.0]))
    assert (at.min(), at.max()) == (0, 1)
    assert height.max() == 1
    assert at[height.argmax()] in (at[0], at[-1])


def test_equal_values_have_a_violin_too():
    at, height = density(np.full(12, 0.5))
    assert np.isfinite(height).all()
    assert at[height.argmax()] == pytest.approx(0.5, abs=0.01)


def test_names_are_text_and_not_mathematics():
    svg = spread({"a_$b$ <c>": [0.1, 0.2], "d": [0.5] * 6}, Palette(), "DSC")
    assert ">a_$b$ &lt;c&gt;</text>" in svg


def test_names_in_any_script_are_kept():
    assert "医学" in spread({"医学": [0.5]}, Palette(), "DSC")


def test_long_names_are_cut_in_the_middle():
    text = fitted("a-model-with-a-name-that-does-not-end-v2", 100)
    assert text.startswith("a-mod")
    assert text.endswith("-v2")
    assert text_width(text) <= 100


def test_drawings_do_not_share_names():
    def paint(axes):
        axes.plot([0, 1], [0, 1], "o-")

    def other(axes):
        axes.plot([0, 1], [1, 0], "o-")

    names = [set(re.findall(r'id="([^"]+)"', draw(Frame(100), one))) for one in (paint, other)]
    assert names[0]
    assert not names[0] & names[1]


def test_figures_in_texts_are_not_rounded():
    svg = draw(Frame(100), lambda axes: axes.text(0.5, 0.5, "0.8125 (0.7001)"))
    assert "0.8125 (0.7001)" in svg


def test_what_is_not_finite_is_not_drawn():
    known, unknown = Estimate(0.5, 0.4, 0.6), Estimate.of({"mean": None, "low": None, "high": None})
    assert trade({"a": (known, known), "b": (known, unknown)}, Palette(), "DSC", "s") == trade(
        {"a": (known, known)}, Palette(["a"]), "DSC", "s"
    )
    assert trade({"b": (known, unknown)}, Palette(), "DSC", "s")


def test_limits_are_tenths_around_the_values():
    assert unit_limits([0.52, 0.58]) == (pytest.approx(0.485), pytest.approx(0.815))
    assert unit_limits([0.98, 1.0]) == (pytest.approx(0.685), pytest.approx(1.015))
