"""The speed benchmark: what is timed, what is counted, what is made of it. Nothing here is fast or slow by chance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from command_line import CommandLine
from voxtrace.bench.speed.goals import GOALS, ROWS, Goal
from voxtrace.bench.speed.operations import Operations, operations
from voxtrace.bench.speed.plan import Plan, references_here
from voxtrace.bench.speed.rates import idlest_cores, machine, matrix_rates
from voxtrace.bench.speed.row import row_of
from voxtrace.bench.speed.turns import Taken
from voxtrace.bench.speed.work import Work, mean_iou
from voxtrace.errors import ModelError

FP32 = {"engine": "torch", "precision": "fp32"}
RATES = {"float32": 100.0, "bfloat16": 1000.0, "int8": 2000.0}


def taken(*seconds: float, masks: np.ndarray | None = None, **parts: dict[str, float]) -> Taken:
    return Taken(list(seconds), peak_mb=100, about=FP32, parts=parts, masks=masks)


@pytest.mark.parametrize("side", [128, 512])
def test_boxes_lie_within_the_slice_and_do_not_touch(side: int) -> None:
    drawn = np.zeros((side, side), int)
    for y0, x0, y1, x1 in Work(4, side, objects=8).boxes():
        assert 0 < y0 < y1 < side
        assert 0 < x0 < x1 < side
        drawn[y0 - 1 : y1 + 1, x0 - 1 : x1 + 1] += 1
    assert drawn.max() == 1


def test_each_box_holds_a_ball_brighter_than_what_is_around_it() -> None:
    work = Work(8, 128, objects=3)
    middle = work.volume()[work.middle].astype(float)
    for y0, x0, y1, x1 in work.boxes():
        core = middle[y0 + 6 : y1 - 6, x0 + 6 : x1 - 6].mean()
        around = middle[y0 - 3 : y0, x0:x1].mean()
        assert core > around + 40


def test_normalised_frames_are_those_of_the_published_scripts() -> None:
    work = Work(2, 128)
    grey, frames = work.volume()[1, 5, 7] / 255, work.normalised()
    assert frames.shape == (2, 3, 128, 128)
    wanted = [(grey - 0.485) / 0.229, (grey - 0.456) / 0.224, (grey - 0.406) / 0.225]
    assert frames[1, :, 5, 7] == pytest.approx(wanted, abs=1e-6)


def test_iou_is_the_mean_over_objects_and_slices() -> None:
    ours, theirs = np.zeros((2, 2, 4, 4), bool), np.zeros((2, 2, 4, 4), bool)
    ours[0, 0, :2], theirs[0, 0, :1] = True, True  # a half
    ours[1, 1], theirs[1, 0] = True, True  # nothing in common, twice; the last slice is empty in both
    assert mean_iou(ours, theirs) == pytest.approx((0.5 + 1 + 0 + 0) / 4)


def test_volume_encodes_each_slice_once_for_all_objects() -> None:
    counted = Operations(encode=100, begin=10, follow=5, remember=1)
    assert counted.of_volume(Work(4, objects=3)) == 4 * 100 + 3 * (10 + 1 + 3 * (5 + 1))


@pytest.mark.torch
def test_operations_are_those_of_the_known_net() -> None:
    """Official SAM 2.1 tiny at 512 px: 62.9, 49.3 and 2.9 (encoder; attention and decoder; memory encoder). Ours leaves
    out what is projected of filled-up windows, and attends to values before they are made four times as wide."""
    counted = operations("sam2.1_hiera_tiny", 512)
    assert counted.remember == pytest.approx(2.9, abs=0.05)
    assert 50 < counted.encode < 60
    assert 33 < counted.follow < 40


@pytest.mark.torch
def test_operations_of_a_net_that_is_shown_masks_hold_the_refiner() -> None:
    counted = operations("voxtrace-small", 96)
    assert counted.follow > 2.5 * counted.begin > 10 * counted.encode


@pytest.mark.torch
def test_rates_are_measured_for_all_types() -> None:
    rates = matrix_rates(1, size=128, repeats=2)
    assert rates.keys() == {"float32", "bfloat16", "int8"}
    assert min(rates.values()) > 0


def test_floor_ratio_and_iou_of_a_row() -> None:
    masks = np.ones((1, 2, 4, 4), bool)
    row = row_of(RATES, "volume", "w", taken(3, 2, masks=masks), "r", taken(12, 11, masks=masks), 150, alike=True)
    assert (row["ours_s"], row["reference_s"], row["ratio"], row["iou"]) == (2, 11, 5.5, 1.0)
    assert row["floor_s"] == 1.5
    assert row["reached"]
    assert row["goal"] == "ratio >= 5, iou >= 0.99"


def test_fast_row_with_other_masks_does_not_reach_its_goal() -> None:
    ours, theirs = np.ones((1, 2, 4, 4), bool), np.ones((1, 2, 4, 4), bool)
    theirs[0, 0, 0, 0] = False
    row = row_of(RATES, "volume", "w", taken(1, masks=ours), "r", taken(9, masks=theirs), 1, alike=True)
    assert row["iou"] == pytest.approx(1 - 1 / 32, abs=1e-4)
    assert not row["reached"]


def test_floor_is_that_of_the_type_which_was_computed_in() -> None:
    ours = Taken([1.0], about={"engine": "openvino", "precision": "bf16"})
    assert row_of(RATES, "small", "w", ours, None, None, 150)["floor_s"] == 0.15


def test_profile_tells_the_share_of_the_rate_that_each_verb_attained() -> None:
    ours = taken(4.0, encode={"done": 3, "seconds": 2.0}, follow={"done": 2, "seconds": 1.0})
    row = row_of(RATES, "small", "w", ours, None, None, 1, counted=Operations(50, 0, 40, 0))
    assert [(p["part"], p["gflop"], p["share_of_rate"]) for p in row["profile"]] == [
        ("encode", 150, 0.75),
        ("follow", 80, 0.8),
    ]


@pytest.mark.parametrize(
    ("goal", "ratio", "seconds", "iou", "reached"),
    [
        (Goal(ratio=5, iou=0.99), 5.0, 9.0, 0.99, True),
        (Goal(ratio=5, iou=0.99), 4.9, 0.1, 1.0, False),
        (Goal(ratio=5, iou=0.99), 6.0, 0.1, None, False),
        (Goal(seconds=1), None, 0.9, None, True),
        (Goal(seconds=1), None, 1.1, None, False),
        (Goal(ratio=2), None, 1.0, None, False),
    ],
)
def test_goal_is_reached_if_all_of_it_holds(
    goal: Goal, ratio: float | None, seconds: float, iou: float | None, reached: bool
) -> None:
    assert goal.reached(ratio, seconds, iou) is reached


def test_every_row_has_a_goal() -> None:
    assert set(ROWS) <= GOALS.keys()


def test_unknown_reference_is_named() -> None:
    with pytest.raises(ModelError, match="'sam3' is unknown; one of transformers, sam2"):
        references_here(("sam3",))


def test_reference_that_is_not_there_is_told_how_to_get(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VOXTRACE_ORACLE", str(tmp_path))
    with pytest.raises(ModelError, match="make oracle"):
        references_here(("sam2",))
    assert "sam2" not in references_here(())


def test_quick_plan_keeps_what_was_asked_for() -> None:
    plan = Plan(engines=("torch",), threads=3).quick()
    assert (plan.engines, plan.threads, plan.work.side) == (("torch",), 3, 128)


def test_machine_and_cores_are_told() -> None:
    cores = idlest_cores(1, seconds=0.05)
    about = machine(1, cores)
    assert about["threads"] == 1
    assert about["versions"]["voxtrace"]
    assert len(cores) <= 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--threads", "0"], "--threads 0: give a whole number of at least 1"),
        (["--slices", "1"], "--slices 1: give a whole number of at least 2"),
        (["--out", "speed.txt"], "unknown format"),
        (["--weights", "none.safetensors"], "the weights file none.safetensors does not exist"),
    ],
)
def test_mistakes_are_told_before_anything_is_measured(voxtrace: CommandLine, given: list[str], said: str) -> None:
    ran = voxtrace("bench", "speed", *given)
    assert ran.code == 2
    assert said in ran.err
