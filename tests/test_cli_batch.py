"""`voxtrace batch`: done ones are skipped, a failed one does not end the run."""

import json

import pytest

from command_line import write_scan

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
    assert "made with another scan, other prompts or settings; add --overwrite" in ran.json["results"][0]["error"]
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
        ("", "names no scan"),
    ],
)
def test_lists_that_cannot_be_understood(voxtrace, tmp_path, line, said):
    (tmp_path / "list.jsonl").write_text(line)
    ran = voxtrace("batch", tmp_path / "list.jsonl", "-o", tmp_path / "out")
    assert ran.code == 2
    assert said in ran.err
    assert not (tmp_path / "out").exists()
