"""Sessions from prompts to label map, with an engine that follows grey values."""

import numpy as np
import pytest

from fake_engine import FakeEngine
from voxtrace.errors import InputError, ModelError, PromptError
from voxtrace.memory import SelfSorting
from voxtrace.prompts import Box, MaskPrompt, Point, Recist, Scribble
from voxtrace.sessions import ImageSession, SetSession, VideoSession, VolumeSession
from voxtrace.courses import EDGE, MET
from voxtrace.view import Square, Whole
from voxtrace.volume import Picture, Video, Volume

SHAPE = (9, 20, 24)
A, B = np.s_[1:8, 6:12, 3:8], np.s_[0:9, 8:14, 14:19]  # two blocks, of grey 100 and 180


def scan(axis=0):
    """Two blocks in a volume whose axis 0 was moved to `axis`; uint8, so that it is shown as it is."""
    array = np.zeros(SHAPE, np.uint8)
    array[A], array[B] = 100, 180
    return Volume(np.ascontiguousarray(np.moveaxis(array, 0, axis)), np.diag([2.0, 1.0, 3.0, 1.0]))


def block(where, axis=0):
    mask = np.zeros(SHAPE, bool)
    mask[where] = True
    return np.moveaxis(mask, 0, axis)


BOX_A, BOX_B = Box.on_slice(4, 6, 3, 12, 8), Box.on_slice(5, 8, 14, 14, 19)


def session(engine=None, volume=None, **options):
    return VolumeSession(engine or FakeEngine(), volume or scan(), **options)


def reasons(result, name):
    return {(stop.start, stop.step): stop.reason for stop in result.stops[name]}


# A volume


@pytest.mark.parametrize(
    "prompt",
    [
        BOX_A,
        Point(4, 8, 5),
        Recist(4, 8, 3, 8, 7),
        Scribble(np.array([[4, 8, 4], [4, 8, 5], [4, 8, 6]])),
        MaskPrompt(block(np.s_[4:5, 6:12, 3:8])),
    ],
    ids=lambda prompt: type(prompt).__name__,
)
def test_one_prompt_on_one_slice_becomes_a_mask_through_the_volume(prompt):
    result = session().add(prompt).run()
    if isinstance(prompt, Recist):  # its box is narrower than the block, on the prompted slice
        assert np.array_equal(result.mask(1)[3], block(A)[3])
    else:
        assert np.array_equal(result.mask(1), block(A))


@pytest.mark.parametrize("axis", [1, 2])
def test_the_label_map_has_file_order_whatever_the_axis(axis):
    volume = scan(axis)
    corners = np.array([[4, 6, 3], [5, 12, 8]])
    start, stop = (np.insert(np.delete(c, 0), axis, c[0]) for c in corners)
    result = session(volume=volume, axis=axis).add(Box(*start, *stop)).run()
    assert result.labels.shape == volume.shape
    assert np.array_equal(result.mask(1), block(A, axis))


def test_the_result_as_a_volume_has_the_scans_geometry():
    volume = scan()
    mask = session(volume=volume).add(BOX_A).run().as_volume()
    assert mask.same_geometry(volume)
    assert mask.array.dtype == np.uint8
    assert mask.array.flags.c_contiguous


def test_objects_have_names_and_labels_in_the_order_of_adding():
    result = session().add(BOX_B, object="right").add(BOX_A, object="left").run()
    assert result.names == {1: "right", 2: "left"}
    assert np.array_equal(result.labels == 2, block(A))
    assert np.array_equal(result.mask("right"), block(B))


def test_stop_reasons_are_recorded_per_direction():
    result = session().add(BOX_A, "a").add(BOX_B, "b").run()
    assert reasons(result, "a") == {(4, -1): "object ended at z=1", (4, 1): "object ended at z=7"}
    assert reasons(result, "b") == {(5, -1): EDGE, (5, 1): EDGE}


def test_a_walk_along_another_axis_names_it():
    result = session(volume=scan(2), axis=2).add(Box(6, 3, 4, 12, 8, 5)).run()
    assert "object ended at x=7" in reasons(result, "object 1").values()


def test_a_3d_box_limits_the_walk():
    result = session().add(Box(3, 8, 14, 7, 14, 19)).run()
    assert np.flatnonzero(result.mask(1).any((1, 2))).tolist() == [3, 4, 5, 6]
    assert set(reasons(result, "object 1").values()) == {"limit of the 3D box"}


def test_two_prompts_meet_in_the_middle():
    engine = FakeEngine()
    result = session(engine).add([Box.on_slice(2, 8, 14, 14, 19), Box.on_slice(7, 8, 14, 14, 19)]).run()
    assert {(2, 1): MET, (7, -1): MET}.items() <= reasons(result, "object 1").items()
    assert len(engine.followed) == 9 - 2  # every frame once
    assert all({e.frame for e, time in r.memories if time == 0} == {2, 7} for r in engine.recalled)
    assert result.prompted == {"object 1": (2, 7)}


def test_confidence_comes_per_slice_and_is_nan_where_nobody_looked():
    confidence = session().add(Box(3, 8, 14, 7, 14, 19)).run().confidence["object 1"]
    assert np.isnan(confidence[[0, 1, 2, 7, 8]]).all()
    assert confidence[3:7] == pytest.approx(0.9 / (1 + np.exp(-5)))


def test_confidence_is_low_where_the_object_was_looked_for_and_not_found():
    assert session().add(BOX_A).run().confidence["object 1"][8] < 0.1


def test_each_slice_is_encoded_once_for_two_objects_and_a_later_correction():
    engine = FakeEngine()
    work = session(engine).add(BOX_A, "a").add(BOX_B, "b")
    work.run()
    work.correct(Point(6, 7, 4, positive=False), "a").run()
    assert engine.encoded == 9


def test_an_object_can_be_added_after_a_run_and_only_it_is_walked():
    engine = FakeEngine()
    work = session(engine).add(BOX_A, "a")
    work.run()
    before = len(engine.begun)
    result = work.add(BOX_B, "b").run()
    assert len(engine.begun) == before + 1
    assert np.array_equal(result.mask("a"), block(A))
    assert np.array_equal(result.mask("b"), block(B))


def test_progress_counts_up_to_the_frames_to_follow():
    seen = []
    session().add(BOX_B).run(lambda done, total: seen.append((done, total)))
    assert seen[-1] == (8, 8)


def test_the_window_is_said_in_words():
    assert session().add(BOX_A).run().window == "as-is"


def test_self_sorting_follows_through_a_volume():
    result = session(memory=SelfSorting(recall_count=3)).add(BOX_A).run()
    assert np.array_equal(result.mask(1), block(A))


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


def test_only_negative_points_are_refused_when_it_runs():
    with pytest.raises(PromptError, match="only negative points at z=3"):
        session().add(Point(3, 8, 5, positive=False)).run()


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


# Zoom


def test_an_object_is_seen_through_its_own_window():
    engine = FakeEngine(zoom=2.0)
    array = np.zeros((4, 90, 120), np.uint8)
    array[:, 40:52, 60:76] = 100
    result = session(engine, Volume(array)).add(Box.on_slice(1, 40, 60, 52, 76)).run()
    assert set(result.views["object 1"].values()) == {Square(y=30, x=52, side=32)}
    assert set(engine.encoded_shapes) == {(32, 32, 3)}
    assert np.array_equal(result.mask(1), array > 0)


def test_a_click_looks_at_the_whole_frame_to_learn_the_size():
    engine = FakeEngine(zoom=2.0)
    array = np.zeros((4, 90, 120), np.uint8)
    array[:, 40:52, 60:76] = 100
    result = session(engine, Volume(array)).add(Point(1, 45, 65)).run()
    assert engine.encoded_shapes == [(90, 120, 3)] + 4 * [(32, 32, 3)]
    assert np.array_equal(result.mask(1), array > 0)


def test_a_window_that_is_too_small_grows():
    engine = FakeEngine(zoom=2.0)
    array = np.zeros((4, 90, 120), np.uint8)
    array[:2, 40:52, 60:76] = 100
    array[2:, 40:52, 42:76] = 100
    result = session(engine, Volume(array)).add(Box.on_slice(1, 40, 60, 52, 76)).run()
    assert [result.views["object 1"][z].side for z in (1, 2)] == [32, 48]
    assert np.array_equal(result.mask(1), array > 0)
    assert all(stop.reason == EDGE for stop in result.stops["object 1"])


def test_objects_with_equal_windows_share_features():
    engine = FakeEngine(zoom=2.0)
    array = np.zeros((4, 90, 120), np.uint8)
    array[:, 40:52, 60:76] = 100
    box = Box.on_slice(1, 40, 60, 52, 76)
    session(engine, Volume(array)).add(box, "a").add(box, "b").run()
    assert engine.encoded == 4


def test_a_correction_keeps_the_window_of_the_run_it_corrects():
    engine = FakeEngine(zoom=2.0)
    array = np.zeros((4, 90, 120), np.uint8)
    array[:2, 40:52, 60:76] = 100
    array[2:, 40:52, 42:76] = 100
    work = session(engine, Volume(array)).add(Box.on_slice(1, 40, 60, 52, 76))
    view = work.run().views
    encoded = engine.encoded
    assert work.correct(Point(2, 45, 45, positive=False)).run().views == view
    assert engine.encoded == encoded


def test_zoom_can_be_switched_off():
    result = session(FakeEngine(zoom=2.0), zoom=None).add(BOX_A).run()
    assert set(result.views["object 1"].values()) == {Whole()}


# Other inputs


def test_an_image_is_segmented_without_following():
    engine = FakeEngine(follows=False)
    pixels = scan().array[4]
    result = ImageSession(engine, Picture(pixels)).add(Box.on_slice(0, 6, 3, 12, 8)).run()
    assert np.array_equal(result.mask(1)[0], pixels == 100)
    assert result.stops == {"object 1": ()}


def test_an_image_model_cannot_follow_through_a_volume():
    with pytest.raises(ModelError, match="cannot follow an object"):
        session(FakeEngine(follows=False)).add(BOX_A).run()


def video(axis=None):
    frames = [np.repeat(frame[..., None], 3, axis=2) for frame in scan().array]
    return Video(frames, SHAPE, fps=25.0)


def test_a_video_is_followed_onward_and_not_stopped_by_an_absent_object():
    result = VideoSession(FakeEngine(), video()).add(BOX_A).run()
    assert np.flatnonzero(result.mask(1).any((1, 2))).tolist() == [4, 5, 6, 7]
    assert reasons(result, "object 1") == {(4, 1): "edge of the video"}
    assert np.isnan(result.confidence["object 1"][:4]).all()


def test_a_video_can_be_followed_backward_too():
    result = VideoSession(FakeEngine(), video(), backward=True).add(BOX_A).run()
    assert np.array_equal(result.mask(1), block(A))


def images():
    """Pictures of different sizes with a square of the same grey in different places."""
    pictures = []
    for n, shape in enumerate([(12, 14), (15, 11), (12, 14)]):
        picture = np.zeros((*shape, 3), np.uint8)
        picture[2 + n : 7 + n, 3 + n : 8 + n] = 150
        pictures.append(picture)
    return pictures


def test_one_prompt_segments_a_whole_set_of_images_of_any_size():
    pictures = images()
    mask = pictures[1][..., 0] > 0
    result = SetSession(FakeEngine(), pictures).add(MaskPrompt(mask), "disc", image=1).run()
    for n, picture in enumerate(pictures):
        assert np.array_equal(result.frame_mask("disc", n), picture[..., 0] > 0)
    with pytest.raises(InputError, match="differ in size"):
        _ = result.labels


def test_a_set_is_recalled_without_time():
    engine = FakeEngine()
    SetSession(engine, images()).add(Box.on_slice(0, 2, 3, 7, 8)).run()
    assert {time for r in engine.recalled for _, time in r.memories} == {0, None}
    assert {time for r in engine.recalled for _, time in r.pointers} == {0}


def test_a_set_can_be_corrected_on_any_image():
    engine = FakeEngine()
    work = SetSession(engine, images()).add(Box.on_slice(0, 2, 3, 7, 8))
    work.run()
    result = work.correct(Point(0, 4, 5, positive=False), image=2).run()
    assert result.prompted == {"object 1": (0, 2)}
    assert engine.encoded == 3


# Mistakes


def test_a_run_without_prompts_says_what_to_do():
    with pytest.raises(PromptError, match="add a prompt first"):
        session().run()


def test_a_prompt_outside_the_scan_is_refused_when_it_is_added():
    work = session()
    with pytest.raises(PromptError, match="outside the scan"):
        work.add(Point(40, 1, 1))
    assert work.objects == ()


def test_an_unknown_object_is_refused_with_the_known_ones():
    with pytest.raises(PromptError, match=r"no object 'tumour'; there are: 1 \(lesion\)"):
        session().add(BOX_A, "lesion").remove("tumour")


def test_an_empty_list_of_prompts_is_refused():
    with pytest.raises(PromptError, match="empty list"):
        session().add([])


def test_an_axis_that_does_not_exist_is_refused():
    with pytest.raises(PromptError, match="axis 3"):
        session(axis=3)


def test_an_image_outside_the_set_is_refused():
    with pytest.raises(PromptError, match=r"image 3 is not in the set; it has images 0\.\.2"):
        SetSession(FakeEngine(), images()).add(Point(0, 1, 1), image=3)


def test_a_removed_objects_label_is_not_used_again():
    work = session().add(BOX_A, "a").add(BOX_B, "b").remove("a").add(BOX_A, "c")
    assert {o.name: o.label for o in work.objects} == {"b": 2, "c": 3}
