"""Bad input: every file that cannot be used is refused with its name, what is wrong and a way out."""

import gzip
import warnings

import nibabel
import numpy as np
import pytest
from PIL import Image

from phantoms import labels, phantom
from voxtrace.errors import GeometryError, InputError
from voxtrace.io import read, read_labels, read_mask, read_volume, write
from voxtrace.volume import Picture, Volume
from voxtrace.windowing import automatic

SUFFIXES = ("nii", "nii.gz", "nrrd", "seg.nrrd", "mha", "mhd", "dcm", "png", "jpg", "bmp", "tif", "mp4", "avi", "npz")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_empty_file_is_refused(tmp_path, suffix):
    path = tmp_path / f"scan.{suffix}"
    path.touch()
    with pytest.raises(InputError, match=rf"scan\.{suffix} is empty \(0 bytes\)"):
        read(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_text_file_named_like_a_scan_is_refused(tmp_path, suffix):
    path = tmp_path / f"scan.{suffix}"
    path.write_text("patient,age\n1,64\n" * 50)
    with pytest.raises(InputError, match=r"its content is not: it begins with b'patient,age"):
        read(path)


def test_a_file_of_another_kind_is_refused_with_the_kinds_that_are_read(tmp_path):
    (tmp_path / "letter.pdf").write_bytes(b"%PDF-1.7 something")
    with pytest.raises(InputError, match=r"no image that can be read here \(.*\.nii\.gz .*%PDF"):
        read(tmp_path / "letter.pdf")


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.98])
@pytest.mark.parametrize(
    "name", ["s.nii", "s.nii.gz", "s.nrrd", "s.seg.nrrd", "s.mha", "s.npz", "s.tif", "s.png", "s.bmp"]
)
def test_a_truncated_file_is_refused(tmp_path, name, kept):
    rng = np.random.default_rng(3)
    flat = name.endswith((".png", ".bmp", ".tif"))
    like = Picture(np.zeros((60, 70), np.uint8)) if flat else Volume(np.zeros((5, 60, 70)))
    write(tmp_path / name, rng.integers(0, 200, like.shape), like=like)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(InputError, match=name):
        read(tmp_path / name)


def test_a_truncated_jpeg_is_refused(tmp_path):
    Image.fromarray(np.random.default_rng(3).integers(0, 255, (60, 70, 3)).astype(np.uint8)).save(tmp_path / "p.jpg")
    data = (tmp_path / "p.jpg").read_bytes()
    (tmp_path / "p.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"p\.jpg is cut off or damaged"):
        read(tmp_path / "p.jpg")


def test_a_damaged_gzip_is_refused(tmp_path):
    path = tmp_path / "s.nii.gz"
    write(path, labels(), like=phantom())
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"s\.nii\.gz"):
        read(path)


def test_a_gzip_of_something_else_is_refused(tmp_path):
    (tmp_path / "s.nii.gz").write_bytes(gzip.compress(b"hello " * 500))
    with pytest.raises(InputError, match="begins with b'hello"):
        read(tmp_path / "s.nii.gz")


def test_a_header_that_promises_more_than_memory_holds_is_refused(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.zeros((7, 6, 5), np.int16), np.eye(4)), tmp_path / "s.nii")
    data = bytearray((tmp_path / "s.nii").read_bytes())
    data[42:48] = np.array([32767] * 3, "<i2").tobytes()
    (tmp_path / "s.nii").write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"s\.nii"):
        read(tmp_path / "s.nii")


def test_a_missing_file_names_the_near_ones(tmp_path):
    (tmp_path / "liver_ct.nii.gz").touch()
    with pytest.raises(InputError, match=r"liver_cT\.nii\.gz does not exist; did you mean liver_ct\.nii\.gz\?"):
        read(tmp_path / "liver_cT.nii.gz")


def test_a_missing_folder_is_said(tmp_path):
    with pytest.raises(InputError, match=r"there is no folder .*nowhere"):
        read(tmp_path / "nowhere" / "scan.nii")


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="is an empty folder"):
        read(tmp_path)


def test_a_folder_with_nothing_usable_says_what_it_holds(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"neither DICOM slices nor pictures; it holds notes\.txt"):
        read(tmp_path)


def test_a_folder_with_a_scan_in_it_says_to_give_the_file(tmp_path):
    write(tmp_path / "scan.nii.gz", labels(), like=phantom())
    with pytest.raises(InputError, match=r"give one of its files: scan\.nii\.gz"):
        read(tmp_path)


def test_a_file_with_a_hash_in_its_name_is_read(tmp_path):
    write(tmp_path / "scan#2.nii.gz", labels(), like=phantom())
    assert read(tmp_path / "scan#2.nii.gz").shape == (5, 6, 7)


def test_a_picture_is_no_volume(tmp_path):
    Image.fromarray(np.zeros((6, 7), np.uint8)).save(tmp_path / "p.png")
    with pytest.raises(InputError, match=r"p\.png is a picture of shape \(6, 7\); a volume is needed"):
        read_volume(tmp_path / "p.png")


@pytest.mark.parametrize(("said", "kept"), [("ct", "CT"), ("PET", "PT"), ("mri", "MR"), ("US", "US")])
def test_a_modality_can_be_said(tmp_path, said, kept):
    write(tmp_path / "s.nii.gz", labels(), like=phantom())
    assert read(tmp_path / "s.nii.gz").modality is None
    assert read(tmp_path / "s.nii.gz", modality=said).modality == kept


def test_a_scan_with_some_nan_is_read_and_shown_with_a_warning(tmp_path):
    array = np.ones((7, 6, 5), np.float32)
    array[0], array[1] = np.nan, 5
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / "s.nii")
    volume = read_volume(tmp_path / "s.nii")
    with pytest.warns(UserWarning, match="30 of 210 values are NaN"):
        automatic(volume).apply(volume.array)


def test_a_constant_scan_is_read_and_shown_black(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.full((7, 6, 5), 9, np.int16), np.eye(4)), tmp_path / "s.nii")
    volume = read_volume(tmp_path / "s.nii")
    assert not automatic(volume).apply(volume.array).any()


def test_a_mask_of_probabilities_is_refused(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.full((7, 6, 5), 0.5, np.float32), np.eye(4)), tmp_path / "m.nii")
    with pytest.raises(InputError, match=r"m\.nii holds 0\.5: probabilities\?"):
        read_mask(tmp_path / "m.nii")


@pytest.mark.parametrize("value", [-1, np.nan])
def test_a_mask_of_impossible_labels_is_refused(tmp_path, value):
    nibabel.save(nibabel.Nifti1Image(np.full((7, 6, 5), value, np.float32), np.eye(4)), tmp_path / "m.nii")
    with pytest.raises(InputError, match=r"the mask .*m\.nii"):
        read_mask(tmp_path / "m.nii")


def test_a_mask_stored_as_float_becomes_labels(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.full((7, 6, 5), 2.0), np.eye(4)), tmp_path / "m.nii")
    assert read_mask(tmp_path / "m.nii").dtype == np.uint8


def test_a_mask_of_another_shape_is_refused(tmp_path):
    write(tmp_path / "m.nii.gz", labels((4, 6, 7)), like=phantom((4, 6, 7)))
    with pytest.raises(GeometryError, match=r"shape \(4, 6, 7\), the scan \(5, 6, 7\)"):
        read_mask(tmp_path / "m.nii.gz", like=phantom())


def test_a_mask_without_a_place_is_compared_by_shape_only(tmp_path):
    volume = phantom(rotate_deg=20)
    write(tmp_path / "m.npz", labels(), like=volume)
    assert (read_mask(tmp_path / "m.npz", like=volume) == labels()).all()


@pytest.mark.parametrize("name", ["m.nii.gz", "m.nrrd", "m.npz"])
def test_formats_without_names_have_none(tmp_path, name):
    write(tmp_path / name, labels(), like=phantom(), labels={1: "Tumour"})
    assert read_labels(tmp_path / name) == {}


def test_reading_a_good_file_warns_of_nothing(tmp_path):
    write(tmp_path / "s.nii.gz", labels(), like=phantom())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(tmp_path / "s.nii.gz")
