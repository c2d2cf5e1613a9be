"""The history of what a person said: labels and names."""

import pytest

from blocks import BOX_A, BOX_B, A, B, block, session
from voxtrace.errors import PromptError
from voxtrace.prompts import Point

NEGATIVE = Point(4, 8, 5, positive=False)


def names(work):
    return {o.label: o.name for o in work.objects}


def test_an_object_that_is_added_again_after_undo_keeps_its_label():
    work = session().add(BOX_A)
    work.undo()
    work.add(BOX_A).correct(Point(4, 7, 4))
    assert names(work) == {1: "object 1"}


def test_an_object_that_is_added_again_after_its_removal_keeps_its_label():
    work = session().add(BOX_A, 1).remove(1).add(BOX_A, 1).add(BOX_B, 1)
    assert names(work) == {1: "object 1"}


def test_labels_asked_for_by_number_are_given_and_others_go_around_them():
    work = session().add(BOX_A, 3).add(BOX_A, "a").remove(3).add(BOX_A, "b").add(BOX_B, 3)
    assert names(work) == {1: "a", 2: "b", 3: "object 3"}


def test_a_default_name_that_is_taken_is_told_apart():
    work = session().add(BOX_A, "object 2").add(BOX_B, 2).add(BOX_B, 2)
    assert names(work) == {1: "object 2", 2: "object 2 (2)"}


def test_names_and_labels_stay_unique_in_any_order_of_changes():
    work = session()
    for n, change in enumerate([work.add] * 3 + [lambda _, o: work.remove(o), lambda *_: work.undo()] * 2):
        for object in (1, "object 2", 2, "a", 3, 1 + n % 3):
            try:
                change(BOX_A, object)
            except PromptError:  # nothing to remove
                continue
            assert len({o.name for o in work.objects}) == len({o.label for o in work.objects}) == len(work.objects)


def test_the_mask_of_an_object_that_is_gone_is_not_the_new_ones():
    work = session().add(BOX_A, 1)
    work.run()
    work.remove(1).add(BOX_B, 1)
    with pytest.raises(PromptError, match="has no mask yet"):
        work.lock(1)
    result = work.correct(Point(4, 9, 15), 1).run()
    assert (result.mask(1) == block(B)).all()


def test_an_object_whose_removal_is_undone_has_its_mask_still():
    work = session().add(BOX_A, 1)
    work.run()
    work.remove(1).undo()
    assert (work.lock(1).run().mask(1) == block(A)).all()
