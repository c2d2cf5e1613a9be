"""Cases from every place they come from, and masks made elsewhere scored against them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command_line import write_mask
from labelled import SHAPE, write_cases
from layouts_kit import write_nnunet, write_pictures
from phantoms import lesion
from voxtrace.bench.sources import cases_of, hashes, thinned
from voxtrace.bench.truths import chosen, open_case
from voxtrace.datasets import find_cases
from voxtrace.errors import CaseMissingError, InputError
from voxtrace.eval.results import read_results
from voxtrace.manifest import read_manifest

pytestmark = pytest.mark.real


def write_npz(path: Path, **arrays: np.ndarray) -> Path:
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(path, **arrays)
    return path


def scan_and_labels() -> tuple[np.ndarray, np.ndarray]:
    truth = lesion(SHAPE)
    return np.where(truth, 200, 60).astype(np.uint8), truth.astype(np.uint8)


def test_video_is_marked_on_the_first_labelled_frame_and_scored_on_the_later_ones(tmp_path):
    case = next(c for c in read_manifest(write_cases(tmp_path)) if c.kind == "video")
    _, (target,) = open_case(case)
    assert (target.depth, target.frame, target.frames) == (6, 1, (2, 5))
    assert target.mask[1, 12, 18:30].all()  # frame 5: the block has moved
    assert target.mask.sum() == 2 * 120


def test_a_volume_is_marked_in_the_middle_and_knows_its_range(tmp_path):
    case = next(c for c in read_manifest(write_cases(tmp_path)) if c.kind == "volume")
    _, (target,) = open_case(case)
    assert target.z_range == (4, 10)
    assert target.frame == 7
    assert np.array_equal(target.marked, lesion(SHAPE)[7])


def test_of_many_objects_an_even_choice_by_size_is_taken():
    labels = np.repeat(np.arange(1, 101), np.arange(1, 101))[None]
    assert chosen(labels, 3) == [1, 51, 100]
    assert chosen(labels, 200) == list(range(1, 101))


def test_cases_are_thinned_evenly_within_each_set(tmp_path):
    cases = read_manifest(write_cases(tmp_path))
    assert [c.id for c in thinned(cases, 1)] == ["pictures/0", "scans/ct", "films/film"]
    assert thinned(cases, None) == cases


def test_a_hash_changes_with_a_byte_of_a_videos_frame(tmp_path):
    cases = read_manifest(write_cases(tmp_path))
    before = hashes(cases)
    Image.fromarray(np.zeros((40, 50), np.uint8)).save(tmp_path / "film" / "3.png")
    after = hashes(cases)
    assert [name for name in before if before[name] != after[name]] == ["films/film"]


def test_challenge_files_are_measured(voxtrace, tmp_path):
    imgs, gts = scan_and_labels()
    spacing = np.array([2.0, 1.0, 3.0])
    write_npz(tmp_path / "npz" / "3DBox_MR_0001.npz", imgs=imgs, gts=gts, spacing=spacing)
    flat = np.repeat(imgs[6][..., None], 3, axis=2)
    write_npz(tmp_path / "npz" / "2DBox_US_0002.npz", imgs=flat, gts=gts[6])
    ran = voxtrace("evaluate", "--data", tmp_path / "npz", "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    rows = {row.case: row for row in read_results(tmp_path / "out")}
    assert (rows["2DBox_US_0002"].kind, rows["2DBox_US_0002"].modality) == ("image", "us")
    assert (rows["3DBox_MR_0001"].kind, rows["3DBox_MR_0001"].modality) == ("volume", "mr")
    assert {row.set for row in rows.values()} == {"npz"}
    assert min(row.dsc for row in rows.values()) > 0.99


def test_challenge_files_without_a_reference_are_refused(tmp_path):
    path = write_npz(tmp_path / "npz" / "3DBox_MR_1.npz", imgs=scan_and_labels()[0])
    with pytest.raises(InputError, match="imgs and gts"):
        cases_of(tmp_path / "npz")
    path.write_bytes(b"not a zip")
    with pytest.raises(InputError, match="3DBox_MR_1"):
        cases_of(tmp_path / "npz")


def test_a_place_without_cases_is_refused(tmp_path):
    with pytest.raises(CaseMissingError, match=r"manifest\.jsonl"):
        cases_of(tmp_path)
    with pytest.raises(CaseMissingError, match="nowhere"):
        cases_of(tmp_path / "nowhere")


def test_a_folder_in_another_layout_is_measured_on_those_that_a_training_holds_out(voxtrace, tmp_path, caplog):
    folder = write_nnunet(tmp_path / "Dataset009_Blobs", [f"blob_{n:03d}" for n in range(5)])
    held = [case.id for case in find_cases(folder).cases if case.split == "val"]
    assert [case.id for case in cases_of(folder) if case.split == "val"] == held
    ran = voxtrace("evaluate", "--data", folder, "--model", "ellipse", "--z-range", "yes", "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert {row.case for row in read_results(tmp_path / "out")} == set(held)
    assert len(held) == 1
    assert "of 5 patients 1 in val" in caplog.text


def test_folders_of_pictures_and_masks_are_measured(voxtrace, tmp_path):
    write_pictures(tmp_path / "pairs", "abcde")
    ran = voxtrace(
        "evaluate", "--data", tmp_path / "pairs", "--split", "all", "--model", "ellipse", "--out", tmp_path / "o"
    )
    assert ran.code == 0, ran.err
    assert {(row.case, row.object) for row in read_results(tmp_path / "o")} == {
        (f"pairs/{name}", label) for name in "abcde" for label in (1, 2)
    }
    ran = voxtrace("evaluate", "--data", tmp_path / "pairs", "--split", "test", "--out", tmp_path / "p")
    assert ran.code == 2
    assert "no case of split test; there are split train, image, split val, image" in ran.err


def test_predictions_are_scored_against_a_manifest(voxtrace, tmp_path):
    manifest = write_cases(tmp_path / "data")
    made = tmp_path / "ours"
    (made / "pictures").mkdir(parents=True)
    labels = np.zeros((40, 50), np.uint8)
    labels[10:20, 22:34], labels[25:30, 5:14] = 1, 2  # all of 1; 5 of the 11 rows of 2
    Image.fromarray(labels).save(made / "pictures" / "0.png")
    write_mask(made / "ct.nii.gz", lesion(SHAPE))
    (made / "film").mkdir()
    for number in (2, 5):
        block = np.zeros((40, 50), np.uint8)
        block[10:20, 8 + 2 * number : 20 + 2 * number] = 1
        Image.fromarray(block).save(made / "film" / f"{number}.png")
    ran = voxtrace("evaluate", "--data", manifest, "--predictions", made, "--out", tmp_path / "out")
    assert ran.code == 3
    rows = {(row.case, row.object): row for row in read_results(tmp_path / "out")}
    assert rows["pictures/0", 1].dsc == 1
    assert rows["pictures/0", 2].dsc == pytest.approx(2 * 45 / (45 + 99))
    assert rows["scans/ct", 1].dsc == rows["films/film", 1].dsc == 1
    assert rows["pictures/1", 0].status == "failed"
    assert "1.*" in rows["pictures/1", 0].error
    assert {(row.model, row.prompt) for row in rows.values()} == {("ours", "given")}
    assert voxtrace.opened == []


def test_predictions_are_scored_against_a_folder_of_references(voxtrace, tmp_path):
    for place, shift in (("truth", 0), ("ours", 1)):
        (tmp_path / place).mkdir()
        write_mask(tmp_path / place / "a.nii.gz", np.roll(lesion(SHAPE), shift, axis=2))
    data = ("--data", tmp_path / "truth", "--predictions", tmp_path / "ours")
    ran = voxtrace("evaluate", *data, "--out", tmp_path / "out", "--json")
    assert ran.code == 0, ran.err
    truth, ours = lesion(SHAPE), np.roll(lesion(SHAPE), 1, axis=2)
    (row,) = read_results(tmp_path / "out")
    assert row.dsc == pytest.approx(2 * (truth & ours).sum() / (truth.sum() + ours.sum()))


def test_a_prediction_of_another_shape_fails_by_name(voxtrace, tmp_path):
    manifest = write_cases(tmp_path / "data")
    (tmp_path / "ours").mkdir()
    write_mask(tmp_path / "ours" / "ct.nii.gz", lesion((10, 30, 35)))
    words = ("--set", "scans", "--predictions", tmp_path / "ours")
    ran = voxtrace("evaluate", "--data", manifest, *words, "--out", tmp_path / "out")
    assert ran.code == 3
    assert "(10, 30, 35)" in ran.out


def test_a_case_of_the_wrong_kind_fails_by_name(voxtrace, tmp_path):
    manifest = write_cases(tmp_path / "data")
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    rows[2]["kind"] = "image"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows[2:3]))
    ran = voxtrace("evaluate", "--data", manifest, "--out", tmp_path / "out")
    assert ran.code == 3
    assert "is a volume; the case scans/ct is a image" in ran.out
