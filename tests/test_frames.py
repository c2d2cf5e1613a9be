"""Frames on demand: which slice, which rows and columns, which grey."""

import numpy as np
import pytest
from PIL import Image

from phantoms import phantom
from voxtrace.errors import InputError
from voxtrace.frames import Cropped, ImageSet, PictureFrames, VolumeFrames
from voxtrace.volume import Picture, Volume
from voxtrace.windowing import AsIs, FullRange, Level, Percentile

COUNTING = Volume(np.arange(5 * 6 * 7, dtype=np.uint8).reshape(5, 6, 7))


@pytest.mark.parametrize(("axis", "count", "shape"), [(0, 5, (6, 7)), (1, 6, (5, 7)), (2, 7, (5, 6))])
def test_slices_along_every_axis_keep_the_other_two_in_order(axis, count, shape):
    frames = VolumeFrames(COUNTING, axis=axis)
    assert len(frames) == count
    assert frames[3].shape == (*shape, 3)
    assert (frames[3][..., 1] == COUNTING.array.take(3, axis)).all()


def test_all_slices_share_one_window():
    frames = VolumeFrames(Volume(np.arange(5 * 6 * 7).reshape(5, 6, 7)), FullRange())
    assert frames[0].max() < frames[1].min() + 2
    assert frames[4].max() == 255


def test_a_volume_gets_its_automatic_window():
    frames = VolumeFrames(phantom())
    assert frames.window == Level(40, 400)
    assert frames[2].dtype == np.uint8


def test_walking_over_frames_ends_with_the_last():
    assert len(list(VolumeFrames(COUNTING))) == 5


@pytest.mark.parametrize("index", [-1, 5])
def test_a_slice_that_is_not_there_is_an_index_error(index):
    with pytest.raises(IndexError, match=r"frames are 0\.\.4"):
        VolumeFrames(COUNTING)[index]


def test_an_axis_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="there is no 3"):
        VolumeFrames(COUNTING, axis=3)


def test_a_grey_picture_is_one_frame_of_three_equal_channels():
    frames = PictureFrames(Picture(COUNTING.array[0]))
    assert len(frames) == 1
    assert (frames[0] == COUNTING.array[0][..., None]).all()


def test_a_colour_picture_keeps_its_colours():
    rgb = COUNTING.array[0][..., None] + np.uint8([0, 50, 100])
    frames = PictureFrames(Picture(rgb))
    assert frames.window == AsIs()
    assert (frames[0] == rgb).all()


def test_a_picture_can_be_shown_in_a_window():
    pixels = np.array([[0, 1000], [2000, 3000]], np.uint16)
    assert PictureFrames(Picture(pixels), Level(1000, 2000))[0][..., 0].tolist() == [[0, 127], [255, 255]]
    assert PictureFrames(Picture(pixels)).window == Percentile()


@pytest.fixture
def folder(tmp_path):
    for index, size in ((1, (6, 7)), (2, (8, 5)), (10, (3, 4))):
        Image.fromarray(np.full(size, index, np.uint8)).save(tmp_path / f"img{index}.png")
    return tmp_path


def test_a_set_holds_pictures_of_any_size_in_natural_order(folder):
    images = ImageSet.of_folder(folder)
    assert [frame.shape for frame in images] == [(6, 7, 3), (8, 5, 3), (3, 4, 3)]
    assert [path.stem for path in images.paths] == ["img1", "img2", "img10"]


def test_a_set_reads_a_picture_when_it_is_asked_for(folder):
    images = ImageSet([*sorted(folder.iterdir()), folder / "missing.png"])
    assert images[0].shape == (6, 7, 3)
    with pytest.raises(InputError, match=r"missing\.png does not exist"):
        images[3]


def test_a_folder_without_pictures_is_no_set(tmp_path):
    with pytest.raises(InputError, match="holds no picture"):
        ImageSet.of_folder(tmp_path)


def test_a_cut_out_is_the_same_window_of_every_frame():
    frames = Cropped(VolumeFrames(COUNTING), (1, 2, 3, 4))
    assert len(frames) == 5
    assert (frames[4][..., 0] == COUNTING.array[4, 1:4, 2:6]).all()


@pytest.mark.parametrize("window", [(4, 0, 3, 2), (-1, 0, 2, 2), (0, 6, 2, 2), (0, 0, 0, 2)])
def test_a_cut_out_beyond_the_frame_is_refused(window):
    with pytest.raises(InputError, match="not inside a frame"):
        Cropped(VolumeFrames(COUNTING), window)[0]
