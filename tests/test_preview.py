"""Pictures of results: orientation, proportions, outlines, marks, and the frames that are shown."""

import errno

import numpy as np
import pytest
from PIL import Image

from voxtrace.errors import OutputError
from voxtrace.preview import Scene, View, colour_of, contact_sheet, overlay, save_picture, side_by_side, view_of
from voxtrace.preview.frame import draw_frame
from voxtrace.preview.scene import crop_of, frames_of, main_frame, shown_frames
from voxtrace.prompts import Box, MaskPrompt, Point, Recist, Scribble


def scene(frames: int = 9, shape: tuple[int, int] = (60, 70), **options) -> Scene:
    labels = np.zeros((frames, *shape), np.uint8)
    labels[3:6, 20:30, 40:55] = 1
    return Scene([np.full((*shape, 3), 90, np.uint8)] * frames, labels, **options)


def affine(x, y, z) -> np.ndarray:
    """The LPS affine whose voxel axes point along the given vectors."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.array([x, y, z], float).T
    return matrix


def test_axial_slices_in_dicom_order_are_shown_as_they_are():
    view = view_of(affine((1, 0, 0), (0, 1, 0), (0, 0, 3)))
    assert view == View(letters=("R", "L", "A", "P"))


def test_axial_slices_of_a_ras_nifti_are_turned_front_up_and_right_on_the_left():
    view = view_of(affine((-1, 0, 0), (0, -1, 0), (0, 0, 3)))
    assert (view.transposed, view.flip_rows, view.flip_columns) == (False, True, True)
    frame = np.arange(6).reshape(2, 3)
    assert view.pixels(frame).tolist() == [[5, 4, 3], [2, 1, 0]]


def test_coronal_slices_have_the_head_up():
    view = view_of(affine((1, 0, 0), (0, 1, 0), (0, 0, 3)), axis=1)
    assert (view.transposed, view.flip_rows, view.letters) == (False, True, ("R", "L", "H", "F"))


def test_sagittal_slices_stored_sideways_are_transposed():
    # Array axes (z, y, x) point to (left, posterior, feet): a sagittal slice has rows along AP, columns along HF.
    view = view_of(affine((0, 0, -1), (0, 1, 0), (1, 0, 0)), axis=0)
    assert (view.transposed, view.flip_rows, view.flip_columns) == (True, False, False)
    assert view.letters == ("A", "P", "H", "F")


@pytest.mark.parametrize("view", [View(), View(True), View(False, True, False), View(True, True, True)])
def test_places_follow_the_pixels(view):
    frame = np.zeros((5, 7), np.uint8)
    frame[1, 4] = 9
    (row, column) = np.argwhere(view.pixels(frame) == 9)[0]
    assert view.places(np.array([[1.5, 4.5]]), (5, 7))[0].tolist() == [row + 0.5, column + 0.5]


def test_pixels_that_are_not_square_are_shown_in_true_proportion():
    panel = draw_frame(scene(pixel_mm=(3.0, 1.0)), 4, None, (300, 300), None)
    assert panel.height / panel.width == pytest.approx(60 * 3 / 70, rel=0.02)


def test_the_outline_surrounds_the_mask_in_the_object_colour():
    panel = np.asarray(draw_frame(scene(), 4, None, (600, 700), None, caption=" "))
    coloured = np.argwhere((panel == colour_of(1)).all(axis=-1))
    assert coloured.min(0).tolist() == pytest.approx([200, 400], abs=6)
    assert coloured.max(0).tolist() == pytest.approx([299, 549], abs=6)
    assert not (panel[230:270, 430:520] == colour_of(1)).all(axis=-1).any()


def test_the_prompted_frame_is_the_large_one():
    assert main_frame(scene(prompts={1: [Point(7, 1, 1)]})) == 7
    assert main_frame(scene(prompts={1: [Point(7, 1, 1), Point(4, 1, 1)]})) == 4
    assert main_frame(scene()) == 3


def test_shown_frames_span_the_object_and_one_more_at_each_end():
    assert shown_frames(scene(), 4) == [2, 3, 4, 5, 6]
    long = Scene([np.zeros((4, 4, 3), np.uint8)] * 50, np.ones((50, 4, 4), np.uint8))
    shown = shown_frames(long, 0)
    assert (len(shown), shown[0], shown[-1]) == (12, 0, 49)


def test_the_cut_contains_every_mask():
    row0, column0, row1, column1 = crop_of(scene())
    assert row0 <= 20
    assert row1 >= 30
    assert column0 <= 40
    assert column1 >= 55
    assert (row1 - row0, column1 - column0) != (60, 70)


@pytest.mark.parametrize(
    ("mark", "frames"),
    [
        (Point(2, 1, 1), [2]),
        (Box(2, 1, 1, 3, 5, 5), [2]),
        (Box(1, 1, 1, 6, 5, 5), [3]),
        (Recist(5, 1, 1, 2, 2), [5]),
        (Scribble(np.array([[1, 2, 3], [4, 2, 3]])), [1, 4]),
        (MaskPrompt(np.arange(9)[:, None, None] * np.ones((9, 2, 2)) == 6), [6]),
    ],
)
def test_every_mark_lies_on_its_frames(mark, frames):
    assert frames_of(scene(), mark) == frames


def test_marks_of_another_axis_lie_on_that_axis():
    assert frames_of(scene(frame_axis=2), Box(1, 2, 6, 4, 5, 7)) == [6]


@pytest.mark.parametrize(
    "mark",
    [
        Point(4, 25, 45),
        Point(4, 25, 45, False),
        Box(4, 18, 38, 5, 32, 57),
        Recist(4, 21, 41, 28, 50),
        Scribble(np.array([[4, 22, 44]])),
        MaskPrompt(np.eye(60, 70)[None] * np.eye(9)[4][:, None, None]),
    ],
)
def test_every_kind_of_mark_is_drawn(mark):
    plain = np.asarray(draw_frame(scene(), 4, None, (300, 300), None))
    marked = np.asarray(draw_frame(scene(prompts={1: [mark]}), 4, None, (300, 300), None))
    assert (plain != marked).any()


def test_a_contact_sheet_is_drawn_for_an_empty_result():
    empty = Scene([np.zeros((6, 7, 3), np.uint8)], np.zeros((1, 6, 7), np.uint8), {1: [Point(0, 1, 1)]}, {1: "liver"})
    assert contact_sheet(empty).width >= 640


def test_pictures_stand_side_by_side_with_the_mask_only_on_the_right():
    one = Scene([np.full((50, 40, 3), 80, np.uint8)], np.zeros((1, 50, 40), np.uint8), {1: [Box(0, 5, 5, 1, 25, 20)]})
    one.labels[0, 10:20, 10:20] = 1
    sheet = np.asarray(side_by_side(one))[46:-30]
    coloured = np.flatnonzero((sheet == colour_of(1)).all(axis=-1).any(axis=0))
    assert coloured.min() > sheet.shape[1] / 2


def test_overlay_keeps_the_frame_outside_the_mask():
    frame = np.random.default_rng(1).integers(0, 255, (20, 30, 3), np.uint8)
    labels = np.zeros((20, 30), np.uint8)
    labels[5:10, 7:20] = 2
    drawn = overlay(frame, labels)
    assert np.array_equal(drawn[labels == 0], frame[labels == 0])
    assert (drawn[5, 7:20] == colour_of(2)).all()


def test_saving_is_whole_or_not_at_all(tmp_path, monkeypatch):
    picture = Image.new("RGB", (4, 4))
    save_picture(picture, tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()

    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OutputError, match=r"a\.png cannot be written: No space left on device"):
        save_picture(picture, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_an_unknown_picture_format_is_named(tmp_path):
    with pytest.raises(OutputError, match=r"ends in \.png"):
        save_picture(Image.new("RGB", (4, 4)), tmp_path / "a.xyz")
