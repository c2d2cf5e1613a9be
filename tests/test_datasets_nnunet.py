"""nnU-Net raw and the Decathlon's form of it: channels, labels, folds, what is refused."""

import json

import nibabel
import numpy as np
import pytest

from layouts_kit import (
    NAMES,
    SHAPE,
    names,
    opened,
    write_nnunet,
    write_pair,
)
from phantoms import labels, phantom
from voxtrace.datasets import Asked, find_cases
from voxtrace.datasets.indexing import index
from voxtrace.datasets.opening import open_scan
from voxtrace.errors import CaseMissingError, InputError
from voxtrace.manifest import read_manifest, validate


def test_nnunet_raw_gives_names_of_labels_and_the_modality_of_the_channel(tmp_path):
    found = find_cases(write_nnunet(tmp_path / "Dataset001_Toy", NAMES))
    assert (found.kind, names(found)) == ("nnunet", NAMES)
    case = found.cases[0]
    assert (case.set, case.kind, case.modality) == ("Dataset001_Toy", "volume", "ct")
    assert case.labels == ((1, "lesion"), (2, "block"))
    assert np.array_equal(opened(case).array, labels(SHAPE))


def test_nnunet_channels_are_chosen_by_number_or_name_and_never_guessed(tmp_path):
    folder = write_nnunet(tmp_path / "d", NAMES[:2], ("T1w", "FLAIR"))
    with pytest.raises(InputError, match=r"2 channels a case: 0 \(T1w\), 1 \(FLAIR\).*--channel"):
        find_cases(folder)
    for said in ("1", "flair"):
        found = find_cases(folder, Asked(channel=said))
        assert [case.image for case in found.cases] == [f"imagesTr/{name}_0001.nii.gz" for name in NAMES[:2]]
        assert found.cases[0].modality == "mri"
    with pytest.raises(InputError, match="--channel T2"):
        find_cases(folder, Asked(channel="T2"))


def test_nnunet_regions_are_refused(tmp_path):
    folder = write_nnunet(tmp_path / "d", NAMES, labels={"background": 0, "whole": [1, 2], "core": 2})
    with pytest.raises(InputError, match="'whole' is a region"):
        find_cases(folder)


def test_nnunet_frames_with_the_ignore_label_are_not_known(tmp_path):
    folder = write_nnunet(tmp_path / "d", NAMES[:1], labels={"background": 0, "lesion": 1, "ignore": 2})
    found = find_cases(folder)
    assert (found.cases[0].ignore, found.cases[0].labels) == (2, ((1, "lesion"),))
    read = opened(found.cases[0])
    assert read.known == tuple(range(6))  # the block, here the ignored, is on the last two slices
    assert set(np.unique(read.array)) == {0, 1}


def test_nnunet_splits_final_says_the_split_of_a_fold(tmp_path):
    folder = write_nnunet(tmp_path / "d", NAMES)
    folds = [{"train": NAMES[:3], "val": NAMES[3:]}, {"train": NAMES[2:4], "val": NAMES[:2]}]
    (folder / "splits_final.json").write_text(json.dumps(folds))
    assert names(find_cases(folder), "val") == NAMES[3:]
    second = find_cases(folder, Asked(fold=1))
    assert (names(second, "train"), names(second, "val")) == (NAMES[2:4], NAMES[:2])
    assert any("1 cases are not in fold 1" in note for note in second.notes)
    with pytest.raises(InputError, match=r"folds 0\.\.1"):
        find_cases(folder, Asked(fold=2))


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("dataset.json", "[]", "not as nnU-Net has it"),
        ("dataset.json", '{"labels": [1, 2]}', "not as nnU-Net has it"),
        ("dataset.json", '{"labels": {"lesion": "x"}}', "'lesion': 'x'; a name and a whole number"),
        ("dataset.json", "{", "is not JSON"),
        ("splits_final.json", '[{"train": 1, "val": 2}]', "no list of folds"),
        ("splits_final.json", '[{"train": ["z"], "val": ["y"]}]', "names none of the cases"),
    ],
)
def test_nnunet_files_that_say_something_else_are_refused(tmp_path, file, text, told):
    folder = write_nnunet(tmp_path / "d", NAMES)
    (folder / file).write_text(text)
    with pytest.raises(InputError, match=told):
        find_cases(folder)


def test_links_to_what_was_never_fetched_are_found_as_missing(tmp_path):
    folder = write_nnunet(tmp_path / "d", NAMES[:2])
    (folder / "labelsTr" / "a_01.nii.gz").unlink()
    (folder / "labelsTr" / "a_01.nii.gz").symlink_to("annex/never-fetched")
    (case, _) = find_cases(folder).cases
    with pytest.raises(CaseMissingError, match="link to nothing"):
        open_scan(case)


def test_nnunet_test_images_are_split_test_where_they_have_labels(tmp_path):
    folder = write_nnunet(tmp_path / "d", NAMES)
    write_pair(folder / "imagesTs" / "t_0000.nii.gz", folder / "labelsTs" / "t.nii.gz")
    write_pair(folder / "imagesTs" / "u_0000.nii.gz", tmp_path / "elsewhere.nii.gz")
    found = find_cases(folder)
    assert names(found, "test") == ["t"]
    assert any("1 images of imagesTs are left out" in note for note in found.notes)


def test_decathlon_form_has_no_channel_number(tmp_path):
    folder = tmp_path / "Task04"
    write_pair(folder / "imagesTr" / "hippo_001.nii.gz", folder / "labelsTr" / "hippo_001.nii.gz")
    about = {"modality": {"0": "MRI"}, "labels": {"0": "background", "1": "Anterior", "2": "Posterior"}}
    (folder / "dataset.json").write_text(json.dumps(about))
    case = find_cases(folder).cases[0]
    assert (case.image, case.modality) == ("imagesTr/hippo_001.nii.gz", "mri")
    assert case.labels == ((1, "Anterior"), (2, "Posterior"))


def test_decathlon_channels_are_volumes_of_one_file(tmp_path):
    folder = tmp_path / "Task01"
    write_pair(tmp_path / "x.nii.gz", folder / "labelsTr" / "brats_1.nii.gz")
    scans = [phantom(SHAPE, seed=seed).array.transpose(2, 1, 0) for seed in (0, 1)]
    affine = nibabel.load(folder / "labelsTr" / "brats_1.nii.gz").affine
    (folder / "imagesTr").mkdir()
    nibabel.save(nibabel.Nifti1Image(np.stack(scans, -1), affine), folder / "imagesTr" / "brats_1.nii.gz")
    (folder / "dataset.json").write_text(json.dumps({"modality": {"0": "FLAIR", "1": "T1w"}, "labels": {"1": "a"}}))
    with pytest.raises(InputError, match=r"2 channels a case: 0 \(FLAIR\), 1 \(T1w\)"):
        find_cases(folder)
    made = index(find_cases(folder, Asked(channel="T1w")).cases, tmp_path / "m.jsonl")
    (case,) = read_manifest(tmp_path / "m.jsonl")
    assert case.image == "Task01/imagesTr/brats_1.nii.gz#1"
    assert np.array_equal(open_scan(case).array, phantom(SHAPE, seed=1).array)
    assert validate([case], hashes=True) == []
    assert [fault.sort for fault in made.faults] == ["unexpected"]  # label 2 has no name


def test_nnunet_cases_without_image_or_channel_are_left_out_by_name(tmp_path):
    folder = write_nnunet(tmp_path / "d", NAMES, ("T1w", "FLAIR"))
    for file in ("a_01_0000", "a_01_0001", "a_02_0001"):
        (folder / "imagesTr" / f"{file}.nii.gz").unlink()
    found = find_cases(folder, Asked(channel="FLAIR"))
    assert names(found) == NAMES[2:]
    assert any("1 labels" in note and "a_01" in note for note in found.notes)
    assert any("lack channel 1 (a_02)" in note for note in found.notes)
