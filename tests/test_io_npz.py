"""The challenges' npz: spacing x, y, z; inclusive boxes; nothing that could run code."""

import numpy as np
import pytest

from voxtrace.errors import GeometryError, InputError
from voxtrace.io import read, read_mask, read_volume, write
from voxtrace.io.npz import read_prompts
from voxtrace.prompts import Box, Recist
from voxtrace.volume import Picture, Volume

VOLUME = np.arange(5 * 6 * 7, dtype=np.uint8).reshape(5, 6, 7)


def save(path, **arrays):
    np.savez_compressed(path, **arrays)
    return path


def test_spacing_is_turned_from_xyz_to_array_order(tmp_path):
    volume = read_volume(save(tmp_path / "3D_a.npz", imgs=VOLUME, spacing=np.array([2.0, 1.0, 3.0])))
    assert (volume.array == VOLUME).all()
    assert volume.spacing_mm == (3.0, 1.0, 2.0)


def test_a_colour_picture_is_a_picture(tmp_path):
    scan = read(save(tmp_path / "2D_a.npz", imgs=np.zeros((6, 7, 3), np.uint8)))
    assert isinstance(scan, Picture)
    assert scan.shape == (6, 7)


def test_a_volume_three_voxels_wide_is_known_by_its_spacing(tmp_path):
    scan = read(save(tmp_path / "a.npz", imgs=np.zeros((6, 7, 3), np.uint8), spacing=np.ones(3)))
    assert isinstance(scan, Volume)


@pytest.mark.parametrize("spacing", [[1, 1], [1, 0, 1], [1, np.nan, 1]])
def test_a_spacing_that_is_none_is_refused(tmp_path, spacing):
    with pytest.raises(GeometryError, match="three positive numbers"):
        read(save(tmp_path / "a.npz", imgs=VOLUME, spacing=np.array(spacing)))


def test_an_object_array_is_not_opened_and_the_reason_is_said(tmp_path):
    path = save(tmp_path / "a.npz", imgs=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match="imgs is an object array, that is a pickle, which could run code"):
        read(path)


def test_an_object_array_beside_the_image_does_not_matter_to_the_image(tmp_path):
    path = save(tmp_path / "a.npz", imgs=VOLUME, boxes=np.array([{"z_min": 1}], dtype=object))
    assert read(path).shape == (5, 6, 7)
    with pytest.raises(InputError, match="boxes is an object array"):
        read_prompts(path)


def test_an_archive_without_an_image_says_what_it_holds(tmp_path):
    with pytest.raises(InputError, match="no imgs, segs or gts; it holds weights"):
        read(save(tmp_path / "a.npz", weights=VOLUME))


def test_inclusive_boxes_of_a_picture_become_half_open(tmp_path):
    path = save(tmp_path / "2D_a.npz", imgs=np.zeros((6, 7, 3), np.uint8), boxes=np.array([[1, 2, 3, 4], [0, 0, 7, 6]]))
    assert read_prompts(path) == {1: [Box(0, 2, 1, 1, 5, 4)], 2: [Box(0, 0, 0, 1, 6, 7)]}


def test_inclusive_boxes_of_a_volume_become_half_open(tmp_path):
    path = save(tmp_path / "3D_a.npz", imgs=VOLUME, boxes=np.array([[1, 2, 0, 3, 4, 4]]))
    assert read_prompts(path) == {1: [Box(0, 2, 1, 5, 5, 4)]}


def test_a_recist_marker_becomes_the_line_between_its_ends(tmp_path):
    marker = np.zeros((5, 6, 7), np.uint8)
    marker[3, [1, 2, 3, 4], [2, 3, 4, 5]] = 1
    assert read_prompts(save(tmp_path / "a.npz", imgs=VOLUME, recist=marker)) == {1: [Recist(3, 1, 2, 4, 5)]}


def test_scribbles_of_value_0_and_1000_are_no_objects(tmp_path):
    scribbles = np.full((6, 7), 1000, np.uint16)
    scribbles[2, 3:5], scribbles[0] = 2, 0
    found = read_prompts(save(tmp_path / "2D_a.npz", imgs=np.zeros((6, 7, 3), np.uint8), scribbles=scribbles))
    assert list(found) == [2]
    assert found[2][0].voxels_zyx.tolist() == [[0, 2, 3], [0, 2, 4]]


def test_a_mask_is_written_as_segs_and_read_back(tmp_path):
    scan = Volume(VOLUME)
    write(tmp_path / "out.npz", VOLUME % 3, like=scan)
    with np.load(tmp_path / "out.npz") as archive:
        assert archive.files == ["segs"]
        assert archive["segs"].dtype == np.uint8
    assert (read_mask(tmp_path / "out.npz", like=scan) == VOLUME % 3).all()
