"""The worst cases of a run are kept as pictures beside its results: which, what is on them, and when none."""

import numpy as np
import pytest

from phantoms import phantom
from voxtrace.bench.shown import Sight, read_sight, shown, write_sight
from voxtrace.bench.truths import Target
from voxtrace.bench.worst import Worst, read_worst
from voxtrace.preview.view import View
from voxtrace.prompts import BOX_START, BOX_STOP, Box, FramePrompt, Point

pytestmark = pytest.mark.real


def target():
    """An object on slices 1 and 2 of 4, marked on slice 2."""
    mask = np.zeros((4, 30, 40), bool)
    mask[1:3, 5:10, 8:20] = True
    return Target(1, 4, 2, mask[2], (0, 1, 2, 3), mask, (1, 3))


def offer(worst, case, dsc, set="one", model="ours", prompt="box"):
    of = {"model": model, "prompt": prompt, "z_range": False, "set": set, "case": case, "object": 1}
    worst.offer(of | {"kind": "volume", "modality": "ct", "dsc": dsc, "nsd": dsc}, phantom((4, 30, 40)), target(), NONE)


NONE = np.zeros((4, 30, 40), bool)


def kept(folder):
    return [(sight.about["case"], sight.about["dsc"]) for sight in read_worst(folder)]


def test_each_sets_worst_comes_before_the_second_worst_of_any(tmp_path):
    worst = Worst(tmp_path, 3)
    for case, dsc, set in (("a", 0.1, "hard"), ("b", 0.2, "hard"), ("c", 0.9, "easy"), ("d", 0.3, "hard")):
        offer(worst, case, dsc, set)
    assert kept(tmp_path) == [("a", 0.1), ("b", 0.2), ("c", 0.9)]
    offer(worst, "e", 0.8, "middling")
    assert kept(tmp_path) == [("a", 0.1), ("e", 0.8), ("c", 0.9)]


def test_a_case_has_one_picture_of_its_worst(tmp_path):
    worst = Worst(tmp_path, 3)
    for dsc, prompt in ((0.5, "box"), (0.2, "click"), (0.4, "scribble")):
        offer(worst, "a", dsc, prompt=prompt)
    assert [sight.about["prompt"] for sight in read_worst(tmp_path)] == ["click"]


def test_a_run_that_goes_on_knows_what_was_kept(tmp_path):
    for case, dsc in (("a", 0.5), ("b", 0.6), ("c", 0.4)):
        offer(Worst(tmp_path, 2), case, dsc)
    assert kept(tmp_path) == [("c", 0.4), ("a", 0.5)]


def test_models_do_not_share_places(tmp_path):
    worst = Worst(tmp_path, 1)
    offer(worst, "a", 0.1)
    offer(worst, "a", 0.9, model="theirs")
    assert len(kept(tmp_path)) == 2


def test_marked_frame_and_the_one_most_wrong_are_shown(tmp_path):
    """Slice 1 is missed, slice 2 found but for a pixel, slice 3 has a pixel too much."""
    found = target().mask.copy()
    found[1] = False
    found[2, 5, 8] = False
    found[3, 0, 0] = True
    prompts = [Box.on_slice(2, 5, 8, 10, 20), Point(3, 9, 11, False)]
    of = {"model": "m", "prompt": "box", "z_range": False, "set": "s", "case": "c", "object": 1, "dsc": 0.5}
    Worst(tmp_path).offer(of, phantom((4, 30, 40)), target(), found, prompts)
    (sight,) = read_worst(tmp_path)
    assert [(one.frame, one.marked) for one in sight.frames] == [(2, True), (1, False)]
    first, second = sight.frames
    assert (first.mask.sum(), first.truth.sum()) == (59, 60)
    assert (second.mask.sum(), second.truth.sum()) == (0, 60)
    assert first.labels.tolist() == [BOX_START, BOX_STOP]


def test_a_frame_is_cut_and_turned_with_its_marks():
    """A 100 x 200 frame upside down; object at rows 40..50, columns 60..80: 12 pixels remain around a square of 20."""
    truth = np.zeros((100, 200), bool)
    truth[40:50, 60:80] = True
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[40, 60] = 200
    corners = FramePrompt(np.array([[60, 40], [80, 50]], np.float32), np.array([BOX_START, BOX_STOP], np.int32))
    one = shown(7, picture, truth, truth, corners, View(flip_rows=True), (3.0, 2.0))
    assert one.picture.shape == (44, 44)  # grey
    assert one.picture[26, 12] == 200  # the first row of the object has become its last
    assert one.points_xy.tolist() == [[12, 27], [32, 17]]
    assert one.aspect == 1.5


def test_large_frames_are_thinned_and_thin_objects_stay():
    truth = np.zeros((900, 1200), bool)
    truth[100:800, 600] = True
    truth[800, 100:1100] = True
    one = shown(0, np.zeros((900, 1200, 3), np.uint8), truth, np.zeros_like(truth))
    assert max(one.picture.shape) == 384
    assert one.truth.shape == one.picture.shape


def test_a_sight_is_read_as_it_was_written(tmp_path):
    truth = target().marked
    frame = shown(3, np.full((30, 40, 3), (1, 2, 3), np.uint8), truth, truth)
    write_sight(tmp_path / "a.npz", Sight({"case": "ü/1", "dsc": 0.25}, (frame, frame)))
    again = read_sight(tmp_path / "a.npz")
    assert again.about == {"case": "ü/1", "dsc": 0.25}
    assert len(again.frames) == 2
    assert (again.frames[1].picture == frame.picture).all()
    assert (again.frames[1].truth == frame.truth).all()


def test_evaluate_keeps_pictures_of_every_kind(voxtrace, manifest, tmp_path):
    voxtrace("evaluate", "--data", manifest, "--out", tmp_path / "out", "--prompt", "box", "mask", "oneprompt")
    assert {sight.about["kind"] for sight in read_worst(tmp_path / "out")} == {"image", "volume", "video"}


def test_evaluate_keeps_none_if_told_so(voxtrace, manifest, tmp_path):
    ran = voxtrace("evaluate", "--data", manifest, "--out", tmp_path / "out", "--worst", 0)
    assert ran.code == 0
    assert not (tmp_path / "out" / "worst").exists()


def test_how_many_are_kept_is_no_setting_of_a_run(voxtrace, manifest, tmp_path):
    voxtrace("evaluate", "--data", manifest, "--out", tmp_path / "out", "--worst", 0)
    assert voxtrace("evaluate", "--data", manifest, "--out", tmp_path / "out", "--worst", 2).code == 0


def test_interactive_keeps_the_worst_object_with_its_clicks(voxtrace, manifest, tmp_path):
    voxtrace("bench", "interactive", "--data", manifest, "--out", tmp_path / "out", "--kind", "image")
    sights = read_worst(tmp_path / "out")
    assert {sight.about["case"] for sight in sights} == {"pictures/0", "pictures/1"}
    assert all(sight.frames[0].marked for sight in sights)
