"""Label maps written part by part: the same files as when they are written whole."""

import gzip

import nibabel
import nrrd
import numpy as np
import pytest

from phantoms import labels, phantom
from voxtrace import scratch
from voxtrace.io import read_labels, read_mask, write
from voxtrace.mapped import is_mapped
from voxtrace.scratch import zeros
from voxtrace.volume import Volume

FORMATS = ["m.nii", "m.nii.gz", "m.nrrd", "m.seg.nrrd", "m.mha", "m.npz"]


def large(monkeypatch, mask, axis=0):
    """The same mask in a scratch file, its slices along `axis` one after another, and slabs of about a slice."""
    monkeypatch.setattr(scratch, "IN_MEMORY", 16)
    monkeypatch.setattr("voxtrace.mapped.SLAB", mask[0].nbytes + 1)
    frames = zeros(np.moveaxis(mask, axis, 0).shape, mask.dtype)
    frames[...] = np.moveaxis(mask, axis, 0)
    assert is_mapped(frames)
    return np.moveaxis(frames, 0, axis)


def content(path):
    """A file's bytes, unpacked, without the date in an NRRD header."""
    data = path.read_bytes()
    if path.name.endswith(".gz"):
        return gzip.decompress(data)
    return b"\n".join(line for line in data.split(b"\n") if not line.startswith(b"# on "))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("name", [*FORMATS, "m.tif"])
def test_a_mapped_mask_gives_the_same_file_whatever_way_it_lies(name, axis, tmp_path, monkeypatch):
    like = phantom(rotate_deg=0 if name == "m.tif" else 20)
    like = Volume(like.array) if name == "m.tif" else like
    mask = labels()
    whole = write(tmp_path / "whole" / name, mask, like=like)
    parts = write(tmp_path / "parts" / name, large(monkeypatch, mask, axis), like=like)
    if name == "m.npz":
        np.testing.assert_array_equal(np.load(parts)["segs"], mask)
    else:
        assert content(parts) == content(whole)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(("label", "dtype"), [(200, np.uint8), (300, np.uint16), (70_000, np.uint32)])
def test_a_mapped_mask_of_a_wide_type_is_written_in_the_narrowest(name, label, dtype, tmp_path, monkeypatch):
    mask = np.where(labels() == 2, label, 0).astype(np.int64)
    path = write(tmp_path / name, large(monkeypatch, mask), like=phantom())
    found = read_mask(path)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, mask)


@pytest.mark.parametrize("name", ["m.nii", "m.nii.gz"])
def test_a_nifti_mask_has_the_bytes_that_nibabel_writes(name, tmp_path):
    like = phantom(rotate_deg=20)
    path = write(tmp_path / name, labels(), like=like)
    ours = nibabel.load(path)
    image = nibabel.Nifti1Image(labels().T, None, ours.header)
    image.header["scl_slope"], image.header["scl_inter"] = np.nan, np.nan
    nibabel.save(image, tmp_path / f"theirs{name}")
    assert content(path) == content(tmp_path / f"theirs{name}")


def test_an_nrrd_mask_has_the_bytes_that_pynrrd_writes(tmp_path):
    path = write(tmp_path / "m.nrrd", labels(), like=phantom(rotate_deg=20))
    nrrd.write(str(tmp_path / "theirs.nrrd"), labels(), nrrd.read_header(str(path)), index_order="C")
    assert content(path) == content(tmp_path / "theirs.nrrd")


def test_the_extents_of_a_segmentation_are_those_of_the_whole_mask(tmp_path, monkeypatch):
    path = write(tmp_path / "m.seg.nrrd", large(monkeypatch, labels()), like=phantom(), labels={1: "Tumour", 9: "None"})
    header = nrrd.read_header(str(path))
    for number, label in ((0, 1), (1, 2)):
        places = np.argwhere(labels() == label)[:, ::-1]
        expected = " ".join(f"{low} {high}" for low, high in zip(places.min(0), places.max(0), strict=True))
        assert header[f"Segment{number}_Extent"] == expected
    assert header["Segment2_Extent"] == "0 -1 0 -1 0 -1"
    assert read_labels(path) == {1: "Tumour", 2: "object_2", 9: "None"}
