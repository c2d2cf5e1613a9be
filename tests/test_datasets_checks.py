"""Each fault is put into a sound data set once and found there, alone, in the case that has it."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from command_line import write_nifti
from layouts_kit import SHAPE, picture, save, write_nnunet, write_pair, write_pictures
from phantoms import affine, labels, phantom
from voxtrace.datasets import Asked, find_cases
from voxtrace.datasets.checks import check
from voxtrace.datasets.faults import SORTS, Fault
from voxtrace.datasets.indexing import index
from voxtrace.manifest import read_manifest
from voxtrace.volume import Volume

NAMES = ["a", "b", "c", "d", "e"]
FAULTY = "c"


def put(path: Path, array: np.ndarray, **options: object) -> None:
    write_nifti(path, Volume(array, affine(**options)))


def soft(array: np.ndarray) -> np.ndarray:
    """Labels as a resampling with linear interpolation leaves them."""
    return (array + np.roll(array, 1, 0)).astype(np.float32) / 2


def no_mask(image: Path, mask: Path) -> None:
    mask.unlink()


def cut_off(image: Path, mask: Path) -> None:
    image.write_bytes(image.read_bytes()[:300])


def moved(image: Path, mask: Path) -> None:
    put(mask, labels(SHAPE), origin_mm=(-11.0, 22.0, 43.5))


def other_shape(image: Path, mask: Path) -> None:
    put(mask, labels((8, 20, 23)))


def probabilities(image: Path, mask: Path) -> None:
    put(mask, np.clip(soft(labels(SHAPE) > 0) * 0.9, 0, 1).astype(np.float32))


def interpolated(image: Path, mask: Path) -> None:
    put(mask, soft(labels(SHAPE).astype(float)))


def negative(image: Path, mask: Path) -> None:
    put(mask, labels(SHAPE).astype(np.int16) - 1)


def not_a_number(image: Path, mask: Path) -> None:
    put(mask, np.where(labels(SHAPE) > 0, 1, np.nan).astype(np.float32))


def unexpected(image: Path, mask: Path) -> None:
    put(mask, labels(SHAPE) * 3)


def empty(image: Path, mask: Path) -> None:
    put(mask, np.zeros(SHAPE, np.uint8))


def hole_of_nan(image: Path, mask: Path) -> None:
    values = phantom(SHAPE, seed=2).array.astype(np.float32)
    values[3, 4, 5] = np.nan
    put(image, values)


def constant(image: Path, mask: Path) -> None:
    put(image, np.full(SHAPE, 7, np.int16))


def twice(image: Path, mask: Path) -> None:
    put(image, np.asarray(nibabel.load(image.with_name("b_0000.nii.gz")).dataobj).T)


def same_image(image: Path, mask: Path) -> None:
    twice(image, mask)
    put(mask, np.roll(labels(SHAPE), 1, 2))


def specks(image: Path, mask: Path) -> None:
    spotted = labels(SHAPE)
    spotted[0, 0, 0] = spotted[1, 18, 2] = 1
    put(mask, spotted)


def centimetres(image: Path, mask: Path) -> None:
    put(image, phantom(SHAPE, seed=2).array, spacing_mm=(0.3, 0.1, 0.2))
    put(mask, labels(SHAPE), spacing_mm=(0.3, 0.1, 0.2))


def normalised(image: Path, mask: Path) -> None:
    put(image, (phantom(SHAPE, seed=2).array / 1000).astype(np.float32))


def exchanged(image: Path, mask: Path) -> None:
    full = np.ones(SHAPE, np.uint8)
    full[:, :4, :4] = 0
    put(mask, full)


FAULTS: list[tuple[Callable[[Path, Path], None], str, str]] = [
    (no_mask, "missing", "c.nii.gz is not there"),
    (cut_off, "unreadable", "cut off or damaged"),
    (moved, "geometry", "origin"),
    (other_shape, "geometry", r"\(8, 20, 23\)"),
    (probabilities, "probabilities", "0.45"),
    (interpolated, "interpolated", "voxels are no whole numbers, as 0.5"),
    (negative, "negative", "the least is -1"),
    (not_a_number, "labels", "NaN"),
    (unexpected, "unexpected", "3, 6; known are 1 lesion, 2 block"),
    (empty, "empty", "background"),
    (hole_of_nan, "not-finite", "1 voxels"),
    (constant, "constant", "its value is 7"),
    (twice, "twice", "as set/b"),
    (same_image, "same-image", "as set/b"),
    (specks, "specks", "2 of label 1"),
    (centimetres, "spacing", "0.3 x 0.1 x 0.2"),
    (normalised, "not-hu", "values -1"),
    (exchanged, "full", "96"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_nnunet(tmp_path / "set", NAMES)


def faults_of(folder: Path, **asked: object) -> list[Fault]:
    return check(find_cases(folder, Asked(**asked)).cases)


def test_a_sound_set_has_neither_faults_nor_doubts(folder):
    assert faults_of(folder, val=0) == []


@pytest.mark.parametrize(("inject", "sort", "told"), FAULTS, ids=[inject.__name__ for inject, _, _ in FAULTS])
def test_fault_is_found_in_its_case_alone(folder, inject, sort, told):
    cases = find_cases(folder, Asked(val=0)).cases
    inject(folder / "imagesTr" / f"{FAULTY}_0000.nii.gz", folder / "labelsTr" / f"{FAULTY}.nii.gz")
    (fault,) = check(cases)
    assert (fault.sort, fault.case) == (sort, f"set/{FAULTY}")
    assert re.search(told, fault.detail), fault.detail


def test_every_sort_of_fault_is_put_into_a_set_by_some_test():
    elsewhere = {"same-id", "changed", "leak", "patient-leak"}
    assert {sort for _, sort, _ in FAULTS} | elsewhere == set(SORTS)


def test_copy_in_another_split_is_a_leak_and_the_one_in_train_is_at_fault(folder):
    (folder / "splits_final.json").write_text(json.dumps([{"train": NAMES[1:], "val": NAMES[:1]}]))
    write_pair(folder / "imagesTr" / "c_0000.nii.gz", folder / "labelsTr" / "c.nii.gz", seed=0)
    (fault,) = faults_of(folder)
    assert (fault.sort, fault.case) == ("leak", "set/c")
    assert "in val as set/a" in fault.detail


def test_copy_is_known_by_its_values_however_it_is_packed(tmp_path):
    folder = write_pictures(tmp_path / "set", ["p", "q"])
    save(folder / "images" / "q.bmp", picture(0)[0])
    (folder / "images" / "q.png").unlink()
    (fault,) = faults_of(folder, val=0)
    assert (fault.sort, fault.case, fault.detail) == ("twice", "set/q", "as set/p")


def test_patient_in_two_splits_is_a_fault_of_the_case_in_train(tmp_path):
    folder = tmp_path / "set"
    for seed, (split, name) in enumerate([("train", "p1-x"), ("train", "p2-x"), ("val", "p1-y")]):
        pixels, truth = picture(seed)
        save(folder / split / "images" / f"{name}.png", pixels)
        save(folder / split / "masks" / f"{name}.png", truth)
    (fault,) = faults_of(folder, patient="(p[0-9])-")
    assert (fault.sort, fault.case, fault.detail) == ("patient-leak", "set/train/p1-x", "p1 in train is in val too")


def test_two_cases_of_one_id_are_a_fault(tmp_path):
    folder = write_pictures(tmp_path / "set", ["p", "q"])
    save(folder / "images" / "p.bmp", picture(5)[0])
    (fault,) = faults_of(folder, val=0)
    assert (fault.sort, fault.case) == ("same-id", "set/p")
    made = index(find_cases(folder).cases, tmp_path / "m.jsonl", drop_faulty=True)
    assert [case.image for case in made.left_out] == ["images/p.png"]
    assert [case.id for case in made.cases] == ["set/p", "set/q"]


def test_edges_blurred_in_a_black_and_white_mask_are_found(tmp_path):
    from scipy import ndimage

    folder = write_pictures(tmp_path / "set", ["p", "q"])
    white = (picture()[1] > 0) * 255.0
    save(folder / "masks" / "q.png", ndimage.gaussian_filter(white, 0.8).round().astype(np.uint8))
    (fault,) = faults_of(folder, val=0)
    assert (fault.sort, fault.case) == ("interpolated", "set/q")


def test_colour_that_no_other_mask_has_is_found_when_a_mask_changes(tmp_path):
    folder = write_pictures(tmp_path / "set", ["p", "q"])
    for name in ("p", "q"):
        save(folder / "masks" / f"{name}.png", np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]], np.uint8)[picture()[1]])
    cases = find_cases(folder, Asked(val=0)).cases
    save(folder / "masks" / "q.png", np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]], np.uint8)[picture()[1]])
    (fault,) = check(cases)
    assert (fault.sort, fault.case) == ("labels", "set/q")
    assert "#0000ff" in fault.detail


def test_frames_of_a_video_are_looked_at(tmp_path):
    for number in range(4):
        save(tmp_path / "images" / "film" / f"{number}.png", picture(number)[0])
    save(tmp_path / "masks" / "film" / "2.png", np.zeros((40, 50), np.uint8))
    (fault,) = faults_of(tmp_path, val=0)
    assert (fault.sort, fault.case) == ("empty", f"{tmp_path.name}/film")


def test_index_writes_hashes_and_paths_beside_the_manifest_and_a_later_change_is_found(folder, tmp_path):
    out = tmp_path / "elsewhere" / "m.jsonl"
    out.parent.mkdir()
    made = index(find_cases(folder).cases, out)
    assert (made.faults, made.left_out) == ([], [])
    cases = read_manifest(out)
    assert cases == made.cases
    assert cases[0].image == "../set/imagesTr/a_0000.nii.gz"
    assert check(cases) == []
    specks(folder / "imagesTr" / "a_0000.nii.gz", folder / "labelsTr" / "a.nii.gz")
    assert [fault.sort for fault in check(cases)] == ["specks", "changed"]


def test_index_leaves_faulty_cases_out_when_told_but_not_doubtful_ones(folder, tmp_path):
    cases = find_cases(folder).cases
    empty(folder / "imagesTr" / "c_0000.nii.gz", folder / "labelsTr" / "c.nii.gz")
    specks(folder / "imagesTr" / "d_0000.nii.gz", folder / "labelsTr" / "d.nii.gz")
    made = index(cases, tmp_path / "m.jsonl", drop_faulty=True)
    assert [case.id for case in made.left_out] == ["set/c"]
    assert [case.id for case in read_manifest(tmp_path / "m.jsonl")] == ["set/a", "set/b", "set/d", "set/e"]


def test_links_are_not_followed_so_that_the_manifest_names_what_the_folder_names(folder, tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    image = folder / "imagesTr" / "a_0000.nii.gz"
    image.rename(store / "sha-123")
    image.symlink_to(store / "sha-123")
    made = index(find_cases(folder).cases, tmp_path / "m.jsonl")
    assert made.cases[0].image == "set/imagesTr/a_0000.nii.gz"
    assert made.faults == []


@pytest.mark.data
def test_shared_cases_show_the_one_scan_that_is_in_both_splits(data_root):
    cases = [case for case in read_manifest(data_root / "manifest.jsonl") if case.set == "mr__spinal_cord_sct"]
    found = [(fault.sort, fault.case) for fault in check(cases) if fault.about.grave]
    assert found == [("leak", "mr__spinal_cord_sct/errsm30_t2_cord")]
