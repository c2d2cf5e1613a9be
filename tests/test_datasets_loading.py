"""Training takes every layout and format that is found, keeps it small, and says what it could not take."""

import json
import shutil

import numpy as np
import pytest

from command_line import write_nifti
from layouts_kit import SHAPE, picture, save, write_bids, write_nnunet, write_npz, write_pair, write_pictures
from phantoms import affine, labels, phantom
from voxtrace.bench.truths import open_case
from voxtrace.datasets import Asked, find_cases
from voxtrace.datasets.indexing import index
from voxtrace.errors import InputError
from voxtrace.manifest import read_manifest
from voxtrace.train.cases import load_all, load_case, load_cases
from voxtrace.train.greys import frames_of
from voxtrace.volume import Picture, Volume


def painted(case) -> np.ndarray:
    """(D, H, W) the labels again, from the objects of a loaded case."""
    truth = np.zeros(case.frames.shape[:3], np.uint8)
    for one in case.objects["whole"]:
        where = tuple(slice(start, start + size) for start, size in zip(one.start, one.crop.shape, strict=True))
        truth[where][one.crop] = one.label
    return truth


def write_films(folder):
    for number in range(3):
        pixels, truth = picture(number)
        save(folder / "images" / "film" / f"{number}.png", pixels)
        save(folder / "masks" / "film" / f"{number}.png", truth)


def write_files(folder):
    for number, name in enumerate(("MR_1", "MR_2")):
        values = (phantom(SHAPE, seed=number).array % 200).astype(np.uint8)
        write_npz(folder / f"{name}.npz", imgs=values, gts=labels(SHAPE), spacing=np.array([2.0, 1.0, 3.0]))


WRITERS = {
    "nnunet": lambda folder: write_nnunet(folder, ["a", "b"]),
    "bids": lambda folder: write_bids(folder, ["a", "b"]),
    "npz": write_files,
    "pairs": lambda folder: write_pictures(folder, ["a", "b"]),
    "films": write_films,
}


@pytest.mark.parametrize("layout", WRITERS)
def test_found_cases_are_loaded_through_a_manifest_with_their_own_labels(tmp_path, layout):
    WRITERS[layout](tmp_path / "set")
    made = index(find_cases(tmp_path / "set").cases, tmp_path / "m.jsonl")
    cases = load_cases(read_manifest(tmp_path / "m.jsonl"))
    assert [case.id for case in cases] == [case.id for case in made.cases]
    truth = picture()[1] if layout in ("pairs", "films") else labels(SHAPE)
    for case in cases:
        assert (painted(case) == truth).all()
        if case.kind == "volume":
            assert case.spacing == pytest.approx((3.0, 1.0, 2.0))


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".nii.gz"])
def test_a_volume_is_the_same_in_every_format(tmp_path, ending):
    import SimpleITK

    for name, array in (("scan", phantom(SHAPE).array), ("scan_seg", labels(SHAPE))):
        image = SimpleITK.GetImageFromArray(array)
        image.SetSpacing((2.0, 1.0, 3.0))
        SimpleITK.WriteImage(image, str(tmp_path / f"{name}{ending}"))
    (case,) = load_cases(find_cases(tmp_path, Asked(modality="ct")).cases)
    assert case.frames.dtype == np.int16
    assert np.array_equal(case.frames, phantom(SHAPE).array)
    assert np.array_equal(painted(case), labels(SHAPE))
    assert case.spacing == pytest.approx((3.0, 1.0, 2.0))


def test_what_is_left_out_is_named_with_its_reason(tmp_path):
    folder = write_nnunet(tmp_path / "set", ["a", "b", "c", "d"])
    write_pair(tmp_path / "x.nii.gz", folder / "labelsTr" / "b.nii.gz", truth=np.zeros(SHAPE, np.uint8))
    (folder / "imagesTr" / "c_0000.nii.gz").write_bytes(b"\x1f\x8bnothing")
    loaded = load_all(find_cases(folder).cases)
    assert [case.id for case in loaded.cases] == ["set/a", "set/d"]
    assert [name for name, _ in loaded.left_out] == ["set/b", "set/c"]
    assert "no voxel is labelled" in loaded.left_out[0][1]
    assert "c_0000.nii.gz" in loaded.left_out[1][1]


def test_none_that_can_be_loaded_is_an_error_that_says_why(tmp_path):
    folder = write_nnunet(tmp_path / "set", ["a"])
    cases = find_cases(folder).cases
    (folder / "labelsTr" / "a.nii.gz").unlink()
    with pytest.raises(InputError, match=r"none of the 1 cases.*set/a.*a.nii.gz is not there"):
        load_cases(cases)


def test_labels_that_are_no_small_numbers_are_refused_before_they_fill_the_memory(tmp_path):
    folder = write_nnunet(tmp_path / "set", ["a"])
    write_nifti(folder / "labelsTr" / "a.nii.gz", Volume(labels(SHAPE).astype(np.int32) * 900_000_000, affine()))
    with pytest.raises(InputError, match="1800000000"):
        load_case(find_cases(folder).cases[0])


def test_slices_with_the_ignore_label_are_not_labelled_and_their_object_is_gone(tmp_path):
    folder = write_nnunet(tmp_path / "d", ["a"], labels={"background": 0, "lesion": 1, "ignore": 2})
    (found,) = find_cases(folder).cases
    case = load_case(found)
    assert case.labelled == tuple(range(6))
    assert set(np.unique(painted(case))) == {0, 1}
    _, (target,) = open_case(found)
    assert (target.depth, target.frames) == (8, tuple(range(6)))


def test_coloured_masks_are_measured_as_they_are_learned(tmp_path):
    folder = write_pictures(tmp_path / "d", ["p"])
    save(folder / "masks" / "p.png", np.array([[0, 0, 0], [0, 0, 255], [255, 0, 0]], np.uint8)[picture()[1]])
    (found,) = find_cases(folder).cases
    _, targets = open_case(found)
    assert [target.label for target in targets] == [1, 2]
    assert np.array_equal(targets[1].mask[0], picture()[1] == 2)
    assert np.array_equal(painted(load_case(found))[0], picture()[1])


def test_scan_normalised_to_shares_keeps_its_greys_and_its_zero():
    values = np.linspace(0, 1, 1000, dtype=np.float32).reshape(10, 10, 10)
    kept = frames_of(Volume(values), "mri")
    assert kept.dtype == np.int16
    assert len(np.unique(kept)) == 1000
    assert kept.flat[0] == 0
    assert np.corrcoef(kept.ravel(), values.ravel())[0, 1] > 0.9999


def test_values_beyond_two_bytes_are_scaled_not_cut_off():
    values = np.array([0, 1000, 50_000, 100_000], np.float32).reshape(1, 2, 2)
    kept = frames_of(Volume(values), "pet").ravel()
    assert kept[0] == 0
    assert kept[3] == 32767
    assert kept[2] == pytest.approx(16384, abs=1)


def test_hounsfield_units_stay_hounsfield_units():
    values = np.array([-1024.4, 0.4, 60.6, 40_000.0], np.float32).reshape(1, 2, 2)
    assert frames_of(Volume(values), "ct").ravel().tolist() == [-1024, 0, 61, 32767]


def test_values_that_are_not_finite_are_refused():
    values = np.zeros((2, 3, 4), np.float32)
    values[0, 1, 2] = np.inf
    with pytest.raises(InputError, match="1 are not"):
        frames_of(Volume(values), "mri")


def test_picture_of_16_bits_is_stretched_to_8():
    pixels = np.arange(4000, 5000, dtype=np.uint16).reshape(25, 40)
    kept = frames_of(Picture(pixels), "x-ray")
    assert (kept.dtype, kept.shape, kept.min(), kept.max()) == (np.uint8, (1, 25, 40), 0, 255)


@pytest.mark.data
def test_hippocampus_set_as_nnunet_raw_loads_as_from_our_manifest(tmp_path, data_root):
    ours = [case for case in read_manifest(data_root / "manifest.jsonl") if case.set == "mr__hippocampus_msd"]
    folder = tmp_path / "Dataset004_Hippocampus"
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for case in ours:
        name = case.id.split("/")[1]
        shutil.copy(case.image_path, folder / "imagesTr" / f"{name}_0000.nii.gz")
        shutil.copy(case.mask_path, folder / "labelsTr" / f"{name}.nii.gz")
    about = {"channel_names": {"0": "MRI"}, "labels": {"background": 0, "Anterior": 1, "Posterior": 2}}
    (folder / "dataset.json").write_text(json.dumps(about | {"numTraining": len(ours), "file_ending": ".nii.gz"}))
    found = find_cases(folder, Asked(val=0.2))
    assert (len(found.cases), {case.modality for case in found.cases}) == (len(ours), {"mri"})
    held = [case for case in found.cases if case.split == "val"]
    assert len(held) == round(0.2 * len(ours))
    made = index(found.cases, tmp_path / "m.jsonl")
    assert [fault for fault in made.faults if fault.about.grave] == []
    theirs = {case.id.split("/")[1]: case for case in load_cases(read_manifest(tmp_path / "m.jsonl"))}
    for case in load_cases(ours):
        same = theirs[case.id.split("/")[1]]
        assert np.array_equal(case.frames, same.frames)
        assert np.array_equal(painted(case), painted(same))
        assert case.spacing == same.spacing
