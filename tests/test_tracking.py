"""The one loop, with an engine that follows grey values."""

import numpy as np
import pytest

from fake_engine import FakeEngine
from voxtrace.courses import BOX_LIMIT, EDGE, MET, Course, plan, plan_onward, plan_unordered
from voxtrace.feature_cache import FeatureCache
from voxtrace.memory import Fifo, SelfSorting
from voxtrace.prompts import FramePrompt
from voxtrace.tracking import EndOfObject, Stop, Tracked, Walk, begin, propagate
from voxtrace.view import Square, Whole, view_around

SHAPE = (9, 20, 24)


def scan(*spans, shape=SHAPE):
    """Frames with bright squares of grey 100, 150, 200 in columns of their own, each on its span of frames."""
    array = np.zeros(shape, np.uint8)
    for n, (start, stop) in enumerate(spans):
        array[start:stop, 6:10, 2 + 7 * n : 6 + 7 * n] = 100 + 50 * n
    return [np.repeat(frame[..., None], 3, axis=2) for frame in array]


def truth(n, shape=SHAPE):
    mask = np.zeros(shape[1:], bool)
    mask[6:10, 2 + 7 * n : 6 + 7 * n] = True
    return FramePrompt(mask=mask)


def walk_from(features, start, step=1, n=0, stop=None, view=None, **options):
    """A walk of object n, prompted by its mask on frame `start`, to the end of the scan."""
    marked = begin(features, start, view or Whole(), {n: truth(n)})
    order = range(start + 1, len(features.frames)) if step > 0 else range(start - 1, -1, -1)
    return Walk(n, marked, Course(start, step, order, EDGE), stop, **options)


def followed(events):
    return [event.frame for event in events if isinstance(event, Tracked)]


def stops(events):
    return [event for event in events if isinstance(event, Stop)]


def test_plan_walks_both_ways_to_the_edges():
    assert plan([4], (), 9) == [Course(4, -1, range(3, -1, -1), EDGE), Course(4, 1, range(5, 9), EDGE)]


def test_plan_stays_within_the_limits_of_a_3d_box():
    assert plan([4], [range(2, 7)], 9) == [
        Course(4, -1, range(3, 1, -1), BOX_LIMIT),
        Course(4, 1, range(5, 7), BOX_LIMIT),
    ]


def test_plan_lets_two_prompts_meet_halfway_and_looks_at_every_frame_once():
    courses = plan([6, 1], (), 9)
    assert [c.end for c in courses] == [EDGE, MET, MET, EDGE]
    assert courses[1:3] == [Course(1, 1, range(2, 4), MET), Course(6, -1, range(5, 3, -1), MET)]
    assert sorted([1, 6, *(f for c in courses for f in c.order)]) == list(range(9))


def test_plan_widens_limits_to_a_prompt_outside_them():
    assert plan([1, 5], [range(4, 7)], 9)[0].order == range(0, 0, -1)


def test_plan_onward_goes_forward_only_from_the_first_prompt():
    assert plan_onward([5, 2], (), 9) == [Course(2, 1, range(3, 9), EDGE)]


def test_plan_unordered_visits_all():
    assert plan_unordered([5, 2], (), 9) == [Course(2, 0, range(9), EDGE)]


def test_two_objects_and_both_directions_encode_each_frame_once():
    engine = FakeEngine()
    features = FeatureCache(engine, scan((0, 9), (0, 9)))
    walks = [walk_from(features, start, step, n) for n, start in ((0, 4), (1, 2)) for step in (1, -1)]
    list(propagate(features, walks, Fifo()))
    assert engine.encoded == 9


def test_objects_on_the_same_frame_are_followed_in_one_call():
    engine = FakeEngine()
    features = FeatureCache(engine, scan((0, 9), (0, 9)))
    list(propagate(features, [walk_from(features, 1, n=0), walk_from(features, 4, n=1)], Fifo()))
    assert engine.followed == [1, 1, 1, 2, 2, 2, 2]  # frames 2, 3, 4 with object 0 alone, 5..8 with both


def test_each_frame_is_yielded_once_in_walk_order():
    features = FeatureCache(FakeEngine(), scan((0, 9)))
    assert followed(propagate(features, [walk_from(features, 6, -1)], Fifo())) == [5, 4, 3, 2, 1, 0]


def test_prompted_frames_on_the_way_are_passed_over():
    features = FeatureCache(FakeEngine(), scan((0, 9)))
    marked = [begin(features, frame, Whole(), {0: truth(0)})[0] for frame in (2, 5)]
    walk = Walk(0, marked, Course(2, 1, range(3, 9), EDGE))
    assert followed(propagate(features, [walk], Fifo())) == [3, 4, 6, 7, 8]


def test_a_walk_to_the_edge_says_so():
    features = FeatureCache(FakeEngine(), scan((0, 9)))
    assert stops(propagate(features, [walk_from(features, 6)], Fifo())) == [Stop(0, 6, 1, 8, EDGE)]


def test_a_walk_of_no_frames_still_says_why_it_ended():
    features = FeatureCache(FakeEngine(), scan((0, 9)))
    assert stops(propagate(features, [walk_from(features, 8)], Fifo())) == [Stop(0, 8, 1, 8, EDGE)]


@pytest.mark.parametrize(("patience", "looked_at"), [(1, [3, 4, 5]), (2, [3, 4, 5, 6])])
def test_a_walk_stops_where_the_object_ends_after_patience_empty_frames(patience, looked_at):
    features = FeatureCache(FakeEngine(), scan((0, 5)))
    events = list(propagate(features, [walk_from(features, 2, stop=EndOfObject(patience))], Fifo()))
    assert followed(events) == looked_at
    assert stops(events) == [Stop(0, 2, 1, 4, "object ended at z=4")]


def test_a_mask_below_min_pixels_ends_the_object_and_comes_back_empty():
    frames = scan((0, 9))
    frames[5][6:9, 2:6] = 0  # 4 of 16 pixels are left
    features = FeatureCache(FakeEngine(), frames)
    events = list(propagate(features, [walk_from(features, 3, stop=EndOfObject(1, min_pixels=5))], Fifo()))
    assert stops(events)[0].last == 4
    assert not (events[1].logits > 0).any()


def test_an_object_that_returns_within_patience_goes_on():
    frames = scan((0, 9))
    frames[5][:] = 0

    class Remembering(FakeEngine):
        """Takes the oldest memory, so that one empty frame is not the end."""

        def follow(self, features, recalled):
            oldest = [type(r)(r.memories[:1], r.pointers) for r in recalled]
            return super().follow(features, oldest)

    features = FeatureCache(Remembering(), frames)
    events = list(propagate(features, [walk_from(features, 3, stop=EndOfObject(2))], Fifo()))
    assert followed(events) == [4, 5, 6, 7, 8]
    assert stops(events)[0].reason == EDGE


def test_a_marked_frame_on_the_way_is_one_with_the_object():
    frames = scan((0, 3))
    frames[1][:] = 0
    features = FeatureCache(FakeEngine(), frames)
    marked = [begin(features, frame, Whole(), {0: truth(0)})[0] for frame in (0, 2)]
    walk = Walk(0, marked, Course(0, 1, range(1, 9), EDGE), EndOfObject(2))
    events = list(propagate(features, [walk], Fifo()))
    assert followed(events) == [1, 3, 4]
    assert not any((e.logits > 0).any() for e in events if isinstance(e, Tracked))
    assert stops(events) == [Stop(0, 0, 1, 2, "object ended at z=2")]


def test_a_walk_that_ends_on_a_marked_frame_keeps_it():
    features = FeatureCache(FakeEngine(), scan((0, 9)))
    marked = [begin(features, frame, Whole(), {0: truth(0)})[0] for frame in (2, 8)]
    walk = Walk(0, marked, Course(2, 1, range(3, 9), EDGE), EndOfObject(2))
    assert stops(propagate(features, [walk], Fifo())) == [Stop(0, 2, 1, 8, EDGE)]


def test_an_object_absent_on_the_last_frame_ended_before_it():
    features = FeatureCache(FakeEngine(), scan((0, 8)))
    events = list(propagate(features, [walk_from(features, 5, stop=EndOfObject(2))], Fifo()))
    assert stops(events)[0].reason == "object ended at z=7"


def test_without_a_stop_rule_the_walk_goes_on_through_empty_frames():
    features = FeatureCache(FakeEngine(), scan((0, 5)))
    assert followed(propagate(features, [walk_from(features, 2)], Fifo())) == [3, 4, 5, 6, 7, 8]


def test_logits_come_back_at_the_frame_size_through_a_window():
    features = FeatureCache(FakeEngine(), scan((0, 9)))
    view = Square(y=3, x=1, side=10)
    events = list(propagate(features, [walk_from(features, 4, view=view)], Fifo()))
    assert np.array_equal(events[0].logits > 0, truth(0).mask)
    assert features.engine.encoded_shapes == [(10, 10, 3)] * 5


def test_the_window_goes_with_an_object_that_moves():
    frames = [np.zeros((40, 90, 3), np.uint8) for _ in range(9)]
    for index, frame in enumerate(frames):
        frame[10:18, 6 + 6 * index : 14 + 6 * index] = 100
    features = FeatureCache(FakeEngine(), frames)
    walk = moving_walk(features, frames[0])

    events = list(propagate(features, [walk], Fifo()))

    assert all(np.array_equal(e.logits > 0, frames[e.frame][..., 0] > 0) for e in events if isinstance(e, Tracked))
    assert followed(events) == list(range(1, 9))
    assert {e.view.side for e in events if isinstance(e, Tracked)} == {16}, "it moves; it need not grow"
    assert events[-2].view.x > events[0].view.x


def test_the_window_grows_with_an_object_that_grows():
    frames = [np.zeros((90, 90, 3), np.uint8) for _ in range(6)]
    for index, frame in enumerate(frames):
        reach = 4 + 6 * index
        frame[45 - reach : 45 + reach, 45 - reach : 45 + reach] = 100
    features = FeatureCache(FakeEngine(), frames)

    events = list(propagate(features, [moving_walk(features, frames[0])], Fifo()))

    assert all(np.array_equal(e.logits > 0, frames[e.frame][..., 0] > 0) for e in events if isinstance(e, Tracked))
    assert isinstance(events[-2].view, Whole)


def test_an_object_in_a_moved_window_is_followed_from_where_it_was_before():
    frames = leaping()
    features = FeatureCache(engine := FakeEngine(), frames)

    list(propagate(features, [moving_walk(features, frames[0])], Fifo()))

    last = engine.recalled[-1].memories[-1][0]
    assert last.frame == 1
    assert last.mask.sum() == 16 * 15, "the memory of the frame before was made anew in the window looked through"


def test_windows_stay_where_no_zoom_is_given():
    frames = scan((0, 9))
    frames[6][6:16, 2:6] = 100  # grows downwards, out of the window
    features = FeatureCache(FakeEngine(), frames)
    view = Square(y=3, x=1, side=10)
    events = list(propagate(features, [walk_from(features, 4, view=view)], Fifo()))
    assert {e.view for e in events if isinstance(e, Tracked)} == {view}


def leaping():
    """A piece that leaves its window of 32 pixels with the third frame."""
    frames = [np.zeros((40, 90, 3), np.uint8) for _ in range(3)]
    for frame, x in zip(frames, (6, 14, 28), strict=True):
        frame[10:26, x : x + 15] = 100
    return frames


def moving_walk(features, first_frame):
    mask = FramePrompt(mask=first_frame[..., 0] > 0)
    view = view_around(mask.extent_xy(), first_frame.shape[:2], 2.0)
    marked = begin(features, 0, view, {1: mask})
    return Walk(1, marked, Course(0, 1, range(1, len(features.frames)), EDGE), zoom=2.0)


def test_the_batch_of_an_engine_is_used_ahead_and_frames_are_still_encoded_once():
    engine = FakeEngine(batch=4)
    features = FeatureCache(engine, scan((0, 9)))
    list(propagate(features, [walk_from(features, 0)], Fifo()))
    assert engine.batches == [1, 4, 4]


def test_the_cache_forgets_the_least_recently_used_frame():
    engine = FakeEngine()
    features = FeatureCache(engine, scan((0, 9)), size=2)
    for frame in (0, 1, 0, 2, 0):
        features(Whole(), frame)
    assert engine.encoded == 3
    features(Whole(), 1)
    assert engine.encoded == 4


def test_a_self_sorting_draw_does_not_depend_on_the_objects_followed_beside():
    def frames_recalled(objects):
        engine = FakeEngine()
        features = FeatureCache(engine, scan((0, 40), (0, 40), shape=(40, 20, 24)))
        memory = SelfSorting(recall_count=3)
        list(propagate(features, [walk_from(features, 0, n=n) for n in objects], memory))
        return [[e.frame for e, _ in r.memories] for r in engine.recalled]

    assert frames_recalled([0, 1])[::2] == frames_recalled([0])


@pytest.mark.parametrize(
    ("pixels", "marked", "absent"),
    [(9, 100, True), (10, 100, False), (300, 100, False), (301, 100, True), (301, 0, False), (0, 0, True)],
)
def test_a_mask_far_smaller_or_larger_than_where_it_was_marked_is_not_the_object(pixels, marked, absent):
    logits = np.full((20, 20), -5.0, np.float32)
    logits.flat[:pixels] = 5.0
    rule = EndOfObject(least=0.1, most=3.0)

    assert rule.absent(logits, 8.0, marked) is absent
    assert rule.absent(logits, -1.0, marked), "the net's own word comes first"


def shown(engine):
    """What each followed frame's nets were shown: (frame, weight) of the earlier ones."""
    return [[(entry.frame, round(weight, 3)) for entry, weight in recalled.shown] for recalled in engine.recalled]


class LooksAtTheFrameBefore(FakeEngine):
    """As hinted nets do: it goes by the frame that it is shown first, not by its memories."""

    def follow(self, features, recalled):
        before = [type(r)(((r.shown[0][0], 1),)) for r in recalled]
        decoded = super().follow(features, before)
        self.recalled[-len(recalled) :] = recalled
        return decoded


def test_the_last_frames_and_the_marked_one_are_shown_by_weight():
    features = FeatureCache(engine := FakeEngine(), scan((0, 9)))
    list(propagate(features, [walk_from(features, 4)], Fifo()))
    assert shown(engine) == [
        [(4, 1.0)],
        [(5, 1.0), (4, 0.5)],
        [(6, 1.0), (5, 0.5), (4, 0.81)],
        [(7, 1.0), (6, 0.5), (4, 0.729)],
    ]


def test_frames_without_the_object_are_not_shown_as_what_was_before():
    frames = scan((0, 9))
    for gone in (3, 4, 5):
        frames[gone][:] = 0
    features = FeatureCache(engine := LooksAtTheFrameBefore(), frames)
    events = list(propagate(features, [walk_from(features, 1)], Fifo()))
    assert [bool((e.logits > 0).any()) for e in events if isinstance(e, Tracked)] == [True, *[False] * 3, *[True] * 3]
    assert [[frame for frame, _ in one] for one in shown(engine)] == [
        [1],
        [2, 1],
        [2, 1],
        [2, 1],
        [2, 1],
        [6, 2, 1],
        [7, 6, 1],
    ]


def test_where_absence_is_the_end_a_frame_without_the_object_is_shown_as_it_is():
    features = FeatureCache(engine := LooksAtTheFrameBefore(), scan((0, 3)))
    list(propagate(features, [walk_from(features, 1, stop=EndOfObject(2))], Fifo()))
    assert [[frame for frame, _ in one] for one in shown(engine)] == [[1], [2, 1], [3, 2, 1]]


def test_in_a_set_without_order_marked_pictures_are_shown_for_their_looks_alone():
    features = FeatureCache(engine := FakeEngine(), scan((0, 4), shape=(4, 20, 24)))
    marked = begin(features, 1, Whole(), {0: truth(0)})
    list(propagate(features, [Walk(0, marked, Course(1, 0, range(4), EDGE))], SelfSorting()))
    assert shown(engine) == [[(1, 1.0)]] * 3
    assert not any(recalled.placed for recalled in engine.recalled)


def test_frames_seen_through_another_window_are_not_shown():
    frames = leaping()
    features = FeatureCache(engine := FakeEngine(), frames)
    list(propagate(features, [moving_walk(features, frames[0])], Fifo()))
    views = {recalled.shown[0][0].mask.shape for recalled in engine.recalled}
    assert shown(engine)[-1][0][0] == 1
    assert views == {(32, 32)}
