"""Small scans made for tests: asymmetric in shape, spacing and content, so that a flip or a swapped axis shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voxtrace.volume import Volume

AIR_HU, BODY_HU, LESION_HU, NOISE_HU = -1000, 30, 120, 15


def rotation(degrees: float) -> np.ndarray:
    """(3, 3) turn about the axis (1, 2, 3): oblique to every anatomical plane."""
    axis = np.array([1.0, 2.0, 3.0]) / np.sqrt(14)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    angle = np.deg2rad(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def affine(
    spacing_mm: tuple[float, float, float] = (3.0, 1.0, 2.0),
    rotate_deg: float = 0.0,
    origin_mm: tuple[float, float, float] = (-11.0, 22.0, 33.5),
) -> np.ndarray:
    """(4, 4) LPS affine; spacing in (z, y, x), origin in (x, y, z)."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(rotate_deg) * np.array(spacing_mm[::-1])
    matrix[:3, 3] = origin_mm
    return matrix


def ellipsoid(
    shape: tuple[int, int, int], centre: tuple[float, float, float], radii: tuple[float, float, float]
) -> np.ndarray:
    """(D, H, W) bool: voxels inside an ellipsoid; centre and radii in (z, y, x) voxels."""
    grid = np.indices(shape, dtype=float)
    distance = sum(((g - c) / max(r, 1e-6)) ** 2 for g, c, r in zip(grid, centre, radii, strict=True))
    return np.asarray(distance <= 1)


def lesion(shape: tuple[int, int, int] = (5, 6, 7)) -> np.ndarray:
    """(D, H, W) bool: the bright object in `phantom(shape)`, away from the centre on every axis."""
    d, h, w = shape
    return ellipsoid(shape, (0.55 * d, 0.4 * h, 0.6 * w), (0.25 * d, 0.22 * h, 0.18 * w))


def phantom(
    shape: tuple[int, int, int] = (5, 6, 7),
    spacing_mm: tuple[float, float, float] = (3.0, 1.0, 2.0),
    rotate_deg: float = 0.0,
    *,
    modality: str | None = "CT",
    seed: int = 0,
) -> Volume:
    """A CT-like int16 volume in HU: air, a body with a bright lesion (see `lesion`), noise. No source."""
    d, h, w = shape
    body = ellipsoid(shape, (d / 2, h / 2, w / 2), (0.8 * d, 0.45 * h, 0.45 * w))
    array = np.where(body, BODY_HU, AIR_HU)
    array[lesion(shape)] = LESION_HU
    noise = np.random.default_rng(seed).normal(0, NOISE_HU, shape)
    return Volume((array + noise).clip(-1024).astype(np.int16), affine(spacing_mm, rotate_deg), modality)


def labels(shape: tuple[int, int, int] = (5, 6, 7)) -> np.ndarray:
    """(D, H, W) uint8 with two objects: the lesion is 1, a block in the last corner is 2."""
    mask = lesion(shape).astype(np.uint8)
    mask[-2:, -2:, -1:] = 2
    return mask


def write_dicom_series(folder: Path, volume: Volume, *, series: str = "1.2.3.4", **changes: object) -> list[Path]:
    """One CT file a slice, stored as HU + 1024 with intercept -1024, in an order that is not the anatomical one.

    `changes` sets DICOM attributes in every file. Returns the files in the volume's slice order.
    """
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    folder.mkdir(parents=True, exist_ok=True)
    files = []
    shuffled = np.random.default_rng(5).permutation(len(volume.array))
    spacing = volume.spacing_mm
    x_axis, y_axis = (volume.affine_lps[:3, i] / spacing[2 - i] for i in (0, 1))
    for index, slice_hu in enumerate(volume.array):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = f"{series}.{index + 1}"
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = folder / f"IM{shuffled[index]:04d}.dcm"
        data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = "1.2.3", series, "1.2.9"
        data.Modality, data.PatientID, data.PatientName = "CT", "phantom", "Phantom"
        data.SeriesNumber, data.InstanceNumber = int(series.split(".")[-1]), index + 1
        data.Rows, data.Columns = slice_hu.shape
        data.PixelSpacing = [round(spacing[1], 6), round(spacing[2], 6)]
        data.SliceThickness = round(spacing[0], 6)
        data.ImageOrientationPatient = [round(float(v), 8) for v in (*x_axis, *y_axis)]
        data.ImagePositionPatient = [round(float(v), 6) for v in volume.to_mm(np.array([index, 0, 0]))]
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
        data.RescaleSlope, data.RescaleIntercept = 1, -1024
        data.PixelData = np.clip(slice_hu.astype(int) + 1024, 0, 65535).astype("<u2").tobytes()
        for name, value in changes.items():
            setattr(data, name, value)
        pydicom.dcmwrite(path, data)
        files.append(path)
    return files
