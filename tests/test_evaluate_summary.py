"""Figures: the mean over sets, and an interval from drawing patients."""

import itertools
from dataclasses import asdict, replace

import numpy as np
import pytest

from voxtrace.errors import InputError
from voxtrace.eval.bootstrap import figure
from voxtrace.eval.results import Row
from voxtrace.eval.summary import summaries, summary

ROW = Row("net", "box", False, "s", "c", 1, "image", "ct", "p", "done", 0.5, 0.4, 0.3, 1.0, 0.5, 2.0)


def enumerated(values, sets):
    """The 2.5th and 97.5th percentile over every sample of as many patients, each with one case: no random draw."""
    weights = [1 / sets.count(name) for name in sets]
    means = [
        np.average([values[i] for i in drawn], weights=[weights[i] for i in drawn])
        for drawn in itertools.product(range(len(values)), repeat=len(values))
    ]
    return np.percentile(means, [2.5, 97.5])


def test_interval_is_that_of_all_possible_samples():
    values, sets = [0.1, 0.2, 0.45, 0.8, 0.95], ["a", "a", "a", "b", "b"]
    found = figure(values, sets, list("vwxyz"), draws=40000)
    assert found.mean == pytest.approx((0.25 + 0.875) / 2)
    assert (found.low, found.high) == pytest.approx(tuple(enumerated(values, sets)), abs=0.02)
    assert found.n == 5


def test_interval_of_many_patients_is_the_normal_one():
    values = np.random.default_rng(3).normal(0.7, 0.1, 400)
    found = figure(values, ["a"] * 400, [str(i) for i in range(400)])
    half = 1.96 * values.std() / 20
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.0015)


def test_more_images_of_the_same_patients_make_nothing_surer():
    values, people = [0.2, 0.5, 0.9], ["x", "y", "z"]
    repeated, once = figure(values * 20, ["a"] * 60, people * 20), figure(values, ["a"] * 3, people)
    assert asdict(repeated) == pytest.approx(asdict(once))


def test_sets_of_one_patient_are_not_known_exactly():
    values = [0.1, 0.9, 0.3, 0.8]
    found = figure(values, list("abcd"), list("wxyz"))
    assert found.high - found.low > 0.4


def test_a_large_set_does_not_draw_the_interval_to_itself():
    small = np.random.default_rng(0).uniform(0.1, 0.5, 20).tolist()
    names = [str(i) for i in range(320)]
    found = figure([0.9] * 300 + small, ["large"] * 300 + names[:20], names)
    assert found.mean == pytest.approx((0.9 + sum(small)) / 21)
    assert (found.low + found.high) / 2 == pytest.approx(found.mean, abs=0.03)


def test_equal_names_in_two_sets_are_two_patients():
    assert figure([0.2, 0.6], ["a", "b"], ["1", "1"]).n == 2


def test_interval_repeats_and_changes_with_the_seed():
    values, sets, people = [0.1, 0.37, 0.52, 0.9], list("aabb"), list("wxyz")
    first = figure(values, sets, people, draws=50)
    assert figure(values, sets, people, draws=50) == first
    assert figure(values, sets, people, draws=50, seed=1) != first


def test_objects_are_averaged_within_cases_and_cases_within_sets():
    rows = [
        *[replace(ROW, case="many", patient="1", object=n, dsc=0.0) for n in range(1, 51)],
        replace(ROW, case="one", patient="2", dsc=1.0),
        replace(ROW, set="t", case="other", patient="3", dsc=0.8, modality="mri"),
    ]
    found = summary(rows)
    assert set(found) == {"overall", "by_modality", "by_set", "by_kind"}
    assert found["by_set"]["s"]["dsc"]["mean"] == 0.5
    assert found["overall"]["dsc"]["mean"] == 0.65
    assert found["by_modality"]["mri"]["dsc"] == {"mean": 0.8, "low": 0.8, "high": 0.8, "n": 1}
    assert found["by_kind"]["image"]["dsc"]["n"] == 3


def test_a_failed_case_counts_as_zero():
    lost = replace(ROW, case="d", patient="q", status="failed", dsc=0.0)
    found = summaries([replace(ROW, dsc=0.8), lost])[0]
    assert found["overall"]["dsc"]["mean"] == 0.4
    assert found["failed"] == 1


def test_contenders_are_not_mixed():
    rows = [ROW, replace(ROW, prompt="click", dsc=0.1), replace(ROW, z_range=True, dsc=0.9)]
    with pytest.raises(InputError, match="3"):
        summary(rows)
    assert [(s["prompt"], s["z_range"], s["overall"]["dsc"]["mean"]) for s in summaries(rows)] == [
        ("box", False, 0.5),
        ("click", False, 0.1),
        ("box", True, 0.9),
    ]
