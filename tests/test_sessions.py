"""Sessions from prompts to label map: volumes, pictures, videos, sets; mistakes."""

import numpy as np
import pytest

from blocks import BOX_A, BOX_B, SHAPE, A, B, block, scan, session
from fake_engine import FakeEngine
from voxtrace.courses import EDGE, MET
from voxtrace.errors import InputError, ModelError, PromptError
from voxtrace.memory import SelfSorting
from voxtrace.prompts import Box, MaskPrompt, Point, Recist, Scribble
from voxtrace.sessions import ImageSession, SetSession, VideoSession
from voxtrace.volume import Picture, Video


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


def test_only_negative_points_in_a_video_and_in_a_set_are_named_by_their_place():
    outside = Point(0, 4, 5, positive=False)
    with pytest.raises(PromptError, match="only negative points at frame=0"):
        VideoSession(FakeEngine(), video()).add(outside)
    with pytest.raises(PromptError, match="only negative points at image=2"):
        SetSession(FakeEngine(), images()).add(outside, image=2)


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
