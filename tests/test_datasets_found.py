"""A folder is recognised by what lies in it; its cases come out with split and patient and go through a manifest."""

from dataclasses import replace

import numpy as np
import pytest

from layouts_kit import NAMES, SHAPE, names, opened, picture, save, write_bids, write_nnunet, write_npz, write_pictures
from phantoms import labels
from voxtrace.datasets import Asked, find_cases
from voxtrace.errors import CaseMissingError, InputError
from voxtrace.manifest import read_manifest, write_manifest


def test_patient_expression_goes_before_what_the_layout_says(tmp_path):
    found = find_cases(write_bids(tmp_path / "b", ["A1", "A2", "B1"]), Asked(patient="sub-([AB])"))
    assert [case.patient for case in found.cases] == ["A", "A", "B"]


def test_challenge_files_tell_kind_modality_and_set(tmp_path):
    pixels, truth = picture()
    write_npz(tmp_path / "Eye" / "2DBox_Fundus_1.npz", imgs=np.repeat(pixels[..., None], 3, 2), gts=truth)
    write_npz(tmp_path / "Cells" / "2DBox_Microscopy_1.npz", imgs=np.repeat(pixels[..., None], 3, 2), gts=truth)
    cube = np.where(labels(SHAPE), 200, 10).astype(np.uint8)
    write_npz(tmp_path / "CT_Abdomen_1.npz", imgs=cube, gts=labels(SHAPE), spacing=np.array([1.0, 2.0, 3.0]))
    write_npz(tmp_path / "CT_noreference.npz", imgs=cube)
    found = find_cases(tmp_path)
    told = {case.id.split("/")[1]: (case.set, case.kind, case.modality, case.label_type) for case in found.cases}
    assert told == {
        "CT_Abdomen_1": (tmp_path.name, "volume", "ct", "semantic"),
        "2DBox_Fundus_1": ("Eye", "image", "fundus", "semantic"),
        "2DBox_Microscopy_1": ("Cells", "image", "microscopy", "instance"),
    }
    assert any("1 files are left out" in note and "CT_noreference" in note for note in found.notes)
    assert all(opened(case).array.any() for case in found.cases)


def test_damaged_files_are_left_out_by_name_and_do_not_end_the_search(tmp_path):
    cube = np.where(labels(SHAPE), 200, 10).astype(np.uint8)
    write_npz(tmp_path / "n" / "CT_2.npz", imgs=cube, gts=labels(SHAPE))
    (tmp_path / "n" / "CT_1.npz").write_bytes(b"PK\x03\x04 cut off")
    found = find_cases(tmp_path / "n")
    assert names(found) == ["CT_2"]
    assert any("CT_1.npz" in note for note in found.notes)
    folder = write_pictures(tmp_path / "p", ["a", "b"])
    save(folder / "images" / "c.tif", picture()[0]).write_bytes(b"II*\0 cut off")
    save(folder / "masks" / "c.png", picture()[1])
    found = find_cases(folder)
    assert names(found) == ["a", "b"]
    assert any(note.startswith("c is left out") for note in found.notes)


def test_manifest_comes_before_what_lies_beside_it_unless_it_is_passed_over(tmp_path):
    folder = write_pictures(tmp_path / "d", ["p", "q"])
    write_manifest(folder / "manifest.jsonl", find_cases(folder).cases[:1])
    assert find_cases(folder).kind == "manifest"
    assert names(find_cases(folder / "manifest.jsonl")) == ["p"]
    assert find_cases(folder, past_manifest=True).kind == "pairs"


def test_unknown_folder_is_told_what_was_looked_for(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(CaseMissingError) as told:
        find_cases(tmp_path)
    for words in (
        "imagesTr/ with labelsTr/",
        "derivatives/*/sub-*",
        "imgs and gts",
        "images|imgs",
        "It holds notes.txt",
    ):
        assert words in str(told.value)
    with pytest.raises(CaseMissingError, match="does not exist"):
        find_cases(tmp_path / "nowhere")


def test_folder_of_two_layouts_is_refused_until_one_is_named(tmp_path):
    write_pictures(write_nnunet(tmp_path, NAMES), ["p"])
    with pytest.raises(InputError, match=r"nnunet and pairs; say which: .*--layout nnunet"):
        find_cases(tmp_path)
    assert names(find_cases(tmp_path, Asked(layout="pairs"))) == ["p"]
    with pytest.raises(CaseMissingError, match="not laid out as bids"):
        find_cases(tmp_path, Asked(layout="bids"))


def test_folder_of_several_nnunet_sets_names_them(tmp_path):
    for name in ("Dataset001_A", "Dataset002_B"):
        write_nnunet(tmp_path / name, NAMES[:1])
    with pytest.raises(InputError, match="Dataset001_A, Dataset002_B"):
        find_cases(tmp_path)


def test_cases_of_one_patient_are_known_by_their_names(tmp_path):
    frames = [f"patient{p:03d}_frame{f:02d}" for p in (1, 2, 3) for f in (1, 9)]
    found = find_cases(write_pictures(tmp_path / "d", frames), Asked(val=0.34))
    held = {case.patient for case in found.cases if case.split == "val"}
    assert len(held) == 1
    assert [case.split for case in found.cases if case.patient in held] == ["val", "val"]


def test_patient_is_what_the_expression_says(tmp_path):
    folder = write_pictures(tmp_path / "d", ["x1-left", "x1-right", "x2-left"])
    found = find_cases(folder, Asked(patient="^(x[0-9])"))
    assert [case.patient for case in found.cases] == ["x1", "x1", "x2"]
    with pytest.raises(InputError, match="does not fit the case 'x1-left'"):
        find_cases(folder, Asked(patient="^(y)"))
    with pytest.raises(InputError, match="no regular expression"):
        find_cases(folder, Asked(patient="("))


def test_split_depends_on_names_and_seed_alone(tmp_path):
    stems = [f"n{i}" for i in range(10)]
    folder = write_pictures(tmp_path / "d", stems)
    first = find_cases(folder, Asked(val=0.3, seed=1))
    assert len(names(first, "val")) == 3
    assert names(first, "val") == names(find_cases(folder, Asked(val=0.3, seed=1)), "val")
    assert any(names(first, "val") != names(find_cases(folder, Asked(val=0.3, seed=s)), "val") for s in (2, 3))
    assert names(find_cases(folder, Asked(val=0)), "val") == []
    with pytest.raises(InputError, match="--val 1"):
        find_cases(folder, Asked(val=1))


@pytest.mark.parametrize("layout", ["nnunet", "bids", "npz", "pairs"])
def test_cases_go_through_a_manifest_unchanged(tmp_path, layout):
    folder = tmp_path / "d"
    if layout == "npz":
        write_npz(folder / "MR_1.npz", imgs=labels(SHAPE) * 100, gts=labels(SHAPE))
    else:
        {"nnunet": write_nnunet, "bids": write_bids, "pairs": write_pictures}[layout](folder, ["1", "2"])
    found = find_cases(folder)
    assert found.kind == layout
    write_manifest(folder / "m.jsonl", found.cases)
    assert read_manifest(folder / "m.jsonl") == [replace(case, root=folder) for case in found.cases]


def test_an_empty_manifest_is_named_as_one(tmp_path):
    (tmp_path / "mine.jsonl").write_text("\n")
    with pytest.raises(CaseMissingError, match=r"the manifest .*mine\.jsonl has no case in it; `voxtrace data index"):
        find_cases(tmp_path / "mine.jsonl")
