"""A user's mistakes: exit code 2, one clear message, no traceback, nothing written, nothing lost."""

import gzip

import nibabel
import numpy as np
import pytest

from command_line import BOX, SHAPE, write_mask, write_nifti, write_picture
from phantoms import affine, phantom
from voxtrace import cli
from voxtrace.volume import Volume

# The scan


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "is empty (0 bytes)"), (b"hello, this is a text\n" * 40, "not: it begins with")]
)
def test_files_that_are_no_scan(fails, tmp_path, content, said):
    (tmp_path / "x.nii.gz").write_bytes(content)
    assert said in fails("segment", tmp_path / "x.nii.gz", "-o", tmp_path / "m.nii.gz", "--box", BOX)


def test_a_truncated_scan(fails, scan, tmp_path):
    whole = gzip.decompress(scan.read_bytes())
    (tmp_path / "cut.nii").write_bytes(whole[: len(whole) // 2])
    said = fails("segment", tmp_path / "cut.nii", "-o", tmp_path / "m.nii.gz", "--box", BOX)
    assert "cut.nii is cut off or damaged" in said


def test_a_missing_scan_names_the_near_one(fails, scan, tmp_path):
    said = fails("segment", tmp_path / "cr.nii.gz", "-o", tmp_path / "m.nii.gz", "--box", BOX)
    assert "did you mean ct.nii.gz?" in said


def test_a_4d_file_where_3d_is_meant(fails, tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.zeros((5, 6, 7, 3), np.int16), np.eye(4)), tmp_path / "bold.nii")
    said = fails("segment", tmp_path / "bold.nii", "-o", tmp_path / "m.nii", "--box", "1:1,1,3,3")
    assert "bold.nii#0" in said


def test_one_volume_of_a_4d_file_can_be_taken(voxtrace, tmp_path):
    volume = phantom(SHAPE)
    data = np.stack([volume.array.transpose(2, 1, 0)] * 2, axis=-1)
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), tmp_path / "bold.nii")
    ran = voxtrace("segment", f"{tmp_path}/bold.nii#1", "-o", tmp_path / "m.nii", "--box", BOX)
    assert ran.code == 0, ran.err


def test_a_scan_of_nothing_but_nan(fails, tmp_path):
    write_nifti(tmp_path / "nan.nii.gz", Volume(np.full(SHAPE, np.nan, np.float32), affine()))
    said = fails("segment", tmp_path / "nan.nii.gz", "-o", tmp_path / "m.nii.gz", "--box", BOX)
    assert "NaN or infinite" in said


def test_some_nan_voxels_are_told_and_do_not_matter(voxtrace, tmp_path):
    array = phantom(SHAPE).array.astype(np.float32)
    array[0, :3] = np.nan
    write_nifti(tmp_path / "some.nii.gz", Volume(array, affine()))
    ran = voxtrace("segment", tmp_path / "some.nii.gz", "-o", tmp_path / "m.nii.gz", "--box", BOX)
    assert ran.code == 0
    assert "105 of 12600 values are NaN or infinite" in ran.err


def test_a_constant_scan_and_an_empty_slice(fails, tmp_path):
    array = phantom(SHAPE).array
    array[6] = -1000
    write_nifti(tmp_path / "gap.nii.gz", Volume(array, affine()))
    said = fails("segment", tmp_path / "gap.nii.gz", "-o", tmp_path / "m.nii.gz", "--box", BOX)
    assert "z=6 is empty" in said
    assert "--window" in said
    write_nifti(tmp_path / "same.nii.gz", Volume(np.full(SHAPE, 7, np.int16), affine()))
    assert "is empty" in fails("segment", tmp_path / "same.nii.gz", "-o", tmp_path / "m.nii.gz", "--box", BOX)


def test_a_video_is_sent_to_track_and_a_scan_to_segment(fails, scan, tmp_path):
    (tmp_path / "frames").mkdir()
    for name in ("a.png", "b.png"):
        write_picture(tmp_path / "frames" / name)
    assert "voxtrace track" in fails("segment", tmp_path / "frames", "-o", tmp_path / "m", "--box", "0:8,17,22,35")
    assert "voxtrace segment" in fails("track", scan, "-o", tmp_path / "m", "--box", BOX)


# The marks


@pytest.mark.parametrize(
    ("marks", "said"),
    [
        ((), "nothing is marked"),
        (("--box", "99:7,16,17,27"), "outside the scan (0..12)"),
        (("--box", "6:7,16,17,99"), "outside the scan (0..35)"),
        (("--box", "6:17,16,7,27"), "inverted in its y axis (17 to 7)"),
        (("--box", "6:7,16,7,27"), "zero size in its y axis"),
        (("--box", "7,16,17,27"), "the slice is missing; write Z:Y0,X0,Y1,X1"),
        (("--box", "six:7,16,17,27"), "'six' is not a number"),
        (("--box3d", "1,2,3"), "expected 6 numbers, got 3"),
        (("--point", "6,12,99"), "point x=99 is outside the scan (0..34); prompts are (z, y, x) voxels, not mm"),
        (("--point", "6,12,21:?"), "after the colon comes"),
        (("--point", "6,12,21:-"), "only negative points"),
        (("--recist", "6:12,16,12,16"), "has no length"),
        (("--mask", "missing.nii.gz"), "missing.nii.gz does not exist"),
        (("--scribble", "missing.nii.gz"), "missing.nii.gz does not exist"),
        (("--prompts", "missing.json"), "missing.json does not exist"),
        (("--prompts", "a.json", "--box", BOX), "put all marks into the file"),
    ],
)
def test_marks_that_do_not_fit(fails, scan, tmp_path, marks, said):
    assert said in fails("segment", scan, "-o", tmp_path / "m.nii.gz", *marks)


def test_empty_masks_and_scribbles(fails, scan, tmp_path):
    empty = write_mask(tmp_path / "empty.nii.gz", np.zeros(SHAPE, bool))
    for flag in ("--mask", "--scribble"):
        said = fails("segment", scan, "-o", tmp_path / "m.nii.gz", flag, empty)
        assert f"{flag} {empty}: the file is empty" in said


def test_a_mask_that_lies_elsewhere_names_the_difference(fails, scan, tmp_path):
    other = write_mask(tmp_path / "other.nii.gz", np.ones((12, 30, 36), bool))
    assert "(12, 30, 36), the scan (12, 30, 35)" in fails("segment", scan, "-o", tmp_path / "m.nii.gz", "--mask", other)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not valid JSON"),
        ('{"objects": []}', "objects is empty"),
        ('{"objects": [{"prompts": [{"kind": "ring"}]}]}', "objects[0].prompts[0].kind is 'ring'; one of box"),
        (
            '{"objects": [{"name": "a", "prompts": [{"kind": "point", "z": 99, "y": 1, "x": 1}]}]}',
            "objects[0].prompts[0]: point z=99",
        ),
        ('{"objects": [{"prompts": [{"kind": "mask", "file": "no.nii"}]}]}', "no.nii does not exist"),
    ],
)
def test_prompts_files_that_do_not_fit(fails, scan, tmp_path, text, said):
    (tmp_path / "p.json").write_text(text)
    assert said in fails("segment", scan, "-o", tmp_path / "m.nii.gz", "--prompts", tmp_path / "p.json")


# The options


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--memory", "lifo"), "--memory lifo is unknown; one of fifo, selfsorting"),
        (("--window", "lunge"), "did you mean lung"),
        (("--window", "40/0"), "no width"),
        (("--zoom", "big"), "--zoom big: write auto, off, or a number"),
        (("--zoom", "0.5"), "at least 1"),
        (("--image-size", "3"), "at least 32"),
    ],
)
def test_options_that_mean_nothing(fails, scan, tmp_path, options, said):
    assert said in fails("segment", scan, "-o", tmp_path / "m.nii.gz", "--box", BOX, *options)


@pytest.mark.parametrize("words", [("segmnt",), ("segment",), ("segment", "a.nii", "--bx", "1"), ("info",)])
def test_wrong_words_are_explained_without_a_traceback(voxtrace, words):
    ran = voxtrace(*words)
    assert ran.code == 2
    assert "Traceback" not in ran.err
    assert "--help" in ran.err


def test_an_unknown_model_names_the_near_ones(capsys, scan, tmp_path):
    words = ["segment", str(scan), "-o", str(tmp_path / "m.nii.gz"), "--box", BOX, "--model", "medsam22"]
    assert cli.main(words) == 2
    assert "no model is called 'medsam22'; did you mean medsam2" in capsys.readouterr().err
