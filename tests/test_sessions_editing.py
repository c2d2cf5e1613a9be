"""What a person changes after a run: corrections, undo and redo, locks, overlaps."""

import numpy as np
import pytest

from blocks import BOX_A, BOX_B, SHAPE, A, B, block, scan, session
from fake_engine import FakeEngine
from voxtrace.errors import PromptError
from voxtrace.prompts import Box, MaskPrompt, Point
from voxtrace.volume import Volume

# Corrections


def leaking():
    """The block A is joined by a bridge to more of the same grey, from slice 5 on."""
    array = scan().array.copy()
    array[B] = 0
    array[5:8, 8:10, 8:20] = 100
    return Volume(array)


def test_a_correction_starts_from_the_current_mask_and_takes_effect_on_neighbours():
    engine = FakeEngine()
    work = session(engine, leaking()).add(BOX_A)
    before = work.run()
    assert before.mask(1)[5:8, 9, 15].all()
    right = np.zeros((9, 20, 24), bool)
    right[5] = block(A)[5]
    negatives = [Point(5, 9, x, positive=False) for x in range(8, 20)]
    after = work.correct(negatives).run()
    prompt = engine.begun[-1][0]
    assert np.array_equal(prompt.mask, before.mask(1)[5])
    assert (prompt.labels == 0).all()
    assert len(prompt.labels) == 12
    assert not after.mask(1)[5, 9, 15]
    assert after.prompted == {"object 1": (4, 5)}
    assert any(e.frame == 5 and time == 0 for r in engine.recalled for e, time in r.memories)


def test_a_correction_where_the_object_is_not_drawn_yet_is_a_plain_prompt():
    engine = FakeEngine()
    work = session(engine).add(Box(2, 6, 3, 5, 12, 8))
    work.run()
    work.correct(Point(7, 8, 5)).run()
    assert engine.begun[-1][0].mask is None


@pytest.mark.parametrize("marked", [BOX_A, Point(5, 8, 5)], ids=["same slice", "another slice"])
def test_a_mask_given_as_a_correction_takes_the_place_of_the_old_one(marked):
    given = block(np.s_[4:5, 7:11, 4:8])
    work = session().add(marked)
    assert work.run().mask(1)[4].sum() == 30
    assert np.array_equal(work.correct(MaskPrompt(given)).run().mask(1)[4], given[4])


def test_a_click_after_a_mask_given_as_a_correction_starts_from_that_mask():
    given = block(np.s_[4:5, 7:11, 4:8])
    work = session(engine := FakeEngine()).add(BOX_A)
    work.run()
    work.correct(MaskPrompt(given)).run()
    work.correct(Point(4, 7, 4, positive=False)).run()
    prompt = engine.begun[-1][0]
    assert np.array_equal(prompt.mask, given[4])
    assert prompt.labels.tolist() == [0]


@pytest.mark.parametrize("name", ["a", "new"])
def test_only_negative_points_are_refused_when_they_are_added_and_nothing_is_added(name):
    work = session().add(BOX_A, "a")
    before = work.objects
    with pytest.raises(PromptError, match=f"'{name}' has only negative points at z=3"):
        work.add(Point(3, 8, 5, positive=False), name)
    assert work.objects == before
    assert np.array_equal(work.run().mask("a"), block(A))


def test_only_negative_points_are_refused_as_a_correction_where_nothing_is_drawn():
    work = session().add(BOX_A, "a")
    first = work.run().labels
    with pytest.raises(PromptError, match="only negative points at z=0"):
        work.correct(Point(0, 8, 5, positive=False), "a")
    assert np.array_equal(work.run().labels, first)


def test_a_refused_object_uses_no_label():
    work = session()
    with pytest.raises(PromptError, match="only negative points"):
        work.add(Point(3, 8, 5, positive=False), "a")
    assert [o.label for o in work.add(BOX_A, "b").objects] == [1]


def test_negative_points_may_be_added_to_a_box_of_the_same_slice():
    work = session().add(BOX_A).add(Point(4, 6, 3, positive=False))
    assert not work.run().mask(1)[4, 6, 3]


# Undo, redo


def test_undo_and_redo_a_hundred_times_give_the_identical_result():
    work = session()
    rng = np.random.default_rng(3)
    for _ in range(100):
        where, name = [(A, "a"), (B, "b")][rng.integers(2)]
        z = int(rng.integers(where[0].start, where[0].stop))
        y, x = rng.integers((0, 0), SHAPE[1:])
        work.add([Box.on_slice(z, *(s.start for s in where[1:]), *(s.stop for s in where[1:])), Point(z, y, x)], name)
    before = work.run()
    for _ in range(100):
        assert work.undo()
    assert not work.undo()
    assert work.objects == ()
    for _ in range(100):
        assert work.redo()
    assert not work.redo()
    after = work.run()
    assert np.array_equal(before.labels, after.labels)
    assert before.stops == after.stops
    assert all(np.array_equal(before.confidence[n], after.confidence[n], equal_nan=True) for n in before.confidence)


def test_a_change_after_undo_forgets_what_was_undone():
    work = session().add(BOX_A, "a").add(BOX_B, "b")
    work.undo()
    work.add(BOX_B, "c")
    assert not work.redo()
    assert [o.name for o in work.objects] == ["a", "c"]


def test_undo_of_one_object_walks_no_other_again():
    engine = FakeEngine()
    work = session(engine).add(BOX_A, "a").add(BOX_B, "b")
    first = work.run()
    work.add(Point(3, 8, 5), "a").run()
    calls = len(engine.begun)
    work.undo()
    assert np.array_equal(work.run().labels, first.labels)
    assert len(engine.begun) == calls


# Locks and overlaps


def test_locked_objects_never_change_in_a_thousand_random_edits():
    rng = np.random.default_rng(11)
    work = session(volume=Volume(rng.integers(0, 3, (4, 8, 9), np.uint8) * 60))
    frozen: dict = {}  # the track of a locked object -> the mask that was shown when it was locked
    changed = checked = 0
    for edit in range(1000):
        try:
            random_edit(work, rng, frozen)
            result = work.run() if edit % 4 == 0 else None
        except PromptError:  # of an unknown or locked object, or of a run without objects
            continue
        for o in work.objects if result is not None else ():
            if o.locked is not None:
                changed += int((result.mask(o.label) != frozen[o.locked]).sum())
                checked += int(frozen[o.locked].sum())
    assert checked > 1000
    assert changed == 0


def random_edit(work, rng, frozen):
    name = "abcd"[rng.integers(4)]
    z, y, x = (int(v) for v in rng.integers((0, 0, 0), (4, 7, 8)))
    prompt = Box.on_slice(z, y, x, y + 2, x + 2) if rng.random() < 0.5 else Point(z, y, x)
    match rng.integers(8):
        case 0 | 1:
            work.add(prompt, name)
        case 2:
            work.correct(Point(z, y, x, positive=bool(rng.random() < 0.5)), name)
        case 3:
            work.remove(name)
        case 4:
            others = [frozen[o.locked] for o in work.objects if o.locked is not None and o.name != name]
            work.lock(name)
            locked = next(o for o in work.objects if o.name == name)
            # What others hold locked is never this object's, even if an undone lock comes back between two runs.
            own = np.logical_and.reduce([work.result.mask(locked.label), *(~other for other in others)])
            frozen.setdefault(locked.locked, own)
        case 5:
            work.unlock(name)
        case 6:
            work.undo()
        case 7:
            work.redo()


def test_a_locked_object_looks_as_it_did_and_cuts_the_others():
    work = session().add(BOX_A, "a")
    before = work.run().mask("a")
    work.lock("a").add(MaskPrompt(np.ones(SHAPE, bool)), "all")
    result = work.run()
    assert np.array_equal(result.mask("a"), before)
    assert np.array_equal(result.mask("all"), ~before)


def test_a_locked_object_is_not_walked_and_keeps_its_record():
    engine = FakeEngine()
    work = session(engine).add(BOX_A, "a")
    first = work.run()
    work.lock("a")
    calls = len(engine.followed)
    second = work.run()
    assert len(engine.followed) == calls
    assert second.stops == first.stops


@pytest.mark.parametrize("change", [lambda s: s.add(BOX_A, "a"), lambda s: s.remove("a")])
def test_a_locked_object_refuses_changes(change):
    work = session().add(BOX_A, "a")
    work.run()
    work.lock("a")
    with pytest.raises(PromptError, match="'a' is locked; unlock it"):
        change(work)


def test_an_unlocked_object_is_found_from_its_marks_again():
    work = session().add(BOX_A, "a")
    work.run()
    work.lock("a").unlock("a").add(Point(4, 10, 16), "a")
    assert work.run().mask("a")[4, 10, 16]


def test_nothing_can_be_locked_before_a_run():
    with pytest.raises(PromptError, match="run first"):
        session().add(BOX_A, "a").lock("a")


def test_overlaps_go_to_the_larger_logit_or_are_kept():
    rough, exact = MaskPrompt(block(np.s_[4:5, 4:14, 2:10])), Box.on_slice(4, 6, 3, 12, 8)
    settled = session().add(rough, "rough").add(exact, "exact").run()
    assert not (settled.mask("rough") & settled.mask("exact")).any()
    assert settled.mask("exact")[4, 8, 5]  # 21 of the exact grey against 10 of a given mask
    kept = session(overlap="keep").add(rough, "rough").add(exact, "exact").run()
    assert (kept.mask("rough") & kept.mask("exact"))[4, 8, 5]


def test_kept_overlaps_are_still_cut_at_locked_objects():
    work = session(overlap="keep").add(BOX_A, "a")
    work.run()
    work.lock("a").add(MaskPrompt(np.ones(SHAPE, bool)), "all")
    result = work.run()
    assert not (result.mask("a") & result.mask("all")).any()


def test_a_removed_objects_label_is_not_used_again():
    work = session().add(BOX_A, "a").add(BOX_B, "b").remove("a").add(BOX_A, "c")
    assert {o.name: o.label for o in work.objects} == {"b": 2, "c": 3}
