"""`voxtrace segment` through its real entry, with the fake engine."""

import json

import numpy as np
import pytest
from PIL import Image

from command_line import BOX, SHAPE, dice, true_lesion, write_mask, write_picture, write_scan
from phantoms import write_dicom_series
from voxtrace.cli import main
from voxtrace.io import read, read_mask


def test_a_box_on_one_slice_becomes_a_mask_in_the_scans_geometry(voxtrace, scan, tmp_path):
    ran = voxtrace("segment", scan, "-o", tmp_path / "mask.nii.gz", "--box", BOX)
    assert ran.code == 0, ran.err
    mask = read(tmp_path / "mask.nii.gz")
    assert mask.same_geometry(read(scan))
    assert dice(mask.array > 0, true_lesion()) > 0.8


def test_an_oblique_scan_keeps_its_geometry_in_another_format(voxtrace, tmp_path):
    scan = write_scan(tmp_path / "ct.nii.gz", rotate_deg=20)
    assert voxtrace("segment", scan, "-o", tmp_path / "mask.seg.nrrd", "--box", BOX).code == 0
    assert read(tmp_path / "mask.seg.nrrd").same_geometry(read(scan))


def test_people_are_told_model_window_size_ends_and_files(voxtrace, scan, tmp_path):
    out, preview = tmp_path / "mask.nii.gz", tmp_path / "p.png"
    said = voxtrace("segment", scan, "-o", out, "--box", BOX, "--preview", preview).out
    for part in ("model fake (64 px), memory fifo", "40/400 (chosen; change it with --window", " ml, z ", str(out)):
        assert part in said
    assert "up from 6: object ended at z=" in said
    assert "down from 6: object ended at z=" in said
    assert Image.open(preview).width > 600


def test_json_is_one_object_and_nothing_else_is_printed(voxtrace, scan, tmp_path):
    ran = voxtrace("segment", scan, "-o", tmp_path / "m.nii.gz", "--box", BOX, "--json")
    (result,) = ran.json["results"]
    assert ran.err == ""
    assert result["outputs"]["masks"] == [str(tmp_path / "m.nii.gz")]
    assert (result["kind"], result["shape"], result["spacing_mm"]) == ("volume", list(SHAPE), [3, 1, 2])
    (found,) = result["objects"]
    mask = read_mask(tmp_path / "m.nii.gz")
    assert found["voxels"] == np.count_nonzero(mask)
    assert found["volume_ml"] == pytest.approx(found["voxels"] * 6 / 1000)
    assert found["frames"] == np.flatnonzero(mask.any(axis=(1, 2))).tolist()
    assert found["prompted"] == [6]
    assert set(found["confidence"]) >= {str(frame) for frame in found["frames"]}
    assert {stop["step"] for stop in found["stops"]} == {1, -1}


def test_points_with_a_negative_one_and_a_recist_line_are_understood(voxtrace, scan, tmp_path):
    ran = voxtrace("segment", scan, "-o", tmp_path / "a.nii.gz", "--point", "6,12,21", "--point", "6,14,22:-")
    assert ran.code == 0, ran.err
    assert not read_mask(tmp_path / "a.nii.gz")[6, 14, 22]
    ran = voxtrace("segment", scan, "-o", tmp_path / "b.nii.gz", "--recist", "6:12,16,12,25")
    assert ran.code == 0, ran.err
    assert read_mask(tmp_path / "b.nii.gz").any()


def test_a_3d_box_limits_the_slices(voxtrace, scan, tmp_path):
    ran = voxtrace("segment", scan, "-o", tmp_path / "m.nii.gz", "--box3d", "6,7,16,8,17,27", "--json")
    assert set(ran.json["results"][0]["objects"][0]["frames"]) <= {6, 7}


def test_mask_and_scribble_files_mark_the_object(voxtrace, scan, tmp_path):
    one_slice = true_lesion() & (np.arange(12) == 6)[:, None, None]
    known = write_mask(tmp_path / "known.nii.gz", one_slice)
    ran = voxtrace("segment", scan, "-o", tmp_path / "m.nii.gz", "--mask", known)
    assert ran.code == 0, ran.err
    assert np.array_equal(read_mask(tmp_path / "m.nii.gz")[6] > 0, one_slice[6])
    stroke = np.zeros(SHAPE, bool)
    stroke[6, 12, 19:24] = True
    painted = write_mask(tmp_path / "stroke.nii.gz", stroke)
    assert voxtrace("segment", scan, "-o", tmp_path / "s.nii.gz", "--scribble", painted).code == 0
    assert dice(read_mask(tmp_path / "s.nii.gz") > 0, true_lesion()) > 0.8


def test_a_prompts_file_gives_several_named_objects(voxtrace, scan, tmp_path):
    objects = [
        {"name": "lesion", "prompts": [{"kind": "box", "z": 6, "y0": 7, "x0": 16, "y1": 17, "x1": 27}]},
        {"name": "body", "prompts": [{"kind": "point", "z": 6, "y": 22, "x": 10}]},
    ]
    (tmp_path / "p.json").write_text(json.dumps({"objects": objects}))
    ran = voxtrace("segment", scan, "-o", tmp_path / "m.seg.nrrd", "--prompts", tmp_path / "p.json", "--json")
    assert [one["name"] for one in ran.json["results"][0]["objects"]] == ["lesion", "body"]
    assert set(np.unique(read_mask(tmp_path / "m.seg.nrrd"))) == {0, 1, 2}


def test_kept_overlaps_are_one_file_an_object(voxtrace, scan, tmp_path):
    mark = {"kind": "box", "z": 6, "y0": 7, "x0": 16, "y1": 17, "x1": 27}
    objects = [{"name": "left lobe", "prompts": [mark]}, {"name": "b", "prompts": [mark]}]
    (tmp_path / "p.json").write_text(json.dumps({"objects": objects}))
    out = tmp_path / "m.nii.gz"
    assert voxtrace("segment", scan, "-o", out, "--prompts", tmp_path / "p.json", "--overlap", "keep").code == 0
    first, second = (read_mask(tmp_path / name) for name in ("m_left_lobe.nii.gz", "m_b.nii.gz"))
    assert first.any()
    assert np.array_equal(first, second)
    assert not out.exists()


def test_another_axis_takes_boxes_on_that_axis(voxtrace, scan, tmp_path):
    ran = voxtrace("segment", scan, "-o", tmp_path / "m.nii.gz", "--axis", "2", "--box", "21:4,8,10,16", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["results"][0]["objects"][0]["prompted"] == [21]
    assert dice(read_mask(tmp_path / "m.nii.gz") > 0, true_lesion()) > 0.7


def test_window_and_memory_are_handed_on(voxtrace, scan, tmp_path):
    options = ("--window", "60/350", "--memory", "selfsorting:released")
    ran = voxtrace("segment", scan, "-o", tmp_path / "m.nii.gz", "--box", BOX, *options, "--json")
    assert ran.json["results"][0]["window"] == "60/350"
    assert ran.json["memory"] == "selfsorting:released"


def test_model_device_and_image_size_reach_the_engine(voxtrace, scan, tmp_path):
    options = ("--model", "medsam2", "--device", "cpu", "--image-size", "512")
    options += ("--engine", "onnxruntime", "--precision", "fp32")
    voxtrace("segment", scan, "-o", tmp_path / "m.nii.gz", "--box", BOX, *options)
    assert voxtrace.opened == [("medsam2", "cpu", 512, "onnxruntime", "fp32")]


def test_pictures_leave_the_slice_out(voxtrace, tmp_path):
    picture = write_picture(tmp_path / "p.png")
    out, preview = tmp_path / "m.png", tmp_path / "v.png"
    ran = voxtrace("segment", picture, "-o", out, "--box", "8,17,22,35", "--preview", preview)
    assert ran.code == 0, ran.err
    mask = np.asarray(Image.open(out))
    assert mask.shape == (40, 50)
    assert mask[10:20, 20:32].all()
    assert mask.sum() == 120
    assert preview.exists()


def test_a_dicom_folder_is_a_scan(voxtrace, tmp_path):
    from phantoms import phantom

    write_dicom_series(tmp_path / "series", phantom(SHAPE))
    ran = voxtrace("segment", tmp_path / "series", "-o", tmp_path / "m.nii.gz", "--box", BOX)
    assert ran.code == 0, ran.err
    assert dice(read_mask(tmp_path / "m.nii.gz") > 0, true_lesion()) > 0.8


def test_several_scans_get_the_same_prompts_and_a_folder(voxtrace, tmp_path):
    scans = [write_scan(tmp_path / f"{name}.nii.gz", seed=seed) for seed, name in enumerate(("a", "b"))]
    out = tmp_path / "masks"
    ran = voxtrace("segment", *scans, "-o", out, "--box", BOX, "--preview", tmp_path / "pictures")
    assert ran.code == 0, ran.err
    assert sorted(path.name for path in out.iterdir()) == ["a.nii.gz", "b.nii.gz"]
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["a.png", "b.png"]
    assert len(voxtrace.opened) == 1


def test_one_slice_is_a_volume_too(voxtrace, tmp_path):
    scan = write_scan(tmp_path / "one.nii.gz", (1, 30, 35))
    ran = voxtrace(
        "segment", scan, "-o", tmp_path / "m.nii.gz", "--box", "0:7,5,20,27", "--preview", tmp_path / "p.png"
    )
    assert ran.code == 0, ran.err
    assert read(tmp_path / "m.nii.gz").shape == (1, 30, 35)


def test_folders_of_outputs_are_made(voxtrace, scan, tmp_path):
    assert voxtrace("segment", scan, "-o", tmp_path / "new" / "deep" / "m.nii.gz", "--box", BOX).code == 0
    assert (tmp_path / "new" / "deep" / "m.nii.gz").exists()


def test_an_object_that_is_not_found_says_what_to_try(voxtrace, scan, tmp_path, monkeypatch):
    import fake_engine

    monkeypatch.setattr(fake_engine, "_marked", lambda grey, prompt: np.full(grey.shape, -10, np.float32))
    ran = voxtrace("segment", scan, "-o", tmp_path / "m.nii.gz", "--box", BOX)
    assert ran.code == 0
    assert "nothing was found" in ran.out


def test_slices_of_low_confidence_are_named(voxtrace, scan, tmp_path, monkeypatch):
    from fake_engine import FakeEngine

    honest = FakeEngine.follow

    def doubtful(self, features, recalled):
        decoded = honest(self, features, recalled)
        decoded.iou[:] = 0.2
        return decoded

    monkeypatch.setattr(FakeEngine, "follow", doubtful)
    ran = voxtrace("segment", scan, "-o", tmp_path / "m.nii.gz", "--box", BOX)
    assert "look at z 4-5, 7-9: confidence below 0.5" in ran.out


@pytest.mark.torch
@pytest.mark.parametrize("more", [(), ("--json",), ("--quiet",)], ids=" ".join)
def test_what_is_guessed_of_a_model_is_told_once(capsys, tmp_path, more):
    from voxtrace.checkpoints import save
    from voxtrace.model.config import CONFIGS
    from voxtrace.model.sam2 import Sam2

    config = CONFIGS["voxtrace-small"].at(64)
    save(tmp_path / "own.safetensors", Sam2(config), config, {})
    words = ["segment", str(write_picture(tmp_path / "a.png")), "-o", str(tmp_path / "m.png"), "--box", "10,20,20,32"]
    words += ["--model", str(tmp_path / "own.safetensors"), "--image-size", "32", *more]

    assert main(words) == 0
    assert capsys.readouterr().err.count("own.safetensors says 64 px; it runs at 32 px, as asked") == 1
