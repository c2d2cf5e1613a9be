"""`voxtrace batch`: done ones are skipped, a failed one does not end the run."""

import io
import json
import os
import shutil
import sys
import time

import pytest

from command_line import write_scan
from voxtrace.cli import main
from voxtrace.cli.batch_list import read_jobs

PROMPTS = {"objects": [{"name": "lesion", "prompts": [{"kind": "box", "z": 6, "y0": 7, "x0": 16, "y1": 17, "x1": 27}]}]}


@pytest.fixture
def cases(tmp_path):
    """Two good cases and a scan that is no scan, each with its prompts file."""
    folder = tmp_path / "cases"
    folder.mkdir()
    for seed, name in enumerate(("a", "c")):
        write_scan(folder / f"{name}.nii.gz", seed=seed)
    (folder / "b.nii.gz").write_bytes(b"not a scan")
    for name in "abc":
        (folder / f"{name}.prompts.json").write_text(json.dumps(PROMPTS))
    return folder


def statuses(ran):
    return [row["status"] for row in ran.json["results"]]


def test_one_failed_case_does_not_end_the_run(voxtrace, cases, tmp_path):
    ran = voxtrace("batch", cases, "-o", tmp_path / "out", "--preview")
    assert ran.code == 3
    assert "2 done, 1 failed" in ran.out
    assert "b.nii.gz" in ran.out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "a.nii.gz",
        "a.preview.png",
        "batch.jsonl",
        "c.nii.gz",
        "c.preview.png",
    }
    assert len(voxtrace.opened) == 1


def test_done_cases_are_skipped_and_mended_ones_are_made(voxtrace, cases, tmp_path):
    words = ("batch", cases, "-o", tmp_path / "out", "--json")
    assert statuses(voxtrace(*words)) == ["done", "failed", "done"]
    write_scan(cases / "b.nii.gz", seed=7)
    ran = voxtrace(*words)
    assert (ran.code, statuses(ran)) == (0, ["skipped", "done", "skipped"])


def test_a_case_that_was_cut_off_is_made_again(voxtrace, cases, tmp_path):
    out = tmp_path / "out"
    words = ("batch", cases, "-o", out, "--json")
    voxtrace(*words)
    lines = (out / "batch.jsonl").read_text().splitlines()
    (out / "batch.jsonl").write_text("\n".join(lines[:1]) + '\n{"out": "a.nii.g')  # the machine went down here
    assert json.loads(lines[0])["status"] == "started"
    assert statuses(voxtrace(*words))[0] == "done"


def test_files_that_the_batch_did_not_make_are_left_alone(voxtrace, cases, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.nii.gz").write_bytes(b"precious")
    for _ in range(2):
        ran = voxtrace("batch", cases, "-o", out, "--json")
        assert statuses(ran)[0] == "failed"
        assert (out / "a.nii.gz").read_bytes() == b"precious"


def test_other_prompts_or_settings_are_noticed(voxtrace, cases, tmp_path):
    words = ("batch", cases, "-o", tmp_path / "out", "--json")
    voxtrace(*words)
    ran = voxtrace(*words, "--window", "lung")
    assert statuses(ran) == ["failed"] * 3
    said = ran.json["results"][0]["error"]
    assert "made with another scan, other prompts, weights or options; add --overwrite" in said
    assert statuses(voxtrace(*words, "--window", "60/350", "--overwrite")) == ["done", "failed", "done"]


def test_a_list_of_json_lines_may_hold_the_prompts_and_name_the_outputs(voxtrace, cases, tmp_path):
    rows = [
        {"scan": "cases/a.nii.gz", "prompts": PROMPTS, "out": "one/first.seg.nrrd"},
        {"scan": "cases/c.nii.gz", "prompts": "cases/c.prompts.json"},
    ]
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    ran = voxtrace("batch", tmp_path / "list.jsonl", "-o", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert (tmp_path / "out" / "one" / "first.seg.nrrd").exists()
    assert (tmp_path / "out" / "c.nii.gz").exists()


def test_a_fault_in_one_case_is_recorded_and_the_rest_is_done(voxtrace, cases, tmp_path, monkeypatch):
    from fake_engine import FakeEngine

    honest, calls = FakeEngine.begin, []

    def broken_once(self, features, prompts):
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError("a bug")
        return honest(self, features, prompts)

    monkeypatch.setattr(FakeEngine, "begin", broken_once)
    ran = voxtrace("batch", cases, "-o", tmp_path / "out", "--json")
    assert (ran.code, statuses(ran)) == (3, ["failed", "failed", "done"])
    assert "a fault in voxtrace" in ran.json["results"][0]["error"]


def test_prompts_without_a_scan_are_a_failed_case(voxtrace, cases, tmp_path):
    (cases / "ghost.prompts.json").write_text(json.dumps(PROMPTS))
    ran = voxtrace("batch", cases, "-o", tmp_path / "out")
    assert ran.code == 3
    assert "no scan called ghost.* beside it" in ran.out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 1 is not JSON"),
        ('{"prompts": "p.json"}', "line 1 names no scan"),
        ('{"scan": "a.nii", "promts": 1}', "'promts' is not understood"),
        ('{"scan": "a.nii", "out": "../a.nii"}', "outside of"),
        ('{"scan": "a.nii"}\n{"scan": "x/a.nii"}', "two scans"),
        ('{"scan": "a.nii", "out": ".batch/a.nii"}', "where the batch keeps its own files"),
        ('{"scan": "a.nii", "out": "batch.jsonl"}', "where the batch keeps its own files"),
        ("", "names no scan"),
    ],
)
def test_lists_that_cannot_be_understood(voxtrace, tmp_path, line, said):
    (tmp_path / "list.jsonl").write_text(line)
    ran = voxtrace("batch", tmp_path / "list.jsonl", "-o", tmp_path / "out")
    assert ran.code == 2
    assert said in ran.err
    assert not (tmp_path / "out").exists()


def test_a_list_from_windows_is_read(voxtrace, cases, tmp_path):
    row = json.dumps({"scan": "cases/a.nii.gz"})
    (tmp_path / "list.jsonl").write_bytes(b"\xef\xbb\xbf" + row.encode() + b"\r\n\r\n")
    assert voxtrace("batch", tmp_path / "list.jsonl", "-o", tmp_path / "out").code == 0


def test_long_lists_are_read_in_a_time_that_grows_with_their_length(tmp_path):
    """Comparing each with each takes minutes here."""
    folder = tmp_path / "cases"
    folder.mkdir()
    for number in range(1500):
        (folder / f"s{number}.nii.gz").touch()
        (folder / f"s{number}.prompts.json").touch()
    (tmp_path / "list.jsonl").write_text("\n".join(f'{{"scan": "s{n}.nii.gz"}}' for n in range(3000)))
    start = time.process_time()
    assert len(read_jobs(folder, tmp_path / "out")) == 1500
    assert len(read_jobs(tmp_path / "list.jsonl", tmp_path / "out")) == 3000
    assert time.process_time() - start < 5


@pytest.mark.parametrize("words", [[], ["--workers", "1"]], ids=["here", "worker"])
def test_names_that_no_terminal_can_show_are_names(cases, tmp_path, monkeypatch, words):
    folder = tmp_path / "odd"
    folder.mkdir()
    name = os.fsdecode(b"s\xffn")  # as a zip file of another system leaves it
    try:
        (folder / f"{name}.nii.gz").write_bytes(b"no scan")
    except OSError:
        pytest.skip("this file system takes only UTF-8")
    shutil.copy(cases / "a.prompts.json", folder / f"{name}.prompts.json")
    shown = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="strict")
    monkeypatch.setattr(sys, "stdout", shown)
    assert main(["batch", str(folder), "-o", str(tmp_path / "out"), *words]) == 3
    shown.seek(0)
    assert "s\\udcffn.nii.gz is named like NIfTI" in shown.read()


def test_pictures_that_are_asked_for_later_are_not_left_out_in_silence(voxtrace, cases, tmp_path):
    words = ("batch", cases, "-o", tmp_path / "out", "--json")
    voxtrace(*words)
    assert "2 scans that were done before have no picture; --overwrite" in voxtrace(*words, "--preview").err
    voxtrace(*words, "--preview", "--overwrite")
    assert "no picture" not in voxtrace(*words, "--preview").err


def test_a_scan_that_went_away_is_told_and_its_mask_stays(voxtrace, cases, tmp_path):
    rows = [{"scan": f"cases/{name}.nii.gz"} for name in "ac"]
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    words = ("batch", tmp_path / "list.jsonl", "-o", tmp_path / "out", "--json")
    voxtrace(*words)
    (cases / "a.nii.gz").rename(tmp_path / "elsewhere.nii.gz")
    ran = voxtrace(*words)
    assert (ran.code, statuses(ran)) == (3, ["failed", "skipped"])
    assert "a.nii.gz does not exist; " in ran.json["results"][0]["error"]
    assert (tmp_path / "out" / "a.nii.gz").exists()
    (tmp_path / "elsewhere.nii.gz").rename(cases / "a.nii.gz")
    assert statuses(voxtrace(*words)) == ["skipped", "skipped"]


@pytest.mark.parametrize("words", [[], ["--workers", "1"]], ids=["here", "worker"])
def test_a_model_that_cannot_be_opened_ends_the_run_with_the_first_scan(cases, tmp_path, words, capsys):
    words = ["batch", str(cases), "-o", str(tmp_path / "out"), *words]
    assert main([*words, "--device", "cuda:99"]) == 2
    said = capsys.readouterr().err
    assert said.count("cuda:99") == 1
    assert "failed" not in said
    rows = [json.loads(line) for line in (tmp_path / "out" / "batch.jsonl").read_text().splitlines()]
    assert [row["status"] for row in rows] == ["started"]
