"""Outputs that cannot be written, or would destroy something: told before the work, nothing lost."""

import errno
import os

import nibabel
import numpy as np
import pytest

from command_line import BOX, SHAPE, write_mask, write_picture


def test_an_output_never_overwrites_the_scan(fails, scan, tmp_path):
    for force in ((), ("--overwrite",)):
        assert "overwrit" in fails("segment", scan, "-o", scan, "--box", BOX, *force)


@pytest.mark.parametrize("link", [os.symlink, os.link], ids=["symbolic", "hard"])
def test_an_output_never_overwrites_the_scan_through_a_link(fails, scan, tmp_path, link):
    link(scan, tmp_path / "alias.nii.gz")
    said = fails("segment", scan, "-o", tmp_path / "alias.nii.gz", "--box", BOX, "--overwrite")
    assert "would overwrite the input" in said


def test_an_output_never_overwrites_a_mark_or_its_own_preview(fails, scan, tmp_path):
    mask = write_mask(tmp_path / "known.nii.gz", np.ones(SHAPE, bool))
    said = fails("segment", scan, "-o", mask, "--mask", mask, "--overwrite")
    assert "would overwrite the input" in said
    picture = write_picture(tmp_path / "p.png")
    words = ("segment", picture, "-o", tmp_path / "m.png", "--preview", tmp_path / "m.png", "--box", "8,17,22,35")
    assert "same name" in fails(*words)


def test_an_existing_output_needs_permission(fails, voxtrace, scan, tmp_path):
    (tmp_path / "m.nii.gz").write_bytes(b"precious")
    words = ("segment", scan, "-o", tmp_path / "m.nii.gz", "--box", BOX)
    assert "--overwrite" in fails(*words)
    assert voxtrace.opened == []
    assert voxtrace(*words, "--overwrite").code == 0


def test_an_existing_preview_is_noticed_before_the_work(fails, voxtrace, scan, tmp_path):
    (tmp_path / "p.png").write_bytes(b"precious")
    said = fails("segment", scan, "-o", tmp_path / "m.nii.gz", "--box", BOX, "--preview", tmp_path / "p.png")
    assert "p.png exists already" in said
    assert voxtrace.opened == []


@pytest.mark.parametrize(
    ("name", "said"),
    [("m.xyz", "formats are"), ("m.jpg", "JPEG blurs labels"), ("m.png", "cannot keep a volume's geometry")],
)
def test_formats_that_cannot_hold_the_mask(fails, voxtrace, scan, tmp_path, name, said):
    assert said in fails("segment", scan, "-o", tmp_path / name, "--box", BOX)
    assert voxtrace.opened == []


def test_a_folder_that_cannot_be_made(fails, scan, tmp_path):
    (tmp_path / "file").write_text("x")
    assert "is a file" in fails("segment", scan, "-o", tmp_path / "file" / "m.nii.gz", "--box", BOX)


def test_a_full_disk_is_told_and_leaves_the_old_file(voxtrace, scan, tmp_path, monkeypatch):
    (tmp_path / "m.nii.gz").write_bytes(b"precious")

    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(nibabel.Nifti1Image, "to_filename", full)
    monkeypatch.setattr(os, "fsync", full)
    ran = voxtrace("segment", scan, "-o", tmp_path / "m.nii.gz", "--box", BOX, "--overwrite")
    assert ran.code == 2
    assert "the disk is full" in ran.err
    assert (tmp_path / "m.nii.gz").read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ct.nii.gz", "m.nii.gz"]
