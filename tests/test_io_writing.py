"""A mask is written whole or not at all, and never over an input."""

import errno
import os
import signal

import numpy as np
import pytest

from phantoms import labels, phantom, write_dicom_series
from voxtrace.errors import OutputError
from voxtrace.io import check_output, nifti, read, read_mask, write
from voxtrace.volume import Picture, Video


@pytest.fixture
def scan(tmp_path):
    """A volume that was read from tmp_path/scan.nii.gz."""
    write(tmp_path / "scan.nii.gz", labels(), like=phantom())
    return read(tmp_path / "scan.nii.gz")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def aliases(folder, scan):
    """The input under other names: relative, through a link, through a hard link, by a detour."""
    (folder / "link.nii.gz").symlink_to(scan.source)
    os.link(scan.source, folder / "hard.nii.gz")
    (folder / "sub").mkdir()
    yield from ("scan.nii.gz", folder / "link.nii.gz", folder / "hard.nii.gz", folder / "sub" / ".." / "scan.nii.gz")


@pytest.mark.parametrize("overwrite", [False, True])
def test_the_input_is_never_overwritten_by_any_of_its_names(tmp_path, scan, monkeypatch, overwrite):
    monkeypatch.chdir(tmp_path)
    before = scan.source.read_bytes()
    for path in aliases(tmp_path, scan):
        with pytest.raises(OutputError, match=r"is the scan itself.*Give another name, for example \S+_mask\.nii\.gz"):
            write(path, labels(), like=scan, overwrite=overwrite)
    assert scan.source.read_bytes() == before


def test_a_slice_of_a_series_is_never_overwritten(tmp_path):
    files = write_dicom_series(tmp_path / "ct", phantom())
    files[0].rename(tmp_path / "ct" / "m.nii.gz")
    with pytest.raises(OutputError, match="is the scan itself"):
        write(tmp_path / "ct" / "m.nii.gz", labels(), like=read(tmp_path / "ct"), overwrite=True)


def test_a_new_file_beside_the_slices_is_allowed(tmp_path):
    write_dicom_series(tmp_path / "ct", phantom())
    scan = read(tmp_path / "ct")
    write(tmp_path / "ct" / "m.nii.gz", labels(), like=scan)
    assert (read_mask(tmp_path / "ct" / "m.nii.gz", like=scan) == labels()).all()


def test_an_existing_file_is_replaced_only_when_allowed(tmp_path, scan):
    write(tmp_path / "m.nii.gz", labels(), like=scan)
    with pytest.raises(OutputError, match=r"m\.nii\.gz exists; give another name, or allow"):
        write(tmp_path / "m.nii.gz", labels() * 2, like=scan)
    write(tmp_path / "m.nii.gz", labels() * 2, like=scan, overwrite=True)
    assert read_mask(tmp_path / "m.nii.gz").max() == 4


def full_disk(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("name", ["m.nii.gz", "m.nrrd", "m.seg.nrrd", "m.mha", "m.npz"])
def test_a_disk_found_full_at_the_end_leaves_everything_as_it_was(tmp_path, scan, monkeypatch, name):
    write(tmp_path / name, labels(), like=scan)
    before = contents(tmp_path)
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OutputError, match=rf"{name} was not written: the disk is full"):
        write(tmp_path / name, labels() * 2, like=scan, overwrite=True)
    assert contents(tmp_path) == before


def test_a_disk_that_fills_up_halfway_leaves_nothing_half_written(tmp_path, scan, monkeypatch):
    def half(path, mask, like):
        path.write_bytes(b"half")
        full_disk()

    monkeypatch.setattr("voxtrace.io.writing.VOLUME_WRITERS", {".nii.gz": half})
    before = contents(tmp_path)
    with pytest.raises(OutputError, match="disk is full"):
        write(tmp_path / "m.nii.gz", labels(), like=scan)
    assert contents(tmp_path) == before
    assert nifti.write is not half


def test_a_full_disk_leaves_no_half_folder_of_frames(tmp_path, monkeypatch):
    frames = np.zeros((3, 6, 7, 3), np.uint8)
    written = []

    def second_fails(path, mask):
        written.append(path)
        if len(written) == 2:
            full_disk()
        path.write_bytes(b"x")

    monkeypatch.setattr("voxtrace.io.picture.write", second_fails)
    with pytest.raises(OutputError, match="disk is full"):
        write(tmp_path / "out", np.ones((3, 6, 7), np.uint8), like=Video(frames, (3, 6, 7)))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_missing_is_made(tmp_path, scan):
    write(tmp_path / "a" / "b" / "m.nii.gz", labels(), like=scan)
    assert (tmp_path / "a" / "b" / "m.nii.gz").is_file()


def test_a_folder_that_cannot_be_made_is_said(tmp_path, scan):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match=r"m\.nii\.gz was not written"):
        write(tmp_path / "file" / "m.nii.gz", labels(), like=scan)


def test_a_folder_is_no_file_name(tmp_path, scan):
    with pytest.raises(OutputError, match="is a folder; give a file's name in it"):
        write(tmp_path, labels(), like=scan)


@pytest.mark.parametrize("name", ["m.txt", "m", "m.dcm", "m.nhdr"])
def test_an_unknown_format_names_those_there_are(tmp_path, scan, name):
    with pytest.raises(OutputError, match=r"formats are \.nii\.gz"):
        write(tmp_path / name, labels(), like=scan)


@pytest.mark.parametrize("name", ["m.png", "m.tif"])
def test_a_volumes_mask_is_no_picture(tmp_path, scan, name):
    with pytest.raises(OutputError, match="cannot keep a volume's geometry"):
        write(tmp_path / name, labels(), like=scan)


def test_a_mask_of_another_shape_is_not_written(tmp_path, scan):
    with pytest.raises(OutputError, match=r"shape \(4, 6, 7\), the scan \(5, 6, 7\)"):
        write(tmp_path / "m.nii.gz", labels((4, 6, 7)), like=scan)


@pytest.mark.parametrize("mask", [np.full((6, 7), 0.5), np.full((6, 7), -1)], ids=["logits", "negative"])
def test_what_is_no_label_map_is_not_written(tmp_path, mask):
    with pytest.raises(OutputError, match=r"whole numbers|count from 0"):
        write(tmp_path / "m.png", mask, like=Picture(np.zeros((6, 7), np.uint8)))


def test_an_output_can_be_checked_before_the_work_begins(tmp_path, scan):
    with pytest.raises(OutputError, match="is the scan itself"):
        check_output(scan.source, scan)
    assert check_output(tmp_path / "m.nii.gz", scan) == tmp_path / "m.nii.gz"


def test_a_link_to_another_place_is_followed_not_replaced(tmp_path, scan):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "m.nii.gz").symlink_to(tmp_path / "elsewhere" / "real.nii.gz")
    write(tmp_path / "m.nii.gz", labels(), like=scan)
    assert (tmp_path / "m.nii.gz").is_symlink()
    assert (tmp_path / "elsewhere" / "real.nii.gz").is_file()


@pytest.mark.parametrize(
    "name", ["m.nii", "m.nii.gz", "m.nrrd", "m.seg.nrrd", "m.mha", "m.npz", "m.png", "m.bmp", "m.tif"]
)
def test_every_writer_hears_of_a_write_that_the_system_cuts_short(tmp_path, name):
    resource = pytest.importorskip("resource", reason="limits of file size are a POSIX matter")
    mask = np.random.default_rng(0).integers(0, 200, (60, 70)).astype(np.uint8)
    old_action, old_limit = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, old_limit[1]))
    try:
        with pytest.raises(OutputError, match=f"{name} was not written"):
            write(tmp_path / name, mask, like=Picture(mask))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old_limit)
        signal.signal(signal.SIGXFSZ, old_action)
    assert list(tmp_path.iterdir()) == []
