"""Geometry of files: what we read equals what ITK reads, and a mask comes back where the scan lies."""

import itertools

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - the name everybody uses

from phantoms import labels, phantom
from voxtrace.errors import GeometryError, OutputError
from voxtrace.io import read, read_mask, read_volume, write
from voxtrace.volume import Volume

FORMATS = ("m.nii", "m.nii.gz", "m.nrrd", "m.seg.nrrd", "m.mha")


def itk_affine(image: sitk.Image) -> np.ndarray:
    """(4, 4): ITK's own way from an index to LPS mm."""
    origin = np.array(image.TransformIndexToPhysicalPoint((0, 0, 0)))
    ends = [image.TransformIndexToPhysicalPoint(index) for index in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = (np.array(ends) - origin).T, origin
    return matrix


@pytest.mark.parametrize("rotate_deg", [0, 20, 137])
@pytest.mark.parametrize("name", FORMATS)
def test_a_mask_keeps_geometry_and_labels_of_an_oblique_volume(tmp_path, name, rotate_deg):
    volume = phantom(rotate_deg=rotate_deg)
    write(tmp_path / name, labels(), like=volume)
    back = read_volume(tmp_path / name)
    assert back.same_geometry(volume, tolerance_mm=1e-3)
    assert (back.array == labels()).all()


@pytest.mark.parametrize("name", FORMATS)
def test_itk_lays_our_mask_where_we_do(tmp_path, name):
    volume = phantom(rotate_deg=33)
    write(tmp_path / name, labels(), like=volume)
    image = sitk.ReadImage(str(tmp_path / name))
    assert np.allclose(itk_affine(image), volume.affine_lps, atol=1e-4)
    assert (sitk.GetArrayFromImage(image) == labels()).all()


@pytest.mark.parametrize("name", ["s.nii.gz", "s.nrrd", "s.mha", "s.mhd"])
@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32])
def test_we_read_what_itk_wrote(tmp_path, name, dtype):
    volume = phantom(rotate_deg=20)
    image = sitk.GetImageFromArray(volume.array.astype(dtype))
    image.SetSpacing(volume.spacing_mm[::-1])
    image.SetOrigin(volume.affine_lps[:3, 3].tolist())
    image.SetDirection((volume.affine_lps[:3, :3] / np.array(volume.spacing_mm[::-1])).ravel().tolist())
    sitk.WriteImage(image, str(tmp_path / name))
    back = read_volume(tmp_path / name)
    assert back.same_geometry(volume, tolerance_mm=1e-3)
    assert back.array.dtype == dtype
    assert (back.array == volume.array.astype(dtype)).all()


ORIENTATIONS = [
    np.pad(np.diag(signs)[list(order)], (0, 1))
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1.0, -1.0), repeat=3)
]


@pytest.mark.parametrize("directions", ORIENTATIONS, ids=lambda d: "".join(nibabel.aff2axcodes(d)))
def test_every_orientation_of_nifti_is_read_as_itk_reads_it(tmp_path, directions):
    affine_ras = np.eye(4)
    affine_ras[:3, :3], affine_ras[:3, 3] = directions[:3, :3] * [2.0, 1.0, 3.0], (5, -7, 11)
    array_xyz = np.arange(7 * 6 * 5, dtype=np.int16).reshape(7, 6, 5)
    nibabel.save(nibabel.Nifti1Image(array_xyz, affine_ras), tmp_path / "s.nii")
    volume, image = read_volume(tmp_path / "s.nii"), sitk.ReadImage(str(tmp_path / "s.nii"))
    assert np.allclose(volume.affine_lps, itk_affine(image), atol=1e-4)
    assert (volume.array == sitk.GetArrayFromImage(image)).all()


def test_spacing_follows_the_array_order(tmp_path):
    write(tmp_path / "m.nii.gz", labels(), like=phantom(spacing_mm=(3, 1, 2), rotate_deg=20))
    assert read_volume(tmp_path / "m.nii.gz").spacing_mm == pytest.approx((3, 1, 2), abs=1e-4)


def test_a_nifti_without_a_form_starts_at_zero_as_in_itk(tmp_path):
    image = nibabel.Nifti1Image(np.zeros((7, 6, 5), np.int16), None)
    image.header["pixdim"][1:4] = 2, 1, 3
    nibabel.save(image, tmp_path / "s.nii")
    volume = read_volume(tmp_path / "s.nii")
    assert np.allclose(volume.affine_lps, itk_affine(sitk.ReadImage(str(tmp_path / "s.nii"))))


@pytest.mark.parametrize(("qform", "sform"), [(0, 0), (1, 0), (0, 2), (4, 3)])
def test_a_nifti_mask_keeps_both_forms_of_its_scan(tmp_path, qform, sform):
    scan = nibabel.Nifti1Image(np.zeros((7, 6, 5), np.int16), None)
    scan.header["pixdim"][1:4] = 2, 1, 3
    for set_form, code in ((scan.header.set_qform, qform), (scan.header.set_sform, sform)):
        if code:
            set_form(np.diag([-2.0, 1.0, 3.0, 1.0]), code=code)
    nibabel.save(scan, tmp_path / "s.nii")
    write(tmp_path / "m.nii.gz", labels(), like=read_volume(tmp_path / "s.nii"))
    before, after = (nibabel.load(tmp_path / name).header for name in ("s.nii", "m.nii.gz"))
    for field in ("qform_code", "sform_code", "srow_x", "quatern_b", "qoffset_x"):
        assert (before[field] == after[field]).all(), field


@pytest.mark.parametrize("name", ["m.nii.gz", "m.nrrd", "m.seg.nrrd"])
def test_a_sheared_geometry_survives(tmp_path, name):
    affine = phantom().affine_lps.copy()
    affine[1, 2] += 0.7
    volume = Volume(phantom().array, affine)
    write(tmp_path / name, labels(), like=volume)
    assert read_volume(tmp_path / name).same_geometry(volume, tolerance_mm=1e-3)


def test_a_sheared_geometry_is_refused_by_metaimage_which_cannot_say_it(tmp_path):
    affine = phantom().affine_lps.copy()
    affine[1, 2] += 0.7
    with pytest.raises(OutputError, match="right angles"):
        write(tmp_path / "m.mha", labels(), like=Volume(phantom().array, affine))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", FORMATS)
def test_a_one_slice_volume_keeps_its_geometry(tmp_path, name):
    volume = phantom(shape=(1, 6, 7), rotate_deg=20)
    write(tmp_path / name, volume.array > 0, like=volume)
    back = read(tmp_path / name)
    assert back.same_geometry(volume, tolerance_mm=1e-3)
    assert back.spacing_mm == pytest.approx(volume.spacing_mm, abs=1e-4)


def test_a_mask_elsewhere_is_refused_with_what_differs(tmp_path):
    write(tmp_path / "m.nii.gz", labels(), like=phantom(spacing_mm=(3, 1, 2)))
    with pytest.raises(GeometryError, match=r"spacing \(z, y, x\) \(3, 1, 2\) instead of \(3, 1, 1\)"):
        read_mask(tmp_path / "m.nii.gz", like=phantom(spacing_mm=(3, 1, 1)))


def test_a_mask_of_another_axis_order_is_refused_and_said(tmp_path):
    write(tmp_path / "m.nii.gz", labels((7, 6, 5)), like=phantom((7, 6, 5)))
    with pytest.raises(GeometryError, match="axes are in another order"):
        read_mask(tmp_path / "m.nii.gz", like=phantom((5, 6, 7)))


@pytest.mark.parametrize("value", [255, 256, 70000])
@pytest.mark.parametrize("name", ["m.nii.gz", "m.nrrd", "m.mha", "m.npz"])
def test_large_labels_survive(tmp_path, name, value):
    mask = np.zeros((5, 6, 7), np.int64)
    mask[1, 2, 3] = value
    write(tmp_path / name, mask, like=phantom())
    assert (read_mask(tmp_path / name, like=phantom()) == mask).all()
