"""NIfTI in the forms that are not one grey volume."""

import nibabel
import numpy as np
import pytest

from voxtrace.errors import InputError
from voxtrace.io import read, read_volume


def save(path, array_xyzt, **header):
    image = nibabel.Nifti1Image(array_xyzt, np.eye(4))
    for name, value in header.items():
        image.header[name] = value
    nibabel.save(image, path)
    return path


@pytest.fixture
def bold(tmp_path):
    """(7, 6, 5, 4) in (x, y, z, t); volume t holds t * 1000 + something."""
    array = np.arange(7 * 6 * 5, dtype=np.int16).reshape(7, 6, 5)[..., None] + 1000 * np.arange(4, dtype=np.int16)
    return save(tmp_path / "bold.nii.gz", array)


def test_four_dimensions_ask_which_volume(bold):
    with pytest.raises(InputError, match=r"\(7, 6, 5, 4\): it holds 4 volumes, 0..3. Take one: bold\.nii\.gz#0"):
        read(bold)


def test_one_volume_of_four_dimensions_is_taken_by_its_number(bold):
    volume = read_volume(f"{bold}#3")
    assert volume.shape == (5, 6, 7)
    assert volume.array[4, 5, 6] == 3000 + 7 * 6 * 5 - 1
    assert volume.source == bold


@pytest.mark.parametrize("select", ["4", "-1", "x"])
def test_a_volume_that_is_not_there_is_refused(bold, select):
    with pytest.raises(InputError, match=r"holds volumes 0..3; there is no"):
        read(f"{bold}#{select}")


def test_a_fourth_axis_of_one_is_a_volume(tmp_path):
    assert read_volume(save(tmp_path / "s.nii", np.zeros((7, 6, 5, 1), np.int16))).shape == (5, 6, 7)


def test_two_dimensions_are_one_slice(tmp_path):
    assert read_volume(save(tmp_path / "s.nii", np.zeros((7, 6), np.int16))).shape == (1, 6, 7)


def test_slope_and_intercept_are_applied(tmp_path):
    path = save(tmp_path / "s.nii", np.full((7, 6, 5), 10, np.int16))
    data = bytearray(path.read_bytes())
    data[112:120] = np.array([0.5, -1000], "<f4").tobytes()
    path.write_bytes(bytes(data))
    array = read_volume(path).array
    assert array.dtype == np.float32
    assert (array == 10 * 0.5 - 1000).all()


def test_whole_numbers_keep_their_type(tmp_path):
    assert read_volume(save(tmp_path / "s.nii", np.zeros((7, 6, 5), np.int16))).array.dtype == np.int16


def test_colour_is_refused(tmp_path):
    rgb = np.zeros((7, 6, 5), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    with pytest.raises(InputError, match="holds colour"):
        read(save(tmp_path / "s.nii", rgb))


def test_complex_numbers_are_refused(tmp_path):
    with pytest.raises(InputError, match="complex"):
        read(save(tmp_path / "s.nii", np.zeros((7, 6, 5), np.complex64)))


def test_a_pair_of_files_is_read(tmp_path):
    nibabel.save(nibabel.Nifti1Pair(np.full((7, 6, 5), 3, np.int16), np.eye(4)), tmp_path / "s.hdr")
    assert (read_volume(tmp_path / "s.hdr").array == 3).all()


def test_nifti_2_is_read(tmp_path):
    nibabel.save(nibabel.Nifti2Image(np.full((7, 6, 5), 3, np.int16), np.eye(4)), tmp_path / "s.nii")
    assert read_volume(tmp_path / "s.nii").shape == (5, 6, 7)


@pytest.mark.parametrize(
    ("name", "other"), [("s.nii.gz", "scan"), ("s.nii.gz", "t.nii"), ("s.nii", "t.nii.gz"), ("s.nii", "t.png")]
)
def test_the_content_is_believed_and_not_the_name(tmp_path, name, other):
    path = save(tmp_path / name, np.full((7, 6, 5), 3, np.int16))
    assert (read_volume(path.rename(tmp_path / other)).array == 3).all()


def test_a_big_endian_file_is_read(tmp_path):
    header = nibabel.Nifti1Header(endianness=">")
    nibabel.save(nibabel.Nifti1Image(np.full((7, 6, 5), 259, ">i2"), np.eye(4), header), tmp_path / "s.nii")
    assert (read_volume(tmp_path / "s.nii").array == 259).all()
