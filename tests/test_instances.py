"""Instance F1 and PQ: by hand, and against every possible matching."""

from itertools import permutations

import numpy as np
import pytest

from voxtrace.errors import InputError
from voxtrace.eval.instances import InstanceScores, Match, match_instances, score_instances


def bars(*spans: tuple[int, int, int]) -> np.ndarray:
    """(2, 20) int: each (label, start, stop) is a bar over both rows."""
    row = np.zeros(20, int)
    for label, start, stop in spans:
        row[start:stop] = label
    return np.stack([row, row])


def best_by_trying(mask: np.ndarray, truth: np.ndarray, threshold: float) -> tuple[int, float]:
    """Of all one-to-one matchings: the most pairs, and of those the largest sum of IoU."""
    ours, theirs = ([mask == n for n in np.unique(mask) if n], [truth == n for n in np.unique(truth) if n])
    table = np.zeros((max(len(ours), len(theirs)),) * 2)
    for i, a in enumerate(ours):
        for j, b in enumerate(theirs):
            table[i, j] = (a & b).sum() / (a | b).sum()
    table[table < threshold] = 0
    chosen = (table[np.arange(len(table)), list(order)] for order in permutations(range(len(table))))
    return max((int((ious > 0).sum()), float(ious.sum())) for ious in chosen)


def test_f1_and_pq_by_hand():
    """One object found exactly, one at IoU 3/5, one missed, one invented."""
    truth = bars((4, 0, 3), (7, 5, 9), (2, 12, 14))
    mask = bars((1, 0, 3), (2, 6, 10), (3, 16, 18))
    assert match_instances(mask, truth) == [Match(1, 4, 1.0), Match(2, 7, 0.6)]
    assert score_instances(mask, truth) == InstanceScores(tp=2, fp=1, fn=1, f1=2 / 3, sq=0.8, pq=2 / 3 * 0.8)


def test_the_threshold_itself_is_enough():
    truth, mask = bars((1, 5, 9)), bars((1, 6, 10))
    assert score_instances(mask, truth, 0.6).tp == 1
    assert score_instances(mask, truth, 0.61).tp == 0


def test_an_object_cut_in_two_halves_is_matched_once():
    assert score_instances(bars((1, 0, 4), (2, 4, 8)), bars((9, 0, 8))) == InstanceScores(1, 1, 0, 2 / 3, 0.5, 1 / 3)


def test_more_matches_go_before_better_ones():
    """The best pair (IoU 9/11) would leave the other two objects alone; each has an IoU of about 0.1 with one of it."""
    truth, mask = bars((1, 0, 10), (2, 10, 12)), bars((1, 0, 1), (2, 1, 11))
    assert [(m.label, m.truth_label) for m in match_instances(mask, truth, 0.05)] == [(1, 1), (2, 2)]


@pytest.mark.parametrize("threshold", [0.05, 0.2, 0.5, 0.7])
@pytest.mark.parametrize("seed", range(12))
def test_no_other_matching_is_better(seed, threshold):
    random = np.random.default_rng(seed)
    mask, truth = (np.repeat(random.integers(0, 6, (3, 5, 4)), 2, axis=0) for _ in range(2))
    noise = random.random(mask.shape) < 0.6
    mask = np.where(noise, truth * 3 % 7, mask)
    matches = match_instances(mask, truth, threshold)
    count, total = best_by_trying(mask, truth, threshold)
    assert len({m.label for m in matches}) == len({m.truth_label for m in matches}) == len(matches) == count
    assert sum(m.iou for m in matches) == pytest.approx(total, abs=1e-12)


def test_names_mean_nothing():
    random = np.random.default_rng(1)
    mask, truth = random.integers(0, 5, (2, 6, 7, 8))
    renamed = np.array([0, 9, 400, 2, 10**9])[mask]
    assert score_instances(renamed, truth.astype(np.uint8), 0.1) == score_instances(mask, truth, 0.1)


def test_no_objects_in_both_is_perfect_and_in_one_is_nothing():
    nothing, something = bars(), bars((1, 2, 4), (3, 6, 7))
    assert score_instances(nothing, nothing) == InstanceScores(0, 0, 0, 1, 1, 1)
    assert score_instances(something, nothing) == InstanceScores(0, 2, 0, 0, 0, 0)
    assert score_instances(nothing, something) == InstanceScores(0, 0, 2, 0, 0, 0)


@pytest.mark.parametrize("threshold", [0, -1, 1.01, np.nan])
def test_a_threshold_that_matches_all_or_nothing_is_refused(threshold):
    with pytest.raises(InputError, match="IoU threshold"):
        score_instances(bars((1, 0, 2)), bars((1, 0, 2)), threshold)


def test_maps_of_different_shapes_are_refused():
    with pytest.raises(InputError, match="one grid"):
        score_instances(bars((1, 0, 2)), bars((1, 0, 2))[:1])
