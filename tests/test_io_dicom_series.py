"""DICOM series: sorted, rescaled, and refused where they would make a bent volume."""

import shutil

import imagecodecs
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813 - the name everybody uses
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGLosslessSV1

from phantoms import phantom, write_dicom_series
from voxtrace.errors import GeometryError, InputError
from voxtrace.io import read, read_volume, write
from voxtrace.volume import Picture


@pytest.fixture
def series(tmp_path):
    """(folder, its files in the order of the slices, the volume that they hold)."""
    volume = phantom(rotate_deg=20)
    return tmp_path / "ct", write_dicom_series(tmp_path / "ct", volume), volume


def change(path, **changes):
    data = pydicom.dcmread(path)
    for name, value in changes.items():
        setattr(data, name, value)
    data.save_as(path)


def itk_series(folder):
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def test_slices_are_sorted_by_place_and_rescaled_to_hounsfield_units(series):
    folder, _, volume = series
    back = read_volume(folder)
    assert (back.array == volume.array).all()
    assert back.array.dtype == np.int16
    assert back.modality == "CT"


@pytest.mark.parametrize("rotate_deg", [0, 20, 137])
def test_geometry_and_voxels_are_those_of_gdcm(tmp_path, rotate_deg):
    folder = tmp_path / "ct"
    write_dicom_series(folder, phantom(rotate_deg=rotate_deg))
    volume, image = read_volume(folder), itk_series(folder)
    for index_xyz in ((0, 0, 0), (6, 0, 0), (0, 5, 0), (0, 0, 4)):
        assert np.allclose(volume.to_mm(index_xyz[::-1]), image.TransformIndexToPhysicalPoint(index_xyz), atol=1e-3)
    assert (volume.array == sitk.GetArrayFromImage(image)).all()


def test_geometry_is_that_of_the_phantom(series):
    folder, _, volume = series
    assert read_volume(folder).same_geometry(volume, tolerance_mm=1e-3)


def test_each_slice_has_its_own_slope(series):
    folder, files, volume = series
    change(files[2], RescaleSlope=2.5, RescaleIntercept=10)
    stored = volume.array[2].astype(float) + 1024
    assert read_volume(folder).array[2] == pytest.approx(stored * 2.5 + 10)


def test_a_missing_slice_is_refused_with_its_place(series):
    folder, files, _ = series
    files[2].unlink()
    with pytest.raises(GeometryError, match=f"1 slices are missing.*{files[1].name} and {files[3].name}"):
        read(folder)


def test_uneven_slices_are_refused(series):
    folder, files, volume = series
    moved = volume.to_mm(np.array([3.4, 0, 0])).round(5).tolist()
    change(files[3], ImagePositionPatient=moved)
    with pytest.raises(GeometryError, match="not evenly spaced"):
        read(folder)


def test_a_slice_beside_the_row_is_refused(series):
    folder, files, volume = series
    change(files[3], ImagePositionPatient=volume.to_mm(np.array([3, 2, 0])).round(5).tolist())
    with pytest.raises(GeometryError, match=f"straight row: {files[3].name} is 2.00 mm beside"):
        read(folder)


def test_another_orientation_is_refused_with_the_file(series):
    folder, files, _ = series
    change(files[4], ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    with pytest.raises(GeometryError, match=f"orientation .* 4 agree, 1 differ, for example {files[4].name}"):
        read(folder)


def test_slices_of_another_size_are_refused(series):
    folder, files, _ = series
    change(files[1], Rows=3, PixelData=b"\0" * 3 * 7 * 2)
    with pytest.raises(GeometryError, match=r"size .* not the same in all slices"):
        read(folder)


def test_two_acquisitions_in_one_series_are_refused_with_what_tells_them_apart(series):
    folder, files, _ = series
    for file in files:
        second = folder / f"second_{file.name}"
        shutil.copy(file, second)
        change(second, EchoTime=90, SOPInstanceUID=f"9.{file.stem[2:].lstrip('0') or 0}")
    with pytest.raises(GeometryError, match=r"5 positions hold two images.*They differ in EchoTime"):
        read(folder)


def test_a_file_twice_is_refused_as_the_same_image(series):
    folder, files, _ = series
    shutil.copy(files[0], folder / "copy.dcm")
    with pytest.raises(GeometryError, match="are the same image"):
        read(folder)


def test_several_series_are_listed_and_one_can_be_taken(series):
    folder, _, volume = series
    write_dicom_series(folder / "other", volume.like(volume.array + 5), series="1.2.3.77", SeriesDescription="thin")
    with pytest.raises(InputError, match=r"holds 2 series, take one:\n  ct#1\.2\.3\.4  CT, 5 files(.|\n)*77, thin"):
        read(folder)
    assert (read_volume(f"{folder}#1.2.3.77").array == volume.array + 5).all()
    assert (read_volume(f"{folder}#4").array == volume.array).all()


def test_an_unknown_series_lists_those_there_are(series):
    with pytest.raises(InputError, match=r"none is '9\.9':\n  ct#1\.2\.3\.4"):
        read(f"{series[0]}#9.9")


def test_files_of_other_kinds_among_the_slices_are_passed_over(series):
    folder, _, volume = series
    (folder / "readme.txt").write_text("from the archive")
    change_to_segmentation = write_dicom_series(folder / "seg", volume, series="1.2.3.5", Modality="SEG")
    assert len(change_to_segmentation) == 5
    assert read_volume(folder).shape == volume.shape


def test_slices_in_folders_below_are_found_and_names_do_not_matter(series):
    folder, files, volume = series
    (folder / "a" / "b").mkdir(parents=True)
    for index, file in enumerate(files):
        file.rename(folder / "a" / "b" / f"{97 - index}")
    assert (read_volume(folder).array == volume.array).all()


def test_files_without_preamble_are_read(series):
    folder, files, volume = series
    for file in files:
        file.write_bytes(file.read_bytes()[132:])
    assert (read_volume(folder).array == volume.array).all()


def test_a_tilted_gantry_gives_a_sheared_affine(series):
    folder, files, volume = series
    affine = volume.affine_lps.copy()
    affine[:3, 2] += volume.affine_lps[:3, 1] * 0.6
    for index, file in enumerate(files):
        change(file, ImagePositionPatient=(affine[:3, 3] + index * affine[:3, 2]).round(6).tolist())
    assert np.allclose(read_volume(folder).affine_lps, affine, atol=1e-4)


def test_a_single_file_is_a_volume_of_one_slice(series):
    _, files, volume = series
    back = read(files[3])
    assert (back.array == volume.array[3:4]).all()
    assert back.spacing_mm == pytest.approx(volume.spacing_mm, abs=1e-4)


def test_a_multi_frame_file_is_refused_with_a_way_out(series):
    _, files, _ = series
    change(files[0], NumberOfFrames=2)
    with pytest.raises(InputError, match=r"multi-frame DICOM file .2 frames.*dcm2niix"):
        read(files[0])


def test_slices_without_a_place_are_no_stack(series):
    folder, files, _ = series
    data = pydicom.dcmread(files[1])
    del data.ImagePositionPatient
    data.save_as(files[1])
    with pytest.raises(GeometryError, match=f"1 of 5 files do not say where they lie.*{files[1].name}"):
        read(folder)


def test_an_x_ray_is_a_picture_white_on_black(series):
    _, files, volume = series
    data = pydicom.dcmread(files[0])
    del data.ImagePositionPatient
    data.Modality, data.PhotometricInterpretation = "DX", "MONOCHROME1"
    data.save_as(files[0])
    picture = read(files[0])
    assert isinstance(picture, Picture)
    assert picture.modality == "DX"
    assert picture.spacing_mm == (1.0, 2.0)
    assert (picture.pixels == 65535 - (volume.array[0].astype(int) + 1024)).all()


@pytest.mark.parametrize("signed", [False, True])
def test_jpeg_lossless_is_decoded(series, signed):
    folder, files, volume = series
    for file, slice_hu in zip(files, volume.array, strict=True):
        data = pydicom.dcmread(file)
        stored = slice_hu if signed else slice_hu + 1024
        packed = imagecodecs.ljpeg_encode(stored.astype(np.int16).view(np.uint16), bitspersample=16)
        data.file_meta.TransferSyntaxUID = JPEGLosslessSV1
        data.PixelRepresentation, data.RescaleIntercept = int(signed), 0 if signed else -1024
        data.PixelData = encapsulate([packed])
        data["PixelData"].is_undefined_length = True
        data.save_as(file)
    assert (read_volume(folder).array == volume.array).all()


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"])
def test_compressed_files_hold_what_the_plain_one_holds(name):
    plain, packed = (pydicom.data.get_testdata_file(file, download=False) for file in ("MR_small.dcm", name))
    assert (read(packed).array == read(plain).array).all()


def test_a_truncated_slice_is_refused_with_its_name(series):
    folder, files, _ = series
    files[2].write_bytes(files[2].read_bytes()[:-40])
    with pytest.raises(InputError, match=files[2].name):
        read(folder)


def test_a_mask_of_a_series_lies_where_gdcm_lays_the_series(series, tmp_path):
    folder, _, volume = series
    write(tmp_path / "m.nii.gz", volume.array > 50, like=read(folder))
    mask, image = sitk.ReadImage(str(tmp_path / "m.nii.gz")), itk_series(folder)
    assert np.allclose(
        mask.TransformIndexToPhysicalPoint((6, 5, 4)), image.TransformIndexToPhysicalPoint((6, 5, 4)), atol=1e-3
    )


@pytest.mark.data
@pytest.mark.parametrize(
    ("folder", "modality"),
    [
        ("dicom__dcmqi_ct_seg/ct", "CT"),
        ("dicom__sts_rtstruct/PET/image", "PT"),
        ("dicom__sts_rtstruct/MR_T1/image", "MR"),
    ],
)
def test_real_series_are_read_as_gdcm_reads_them(data_root, folder, modality):
    volume, image = read_volume(data_root / folder), itk_series(data_root / folder)
    last = np.array(volume.shape) - 1
    assert volume.modality == modality
    assert np.allclose(volume.array, sitk.GetArrayFromImage(image), rtol=1e-5, atol=1e-3)
    assert np.allclose(volume.to_mm(last), image.TransformIndexToPhysicalPoint(last[::-1].tolist()), atol=1e-2)


@pytest.mark.data
def test_a_real_multi_frame_ct_is_refused_with_a_way_out(data_root):
    with pytest.raises(InputError, match="multi-frame"):
        read(data_root / "dicom__dcmqi_ct_seg/tiny_24x38x3/multiframe/mf.dcm")


@pytest.mark.data
def test_a_segmentation_object_is_no_scan(data_root):
    with pytest.raises(InputError, match=r"SEG|multi-frame"):
        read(data_root / "dicom__dcmqi_ct_seg/seg/liver.dcm")
