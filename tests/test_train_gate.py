"""The gate: what may be said of two nets that answered the same questions."""

from dataclasses import replace

import numpy as np
import pytest

from voxtrace.errors import InputError
from voxtrace.eval.results import Row
from voxtrace.train.gate import LEAST_PATIENTS, judge

BASE = np.array([0.55, 0.71, 0.62, 0.48, 0.66, 0.59, 0.73, 0.51, 0.64, 0.57])
NOISE = np.array([0.05, -0.06, 0.02, -0.04, 0.07, -0.03, -0.05, 0.06, 0.01, -0.02])


def rows(values, name="net", set="scans"):
    """An object a case, a case a patient."""
    return [row(name, f"{set}/{i}", str(i), 1, float(v), set) for i, v in enumerate(values)]


def row(model, case, patient, label, dsc, set="scans"):
    return Row(model, "box", False, set, case, label, "volume", "ct", patient, "done", dsc, dsc, dsc, 1.0, 1.0, 1.0)


def test_a_gain_on_nearly_every_patient_is_better():
    verdict = judge(rows(BASE), rows(BASE + 0.1 + NOISE))
    assert verdict.passed
    assert verdict.difference.mean == pytest.approx(0.101)
    assert "is better than the net it came from: DSC 0.606" in verdict.sentence()


def test_a_loss_on_nearly_every_patient_is_worse():
    verdict = judge(rows(BASE), rows(BASE - 0.1 + NOISE))
    assert (verdict.word, verdict.passed) == ("worse", False)


def test_noise_is_not_shown_to_be_better_even_where_the_mean_rose():
    verdict = judge(rows(BASE), rows(BASE + NOISE + 0.01))
    assert verdict.difference.mean > 0
    assert verdict.word == "not shown to be better"
    assert "is not shown to be better" in verdict.sentence()


def test_nets_whose_own_intervals_overlap_can_still_be_told_apart():
    verdict = judge(rows(BASE), rows(BASE + 0.03 + NOISE / 10))
    assert verdict.tuned.low < verdict.base.high
    assert verdict.passed


def test_the_interval_is_that_of_a_paired_bootstrap_over_patients():
    """Against every possible sample of five patients with their probabilities: 5 to the 5th, no drawing at all."""
    gains = np.array([0.02, -0.03, 0.11, 0.05, 0.08])
    verdict = judge(rows(BASE[:5]), rows(BASE[:5] + gains))
    samples = np.stack(np.meshgrid(*[gains] * 5), -1).reshape(-1, 5).mean(1)
    low, high = np.percentile(samples, [2.5, 97.5])
    assert verdict.difference.mean == pytest.approx(gains.mean())
    assert (verdict.difference.low, verdict.difference.high) == pytest.approx((low, high), abs=0.004)


def test_many_cases_of_one_patient_are_one_patient():
    """Forty slices that all gained, of two people: nothing is shown about a third."""
    base = [row("a", f"c{i}", str(i % 2), 1, 0.5) for i in range(40)]
    verdict = judge(base, [replace(one, dsc=0.7) for one in base])
    assert verdict.difference.n == 2 < LEAST_PATIENTS
    assert not verdict.passed
    assert "hold out more" in verdict.sentence()


def test_objects_are_averaged_in_their_case_first():
    """A case of nine objects that lost a little does not outweigh five cases of one that gained much."""
    base = [*(row("a", "many", "p", label, 0.5) for label in range(9)), *rows(BASE[:5])]
    tuned = [replace(one, dsc=one.dsc + (-0.01 if one.case == "many" else 0.1)) for one in base]
    assert judge(base, tuned).difference.mean == pytest.approx((5 * 0.1 - 0.01) / 6)


def test_rows_are_paired_by_what_was_asked_not_by_their_order():
    assert judge(rows(BASE), rows(BASE + 0.05)[::-1]).difference.low == pytest.approx(0.05)


def test_other_questions_are_refused():
    with pytest.raises(InputError, match=r"not asked about the same objects \(scans/9\)"):
        judge(rows(BASE), rows(BASE[:9]))
