"""Scans too large for memory: read into files, mapped, and equal to what is read into memory."""

import gzip
import os
import zlib

import nibabel
import nrrd
import numpy as np
import pytest
import tifffile

from phantoms import phantom, write_dicom_series
from voxtrace import scratch
from voxtrace.errors import InputError
from voxtrace.frames import VolumeFrames
from voxtrace.io import read, read_mask, read_volume, write
from voxtrace.mapped import is_mapped
from voxtrace.volume import Video
from voxtrace.windowing import FullRange, Percentile, automatic

SHAPE = (5, 6, 7)


def numbers(dtype=np.int16, shape=SHAPE):
    return np.random.default_rng(3).integers(-900, 1200, shape).astype(dtype)


def nifti(path, array, slope=(1.0, 0.0)):
    image = nibabel.Nifti1Image(array.T, np.diag([2.0, 1.0, 3.0, 1.0]))
    nibabel.save(image, path)
    content = bytearray(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
    content[112:120] = np.array(slope, "<f4").tobytes()
    path.write_bytes(gzip.compress(bytes(content)) if path.suffix == ".gz" else bytes(content))
    return path


def big_endian_nifti(path, array):
    image = nibabel.Nifti1Image(array.T, np.eye(4), nibabel.Nifti1Header(endianness=">"))
    nibabel.save(image, path)
    return path


def nrrd_file(path, array, **header):
    nrrd.write(str(path), array, header, index_order="C")
    return path


def vectors(path):
    return nrrd_file(path, numbers(shape=(*SHAPE, 3)), encoding="raw", kinds=["vector", *["domain"] * 3])


def meta_image(path, array, packed=False, big=False):
    data = array.astype(array.dtype.newbyteorder(">" if big else "<")).tobytes()
    data = zlib.compress(data) if packed else data
    kind = {"i2": "MET_SHORT", "f4": "MET_FLOAT"}[array.dtype.str[1:]]
    raw = path.with_suffix(".raw").name if path.suffix == ".mhd" else "LOCAL"
    text = (
        f"NDims = 3\nDimSize = {' '.join(map(str, array.shape[::-1]))}\nElementType = {kind}\n"
        f"BinaryDataByteOrderMSB = {big}\nCompressedData = {packed}\nElementDataFile = {raw}\n"
    )
    path.write_bytes(text.encode() + (b"" if raw != "LOCAL" else data))
    if raw != "LOCAL":
        path.with_name(raw).write_bytes(data)
    return path


def npz(path, array):
    np.savez_compressed(path, imgs=array, spacing=np.array([2.0, 1.0, 3.0]))
    return path


def dicom(path, array):
    write_dicom_series(path, phantom().like(array))
    return path


def positron(path, array):
    """Slices with slopes of their own: int16, int32 and float32 in one series."""
    import pydicom

    for number, file in enumerate(write_dicom_series(path, phantom().like(array))):
        header = pydicom.dcmread(file)
        header.RescaleSlope = [1, 1, 40, 0.3, 2][number]
        header.save_as(file)
    return path


def tiff(path, array, **options):
    tifffile.imwrite(path, array, photometric="minisblack", **options)
    return path


FILES = {
    "nifti": lambda folder: nifti(folder / "s.nii", numbers()),
    "nifti packed": lambda folder: nifti(folder / "s.nii.gz", numbers()),
    "nifti scaled": lambda folder: nifti(folder / "s.nii", numbers(), slope=(0.3, -7.0)),
    "nifti packed, scaled floats": lambda folder: nifti(folder / "s.nii.gz", numbers(np.float32), slope=(0.3, -7.0)),
    "nifti big-endian": lambda folder: big_endian_nifti(folder / "s.nii", numbers()),
    "nifti float64": lambda folder: nifti(folder / "s.nii", numbers(np.float64) / 3),
    "nifti one of four": lambda folder: f"{nifti(folder / 's.nii', numbers(shape=(4, *SHAPE)))}#2",
    "nifti one of four packed": lambda folder: f"{nifti(folder / 's.nii.gz', numbers(shape=(4, *SHAPE)))}#3",
    "nrrd": lambda folder: nrrd_file(folder / "s.nrrd", numbers(), encoding="raw"),
    "nrrd packed": lambda folder: nrrd_file(folder / "s.nrrd", numbers(), encoding="gzip"),
    "nrrd beside its header": lambda folder: nrrd_file(folder / "s.nhdr", numbers(np.uint16), encoding="raw"),
    "nrrd of several": lambda folder: f"{vectors(folder / 's.nrrd')}#1",
    "mha": lambda folder: meta_image(folder / "s.mha", numbers()),
    "mha packed": lambda folder: meta_image(folder / "s.mha", numbers(np.float32), packed=True),
    "mha big-endian": lambda folder: meta_image(folder / "s.mha", numbers(), big=True),
    "mhd": lambda folder: meta_image(folder / "s.mhd", numbers()),
    "npz": lambda folder: npz(folder / "3D_s.npz", numbers()),
    "dicom": lambda folder: dicom(folder / "ct", numbers()),
    "dicom of several widths": lambda folder: positron(folder / "pt", numbers()),
    "tiff": lambda folder: tiff(folder / "s.tif", numbers()),
    "tiff white is zero": lambda folder: tiff(folder / "s.tif", numbers(np.uint16), compression="zlib"),
}


@pytest.fixture
def nothing_in_memory(monkeypatch):
    monkeypatch.setattr(scratch, "IN_MEMORY", 16)
    monkeypatch.setattr("voxtrace.mapped.SLAB", 90)  # a slice and a bit


@pytest.mark.parametrize("kind", FILES)
def test_a_large_scan_is_mapped_and_reads_as_a_small_one(kind, tmp_path, request):
    path = FILES[kind](tmp_path)
    small = read_volume(path)
    assert not is_mapped(small.array)
    request.getfixturevalue("nothing_in_memory")
    large = read_volume(path)
    assert is_mapped(large.array)
    assert large.array.dtype == small.array.dtype
    np.testing.assert_array_equal(large.array, small.array)
    np.testing.assert_array_equal(large.affine_lps, small.affine_lps)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("window", [None, Percentile(2, 90), FullRange()])
def test_frames_of_a_mapped_scan_are_those_of_one_in_memory(axis, window, tmp_path, request):
    array = numbers(np.float32, (9, 11, 13))
    array[3, 4, 5], array[0, 0, 1] = np.nan, np.inf
    path = nifti(tmp_path / "s.nii", array)
    with pytest.warns(UserWarning, match="2 of 1287 values"):
        small = VolumeFrames(read_volume(path), window, axis)
    request.getfixturevalue("nothing_in_memory")
    with pytest.warns(UserWarning, match="2 of 1287 values"):
        large = VolumeFrames(read_volume(path), window, axis)
    assert len(large) == len(small) == array.shape[axis]
    assert large.window == small.window
    for index in range(len(small)):
        np.testing.assert_array_equal(large[index], small[index])


@pytest.mark.usefixtures("nothing_in_memory")
def test_percentiles_of_a_mapped_scan_sample_the_same_values(tmp_path, monkeypatch):
    monkeypatch.setattr("voxtrace.windowing.SAMPLED_VALUES", 50)
    array = numbers(shape=(9, 11, 13))
    mapped = read_volume(nifti(tmp_path / "s.nii", array)).array
    expected = np.percentile([v for v in array.reshape(-1)[:: (array.size // 50) | 1] if v], [2, 90])
    for of in (array, mapped):
        found = Percentile(2, 90).limits(of)
        assert (found.low, found.high) == tuple(expected)


@pytest.mark.usefixtures("nothing_in_memory")
def test_the_automatic_window_of_a_mapped_ct_is_soft_tissue(tmp_path):
    path = nifti(tmp_path / "s.nii", phantom((9, 11, 13)).array)
    assert str(automatic(read_volume(path))) == "40/400"


@pytest.mark.usefixtures("nothing_in_memory")
@pytest.mark.parametrize("kind", ["nifti", "nifti packed", "nrrd", "nrrd packed", "mha", "mha packed", "npz"])
def test_a_large_scan_that_is_cut_off_is_told(kind, tmp_path):
    path = FILES[kind](tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - 70])
    with pytest.raises(InputError, match="cut off"):
        read(path)


@pytest.mark.usefixtures("nothing_in_memory")
def test_a_header_that_promises_more_than_a_file_can_hold_takes_no_disk(tmp_path):
    path = nifti(tmp_path / "s.nii.gz", numbers())
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[42:48] = np.array([30000, 30000, 30000], "<i2").tobytes()  # 54 TB
    path.write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(InputError, match="54000000000000 bytes of voxels are promised"):
        read(path)


@pytest.mark.usefixtures("nothing_in_memory")
def test_a_file_that_is_cut_off_while_it_is_used_is_told_instead_of_a_crash(tmp_path):
    path = nifti(tmp_path / "s.nii", numbers(shape=(9, 60, 70)))
    frames = VolumeFrames(read_volume(path))
    before = frames[0]
    os.truncate(path, 20_000)
    with pytest.raises(InputError, match=r"s\.nii was cut off while it was in use"):
        frames[8]
    assert before.shape == (60, 70, 3)


@pytest.mark.usefixtures("nothing_in_memory")
def test_a_file_that_is_written_to_while_it_is_used_is_told(tmp_path):
    path = nifti(tmp_path / "s.nii", numbers())
    frames = VolumeFrames(read_volume(path))
    content = path.read_bytes()
    with path.open("r+b") as file:
        file.write(content[:-1] + b"\7")
    os.utime(path, ns=(0, 0))
    with pytest.raises(InputError, match=r"s\.nii was changed while it was in use; run again"):
        frames[1]


@pytest.mark.usefixtures("nothing_in_memory")
@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_vanishes_or_is_replaced_stays_as_it_was(replaced, tmp_path):
    path = nifti(tmp_path / "s.nii", numbers())
    frames = VolumeFrames(read_volume(path))
    before = [frames[i] for i in range(5)]
    path.unlink()
    if replaced:
        nifti(tmp_path / "s.nii", numbers()[::-1])
    np.testing.assert_array_equal([frames[i] for i in range(5)], before)


@pytest.mark.usefixtures("nothing_in_memory")
def test_the_masks_of_a_video_lie_in_a_file(tmp_path):
    frames = np.zeros((4, 6, 7, 3), np.uint8)
    video = Video(frames, (4, 6, 7))
    mask = np.arange(4 * 6 * 7).reshape(4, 6, 7) % 5
    write(tmp_path / "m", mask, like=video)
    found = read_mask(tmp_path / "m", like=video)
    assert is_mapped(found)
    assert np.array_equal(found, mask)
