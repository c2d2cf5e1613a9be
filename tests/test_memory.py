"""The memory policies, as facts on hand-made entries."""

import numpy as np
import pytest

from fake_engine import FakeEntry, FakeFeatures
from voxtrace.errors import InputError
from voxtrace.memory import Bank, Fifo, SelfSorting

FEATURES = FakeFeatures(np.zeros((2, 2)))


class Key:
    """Features that are nothing but a key."""

    shape = (2, 2)

    def __init__(self, *key: float) -> None:
        self.key = np.array(key, np.float32)


class NoKey:
    """Features whose key must not be computed."""

    shape = (2, 2)

    @property
    def key(self):
        raise AssertionError("the key was computed")


def prompted(*frames):
    return tuple(FakeEntry(frame, prompted=True) for frame in frames)


def walked(memory, bank, frames):
    for frame in frames:
        bank = memory.admit(bank, FakeEntry(frame))
    return bank


def times(items):
    return [(entry.frame, time) for entry, time in items]


def entry(frame, *key, iou=0.9):
    return FakeEntry(frame, iou=iou, key=np.array(key, np.float32), image_key=np.array(key, np.float32))


# Fifo


def test_fifo_recalls_the_prompted_frame_at_time_0_and_the_last_six():
    bank = walked(Fifo(), Bank(prompted(3)), range(4, 14))
    recalled = Fifo().recall(bank, 14, 1, FEATURES)
    assert sorted(times(recalled.memories), key=lambda item: item[1]) == [
        *[(3, 0), (13, 1), (12, 2), (11, 3), (10, 4), (9, 5), (8, 6)]
    ]


def test_fifo_looks_back_along_the_direction_of_the_walk():
    bank = walked(Fifo(), Bank(prompted(9)), (8, 7, 6))
    recalled = Fifo().recall(bank, 5, -1, FEATURES)
    assert sorted(times(recalled.memories), key=lambda item: item[1]) == [(9, 0), (6, 1), (7, 2), (8, 3)]


def test_fifo_recalls_fifteen_pointers_behind_and_the_prompted_one():
    bank = walked(Fifo(), Bank(prompted(0)), range(1, 30))
    assert times(Fifo().recall(bank, 30, 1, FEATURES).pointers) == [(0, 30), *((30 - d, d) for d in range(1, 16))]


def test_fifo_takes_no_pointer_from_a_prompted_frame_ahead_but_its_memory():
    bank = walked(Fifo(), Bank(prompted(2, 9)), (3, 4))
    recalled = Fifo().recall(bank, 5, 1, FEATURES)
    assert (9, 0) in times(recalled.memories)
    assert times(recalled.pointers) == [(2, 3), (4, 1), (3, 2)]


def test_fifo_with_few_conditioning_frames_takes_the_nearest_before_then_after_then_others():
    bank = Bank(prompted(0, 10, 20, 30, 40))
    assert times(Fifo(conditioning=2).recall(bank, 33, 1, FEATURES).memories) == [(30, 0), (40, 0)]
    assert {f for f, _ in times(Fifo(conditioning=3).recall(bank, 33, 1, FEATURES).memories)} == {20, 30, 40}


def test_fifo_counts_an_unchosen_prompted_frame_near_by_as_followed():
    bank = Bank(prompted(4, 5, 6, 9))
    recalled = Fifo(conditioning=2).recall(bank, 7, 1, FEATURES)
    assert times(recalled.memories) == [(6, 0), (9, 0), (4, 3), (5, 2)]
    assert times(recalled.pointers) == [(6, 1), (5, 2), (4, 3)]


def test_fifo_keeps_no_more_than_it_can_recall():
    assert len(walked(Fifo(), Bank(prompted(0)), range(1, 100)).followed) == 15


def test_fifo_measures_pointer_time_in_a_short_scan_by_its_length():
    assert Fifo().recall(Bank(prompted(0), num_frames=5), 1, 1, FEATURES).pointer_span == 4
    assert Fifo().recall(Bank(prompted(0), num_frames=300), 1, 1, FEATURES).pointer_span == 15


def test_fifo_never_computes_a_key():
    assert Fifo().recall(Bank(prompted(0)), 1, 1, NoKey()).memories


@pytest.mark.parametrize("memories", [-1, 7, 8])
def test_fifo_refuses_to_look_back_farther_than_the_nets_learned(memories):
    with pytest.raises(InputError, match=rf"last {memories} frames.*Fifo\(memories=6\)"):
        Fifo(memories=memories)


# SelfSorting, the paper's rule


def test_paper_rule_admits_only_above_the_threshold():
    memory = SelfSorting(threshold=0.8)
    bank = memory.admit(Bank(), entry(1, 1, 0, iou=0.8))
    assert bank.followed == ()
    assert len(memory.admit(bank, entry(2, 1, 0, iou=0.81)).followed) == 1


def test_paper_rule_keeps_the_entries_of_largest_total_dissimilarity():
    memory, bank = SelfSorting(size=3), Bank()
    for frame, degrees in enumerate((0, 10, 120, 240)):
        bank = memory.admit(bank, entry(frame, np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))))
    # D = 3.015, 3.000, 4.342, 4.643
    assert [e.frame for e in bank.followed] == [0, 2, 3]


def test_paper_rule_lets_the_older_win_a_tie():
    memory = SelfSorting(size=2)
    bank = Bank(followed=(entry(0, 1, 0), entry(1, 1, 0)))
    assert [e.frame for e in memory.admit(bank, entry(2, 1, 0)).followed] == [0, 1]


def test_paper_rule_draws_distinct_entries():
    bank = Bank(followed=tuple(entry(f, 1, f) for f in range(16)))
    for frame in range(50):
        drawn = SelfSorting().recall(bank, frame, 0, Key(1, 1)).memories
        assert len({e.frame for e, _ in drawn}) == 6


def test_paper_rule_recalls_a_small_bank_whole():
    bank = Bank(followed=(entry(4, 1, 0), entry(7, 0, 1)))
    assert times(SelfSorting().recall(bank, 9, 0, Key(1, 0)).memories) == [(4, None), (7, None)]


# SelfSorting, the released rule


def test_released_rule_fills_whatever_the_confidence():
    memory = SelfSorting("released", size=2)
    bank = memory.admit(memory.admit(Bank(), entry(0, 1, 0, iou=0.0)), entry(1, 1, 0, iou=0.0))
    assert len(bank.followed) == 2


@pytest.fixture
def full():
    """Entry 2 is the least like the newcomer (-1, 0.2); its nearest neighbour in the bank is 1."""
    return Bank(followed=(entry(0, 0, 1, iou=0.9), entry(1, 1, 0.2, iou=0.9), entry(2, 1, 0, iou=0.9)))


def test_released_rule_replaces_the_nearest_neighbour_of_the_entry_least_like_the_newcomer(full):
    memory = SelfSorting("released", size=3)
    assert [e.frame for e in memory.admit(full, entry(3, -1, 0.2)).followed] == [0, 2, 3]


def test_released_rule_keeps_the_bank_if_the_newcomer_is_nearer_than_the_neighbour():
    bank = Bank(followed=(entry(0, 1, 0), entry(1, 0, 1)))
    assert SelfSorting("released", size=2).admit(bank, entry(2, 1, 1)).followed == bank.followed


def test_released_rule_admits_a_newcomer_worse_by_less_than_the_margin_only(full):
    memory = SelfSorting("released", size=3, margin=0.1)
    assert memory.admit(full, entry(3, -1, 0.2, iou=0.81)).followed != full.followed
    assert memory.admit(full, entry(3, -1, 0.2, iou=0.79)).followed == full.followed


def test_released_rule_draws_with_replacement_always_the_same_number():
    bank = Bank(followed=(entry(0, 1, 0), entry(1, 0, 1)))
    for frame in range(20):
        assert len(SelfSorting("released", recall_count=4).recall(bank, frame, 0, Key(1, 0)).memories) == 4


# SelfSorting, both rules


@pytest.mark.parametrize("rule", ["paper", "released"])
def test_entries_like_the_frame_are_drawn_more_often(rule):
    bank = Bank(followed=tuple(entry(f, *((1, 0) if f < 4 else (-1, 0))) for f in range(8)))
    memory = SelfSorting(rule, recall_count=3, temperature=0.2)
    drawn = [e.frame for frame in range(200) for e, _ in memory.recall(bank, frame, 0, Key(1, 0)).memories]
    assert np.mean(np.array(drawn) < 4) > 0.95


@pytest.mark.parametrize("rule", ["paper", "released"])
def test_a_draw_depends_on_seed_frame_and_bank_only(rule):
    bank = Bank(followed=tuple(entry(f, 1, f) for f in range(16)))
    memory = SelfSorting(rule)
    alone = times(memory.recall(bank, 5, 0, Key(1, 1)).memories)
    for other in range(20):  # calls for other objects in between, as in a batch
        memory.recall(bank, other, 0, Key(1, other))
    assert times(memory.recall(bank, 5, 0, Key(1, 1)).memories) == alone
    others = [times(SelfSorting(rule, seed=s).recall(bank, 5, 0, Key(1, 1)).memories) for s in range(1, 9)]
    assert any(other != alone for other in others)


@pytest.mark.parametrize("rule", ["paper", "released"])
def test_prompted_entries_stay_and_are_recalled_at_time_0(rule):
    memory = SelfSorting(rule, size=2)
    bank = Bank(prompted(0))
    for frame in range(1, 20):
        bank = memory.admit(bank, entry(frame, frame, 1))
    assert len(bank.followed) == 2
    assert times(memory.recall(bank, 20, 0, Key(1, 1)).memories)[0] == (0, 0)


@pytest.mark.parametrize("rule", ["paper", "released"])
def test_prompted_entries_can_be_sorted_as_any_other(rule):
    memory = SelfSorting(rule, size=2, keep_prompted=False)
    bank = Bank((FakeEntry(0, True, key=np.float32([1, 0])),))
    for e in (entry(1, 1, 0.01), entry(2, -1, 0), entry(3, 0.1, 1)):
        bank = memory.admit(bank, e)
    assert len(bank.prompted) + len(bank.followed) == 2
    assert all(time is None for _, time in memory.recall(bank, 4, 0, Key(1, 0)).memories)


def test_a_set_recalls_pointers_of_prompted_frames_only():
    memory = SelfSorting()
    bank = memory.admit(Bank(prompted(7)), entry(1, 1, 0))
    assert times(memory.recall(bank, 2, 0, Key(1, 0)).pointers) == [(7, 0)]


def test_a_volume_recalls_pointers_of_the_frames_behind_even_if_not_admitted():
    memory = SelfSorting(threshold=0.95)
    bank = walked(memory, Bank(prompted(2)), (3, 4))
    assert bank.followed == ()
    assert times(memory.recall(bank, 5, 1, Key(1, 0)).pointers) == [(2, 3), (4, 1), (3, 2)]


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="'paper' or 'released'"):
        SelfSorting("papers")  # type: ignore[arg-type]
