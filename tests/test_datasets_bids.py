"""BIDS derivatives: subjects are patients, sorts of labels and scans are chosen, tables say names."""

import pytest

from layouts_kit import names, write_bids, write_pair
from voxtrace.datasets import Asked, find_cases
from voxtrace.errors import InputError


def test_bids_patients_are_subjects_and_stay_in_one_split(tmp_path):
    found = find_cases(write_bids(tmp_path / "b", ["01", "02", "03", "04"], ["a", "b"]), Asked(val=0.5))
    assert found.kind == "bids"
    assert len(found.cases) == 8
    splits = {case.patient: {c.split for c in found.cases if c.patient == case.patient} for case in found.cases}
    assert set(splits) == {"sub-01", "sub-02", "sub-03", "sub-04"}
    assert sorted(map(sorted, splits.values())) == [["train"], ["train"], ["val"], ["val"]]


def test_bids_sorts_of_labels_and_scans_are_chosen_and_never_guessed(tmp_path):
    folder = write_bids(tmp_path / "b", ["01", "02"])
    write_pair(folder / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz", tmp_path / "x.nii.gz", seed=7)
    with pytest.raises(InputError, match=r"fit several scans: FLAIR, T1w.*--channel T1w"):
        find_cases(folder)
    assert names(find_cases(folder, Asked(channel="T1w"))) == ["sub-01_T1w", "sub-02_T1w"]
    other = folder / "derivatives" / "auto" / "sub-01" / "anat" / "sub-01_label-lesion_mask.nii.gz"
    write_pair(tmp_path / "y.nii.gz", other)
    with pytest.raises(InputError, match=r"auto/label-lesion_mask \(1\), manual/desc-expert_dseg \(2\).*--mask"):
        find_cases(folder, Asked(channel="T1w"))
    chosen = find_cases(folder, Asked(channel="T1w", mask="lesion"))
    assert [case.mask for case in chosen.cases] == [other.relative_to(folder).as_posix()]


def test_bids_labels_in_another_space_are_left_out_by_name(tmp_path):
    folder = write_bids(tmp_path / "b", ["01", "02"])
    place = folder / "derivatives" / "manual" / "sub-02" / "anat"
    (place / "sub-02_desc-expert_dseg.nii.gz").rename(place / "sub-02_space-MNI152_desc-expert_dseg.nii.gz")
    found = find_cases(folder)
    assert names(found) == ["sub-01_T1w"]
    assert any("space-MNI152" in note for note in found.notes)


@pytest.mark.parametrize("table", ["participants.tsv", "derivatives/manual/dseg.tsv"])
def test_bids_tables_that_are_no_text_are_refused(tmp_path, table):
    folder = write_bids(tmp_path / "b", ["1"])
    (folder / table).write_bytes(b"\xff\xfe\x80")
    with pytest.raises(InputError, match="no table of UTF-8 text"):
        find_cases(folder)


def test_bids_labels_named_after_their_scan_belong_to_it(tmp_path):
    folder = tmp_path / "b"
    for seed, suffix in enumerate(("T1w", "T2w")):
        write_pair(folder / "sub-1" / "anat" / f"sub-1_{suffix}.nii.gz", tmp_path / "x.nii.gz", seed=seed)
    mask = folder / "derivatives" / "labels" / "sub-1" / "anat" / "sub-1_T2w_label-SC_seg.nii.gz"
    write_pair(tmp_path / "y.nii.gz", mask)
    (case,) = find_cases(folder).cases
    assert (case.image, case.mask) == ("sub-1/anat/sub-1_T2w.nii.gz", mask.relative_to(folder).as_posix())


def test_bids_names_of_labels_and_people_come_from_tables(tmp_path):
    folder = write_bids(tmp_path / "b", ["01", "02"])
    (folder / "derivatives" / "manual" / "dseg.tsv").write_text("index\tname\n0\tbackground\n1\tlesion\n2\tblock\n")
    (folder / "participants.tsv").write_text("participant_id\tage\nsub-01\t30\nsub-09\t40\n")
    found = find_cases(folder)
    assert found.cases[0].labels == ((1, "lesion"), (2, "block"))
    assert any("1 of the 2 people" in note for note in found.notes)
    assert any("not in participants.tsv: sub-02" in note for note in found.notes)
