"""Ranking of algorithms over cases: hand-made tables whose answers can be counted on fingers."""

import numpy as np
import pytest
import scipy

from voxtrace.errors import InputError
from voxtrace.eval.ranking import Metric, Rules, by_metric, case_ranks, rank, stability
from voxtrace.eval.significance import holm, signed_rank_p, significance

NAN = float("nan")


def dsc(*rows, **more):
    return Metric("dsc", np.array(rows, float), True, worst=0.0, **more)


def seconds(*rows, **more):
    return Metric("seconds", np.array(rows, float), False, worst=100.0, **more)


def test_the_best_value_of_a_case_has_rank_1_in_either_direction():
    rows = [[0.9, 0.1], [0.5, 0.5], [0.1, 0.9]]
    assert case_ranks(dsc(*rows)).tolist() == [[1, 3], [2, 2], [3, 1]]
    assert case_ranks(seconds(*rows)).tolist() == [[3, 1], [2, 2], [1, 3]]


@pytest.mark.parametrize(
    ("ties", "expected"),
    [
        ("average", [1, 2.5, 2.5, 4]),
        ("min", [1, 2, 2, 4]),
        ("max", [1, 3, 3, 4]),
        ("dense", [1, 2, 2, 3]),
    ],
)
def test_ties_share_a_rank_as_asked(ties, expected):
    assert case_ranks(dsc([0.9], [0.5], [0.5], [0.1]), ties)[:, 0].tolist() == expected


def test_who_has_no_result_is_last_however_many_have_none():
    ranks = case_ranks(dsc([0.0, NAN], [NAN, NAN], [NAN, 0.3], [0.2, NAN]))
    assert ranks.tolist() == [[2, 4], [4, 4], [4, 1], [1, 4]]


def test_a_fast_failure_gains_nothing_by_its_speed():
    """Whoever fails has no time either, so it is last in every column."""
    table = [dsc([NAN, NAN], [0.2, 0.2]), seconds([NAN, NAN], [99, 99])]
    assert rank(["crashes at once", "slow and poor"], table).order == ["slow and poor", "crashes at once"]


def test_ranks_are_made_on_each_case_and_then_averaged():
    """a wins two cases by little, b one by much: by ranks a is first, by means b."""
    table = [dsc([0.80, 0.80, 0.10], [0.79, 0.79, 0.90])]
    first = rank(["a", "b"], table)
    assert first.order == ["a", "b"]
    assert first.scores == pytest.approx([4 / 3, 5 / 3])
    assert rank(["a", "b"], table, Rules(scheme="aggregate-then-rank")).order == ["b", "a"]


def test_metrics_count_by_weight_and_not_by_unit():
    table = [dsc([0.9], [0.8], [0.7]), seconds([3000.0], [1.0], [2.0])]
    assert rank(["a", "b", "c"], table).scores.tolist() == [2.0, 1.5, 2.5]
    heavier = [dsc([0.9], [0.8], [0.7], weight=3), seconds([3000.0], [1.0], [2.0])]
    assert rank(["a", "b", "c"], heavier).order == ["a", "b", "c"]
    assert {name: one.order for name, one in by_metric(["a", "b", "c"], table).items()} == {
        "dsc": ["a", "b", "c"],
        "seconds": ["b", "c", "a"],
    }


def test_median_of_ranks_is_not_moved_by_one_bad_case():
    table = [dsc([0.9, 0.9, 0.9, NAN], [0.8, 0.8, 0.8, 0.8], [0.7, 0.7, 0.7, 0.9])]
    assert rank(["a", "b", "c"], table, Rules(aggregate="median")).scores.tolist() == [1.0, 2.0, 3.0]


def test_equal_algorithms_share_the_smaller_place():
    same = [0.3, 0.7, 0.2]
    found = rank(["a", "b", "c"], [dsc(same, same, [0.1, 0.1, 0.1])])
    assert found.ranks.tolist() == [1, 1, 3]


def test_a_ranking_that_holds_on_every_case_is_perfectly_stable():
    rows = np.random.default_rng(1).uniform(0, 0.1, (3, 8)) + np.array([[0.8], [0.6], [0.4]])
    found = stability(["a", "b", "c"], [dsc(*rows)], draws=200)
    assert np.array_equal(found.frequency, np.eye(3))
    assert (found.low.tolist(), found.high.tolist()) == ([1, 2, 3], [1, 2, 3])
    assert np.all(found.tau == 1)


def test_stability_of_one_deciding_case_is_the_chance_to_draw_it():
    """a beats b on one case of four and ties on the others: b is level when that case is not drawn, (3/4)^4."""
    found = stability(["a", "b"], [dsc([0.9, 0.5, 0.5, 0.5], [0.1, 0.5, 0.5, 0.5])], draws=20000, seed=3)
    assert found.frequency[0].tolist() == [1.0, 0.0]
    assert found.frequency[1, 0] == pytest.approx(0.75**4, abs=0.01)
    assert len(found.tau) == round(20000 * found.frequency[1, 1])


def test_the_same_seed_draws_the_same_cases():
    rows = np.random.default_rng(2).uniform(size=(4, 12))
    one, two, other = (stability(list("abcd"), [dsc(*rows)], draws=50, seed=seed) for seed in (5, 5, 6))
    assert np.array_equal(one.tau, two.tau)
    assert not np.array_equal(one.frequency, other.frequency)


def test_both_schemes_rank_drawn_cases_as_they_rank_the_whole():
    """One case drawn again and again is that case: every drawn ranking equals the whole one."""
    table = [dsc([0.9], [0.5], [0.7]), seconds([3.0], [1.0], [2.0], weight=0.5)]
    for scheme in ("rank-then-aggregate", "aggregate-then-rank"):
        rules = Rules(scheme=scheme)
        found = stability(["a", "b", "c"], table, rules, draws=5)
        assert found.low.tolist() == found.high.tolist() == rank(["a", "b", "c"], table, rules).ranks.tolist()


def test_signed_rank_p_is_the_exact_one():
    """Six differences above 0: one of 2^6 ways of signs is as extreme."""
    assert signed_rank_p(np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])) == pytest.approx(1 / 64)
    assert signed_rank_p(np.zeros(6)) == 1.0


@pytest.mark.parametrize(("count", "tied"), [(1, True), (4, True), (7, True), (14, True), (50, False), (51, False)])
def test_signed_rank_p_is_scipys_own_choice(count, tied):
    """With up to 13 of which some are tied it tries all signs, which is slow."""
    random = np.random.default_rng(count)
    differences = (
        random.integers(1, 4, count) * random.choice([-1.0, 1, 1], count) if tied else random.normal(size=count)
    )
    for some in (differences, -differences, np.r_[differences, 0, 0]):
        expected = scipy.stats.wilcoxon(some[some != 0], alternative="greater").pvalue
        assert signed_rank_p(some) == pytest.approx(expected, rel=1e-9)


def test_few_equal_gains_are_counted_and_not_approximated():
    """One of 2^4 ways of signs; the normal approximation would say 0.023."""
    assert signed_rank_p(np.full(4, 0.1)) == 1 / 16


def test_holm_multiplies_by_what_is_left_and_never_falls():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]


def test_significance_map_has_the_winner_in_its_row():
    rows = np.random.default_rng(4).uniform(0, 0.05, (3, 12)) + np.array([[0.8], [0.7], [0.7]])
    found = significance(dsc(*rows))
    assert found.better.tolist() == [[False, True, True], [False, False, False], [False, False, False]]
    assert found.p[0, 1] == pytest.approx(6 / 2**12)
    slower = significance(seconds(*rows))
    assert not slower.better[0].any()
    assert slower.better[1, 0]


def test_missing_results_count_as_the_worst_in_tests():
    whole, gone = [0.5 + i / 100 for i in range(8)], [NAN] * 8
    assert significance(dsc(whole, gone)).better[0, 1]


@pytest.mark.parametrize(
    ("names", "table", "said"),
    [
        (["a", "a"], [dsc([1], [2])], "two algorithms are called 'a'"),
        (["a", "b"], [dsc([1])], "do not fit 2 algorithms"),
        (["a"], [], "at least one metric"),
        (["a"], [dsc([1], weight=0)], "weight above 0"),
        (["a"], [dsc([])], "do not fit"),
    ],
)
def test_tables_that_cannot_be_ranked(names, table, said):
    with pytest.raises(InputError, match=said):
        rank(names, table)
