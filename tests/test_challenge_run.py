"""`voxtrace challenge run`: a submission that does something else wrong on every case is run to the end."""

import csv
import json
import os

import numpy as np
import pytest

from challenge_kit import CASE, SANDBOXES, block, working, write_case, write_submission
from voxtrace.bench.challenge.running import Plan, run_plan

# One after the other: each watches the machine's processes, memory groups and disk.
pytestmark = [pytest.mark.real, pytest.mark.xdist_group("sandbox")]

LIMITS = "memory=256M,cpus=1,seconds=3,disk=8M,processes=24"
# What the submission does, by the case's number; $out is the output's path. The last one is good again.
DEEDS = {
    "01": ("ok", "cp answer.npz $out"),
    "02": ("crashed", "echo 'no such weights' >&2; exit 3"),
    "03": ("timeout", "trap '' TERM; while true; do sleep 60; done"),
    "04": ("no-output", "cp answer.npz outputs/other.npz"),
    "05": ("wrong-shape", "cp bad/flat.npz $out"),
    "06": ("wrong-dtype", "cp bad/float.npz $out"),
    "07": ("unreadable", "cp bad/pickle.npz $out"),
    "08": ("unreadable", "head -c 300 answer.npz > $out"),
    "09": ("unreadable", "echo 'not a zip' > $out"),
    "10": ("unreadable", "cp bad/other.npz $out"),
    "11": ("disk", "cat /dev/zero > $out"),
    "12": ("memory", "exec python3 -c 'x = []\nwhile True: x.append(bytearray(4 << 20))'"),
    "13": ("timeout", "cp answer.npz $out; sleep 60"),
    "14": ("ok", "cp answer.npz $out; exit 1"),
    "15": ("unreadable", "ln -s /etc/passwd $out"),
    "16": ("crashed", "kill -SEGV $$"),
    "17": ("ok", "cp answer.npz $out"),
}


@pytest.fixture
def chameleon(tmp_path):
    """A submission that looks at the case's number and does its DEED."""
    working(SANDBOXES["namespaces"]())
    deeds = "\n".join(f"*_{number}.npz) {deed} ;;" for number, (_, deed) in DEEDS.items())
    program = f'name=$(ls inputs); out="outputs/$name"\ncase "$name" in\n{deeds}\nesac'
    folder = tmp_path / "chameleon"
    (folder / "bad").mkdir(parents=True)
    np.savez(folder / "bad" / "flat.npz", segs=block()[0])
    np.savez(folder / "bad" / "float.npz", segs=block().astype(float))
    np.savez(folder / "bad" / "other.npz", masks=block())
    mine = np.empty(block().shape, object)
    mine[...] = Trap(str(tmp_path / "sprung"))
    np.savez(folder / "bad" / "pickle.npz", segs=mine)
    return write_submission(folder, program)


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (self.path,))


def run_words(submission, cases, out, *more):
    return ("challenge", "run", "--submission", submission, "--cases", cases, "--limits", LIMITS, "--out", out, *more)


def rows_of(out):
    return {row["case"]: row for row in json.loads((out / "results.json").read_text())["cases"]}


def test_every_misdeed_has_its_status_and_the_run_goes_on(voxtrace, chameleon, tmp_path):
    cases = tmp_path / "cases"
    for number in DEEDS:
        write_case(cases, f"3DBox_CT_{number}.npz")
    ran = voxtrace(*run_words(chameleon, cases, tmp_path / "out", "--json"))
    assert ran.code == 3, ran.err
    rows = rows_of(tmp_path / "out")
    found = {name[-6:-4]: row["status"] for name, row in rows.items()}
    assert found == {number: status for number, (status, _) in DEEDS.items()}
    for row in rows.values():
        good = row["status"] == "ok"
        assert (row["dsc"], row["nsd"]) == ((1.0, 1.0) if good else (0.0, 0.0))
        assert good or row["message"]
        assert (tmp_path / "out" / "predictions" / row["case"]).exists() == good
    assert "no such weights" in rows["3DBox_CT_02.npz"]["message"]
    assert rows["3DBox_CT_14.npz"]["message"] == "exit code 1"
    assert rows["3DBox_CT_16.npz"]["message"].endswith("ended by SIGSEGV")
    assert "a pickle, which could run code" in rows["3DBox_CT_07.npz"]["message"]
    assert not (tmp_path / "sprung").exists(), "the pickle was opened"
    assert ran.json["statuses"]["ok"] == 3
    assert ran.json["dsc"]["mean"] == pytest.approx(3 / len(DEEDS), abs=1e-6)


def test_results_are_a_table_of_the_stated_columns(voxtrace, chameleon, tmp_path):
    cases = tmp_path / "cases"
    for number in ("01", "02"):
        write_case(cases, f"3DBox_CT_{number}.npz")
    ran = voxtrace(*run_words(chameleon, cases, tmp_path / "out"))
    assert "chameleon: 1 ok, 1 crashed" in ran.out
    assert "crashed        3DBox_CT_02.npz: no output; exit code 3; it said: no such weights" in ran.err
    with (tmp_path / "out" / "results.csv").open() as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == ["case", "status", "dsc", "nsd", "seconds", "peak_memory", "message"]
    assert [row["status"] for row in table] == ["ok", "crashed"]
    assert all(float(row["seconds"]) > 0 and int(row["peak_memory"]) > 0 for row in table)
    settings = json.loads((tmp_path / "out" / "results.json").read_text())["settings"]
    assert settings["limits"]["memory"] == 256 * 2**20
    assert settings["sandbox"] == "namespaces"
    with np.load(tmp_path / "out" / "predictions" / "3DBox_CT_01.npz") as kept:
        assert np.array_equal(kept["segs"], block())


def test_the_submission_is_not_shown_the_reference(voxtrace, tmp_path):
    working(SANDBOXES["namespaces"]())
    look = "python3 -S -c \"import zipfile; print(sorted(zipfile.ZipFile('inputs/$(ls inputs)').namelist()))\"; exit 1"
    submission = write_submission(tmp_path / "curious", look)
    write_case(tmp_path / "cases", author=np.array(["somebody"]))
    voxtrace(*run_words(submission, tmp_path / "cases", tmp_path / "out"))
    assert "['boxes.npy', 'imgs.npy', 'spacing.npy']" in rows_of(tmp_path / "out")[CASE]["message"]


def test_a_run_that_was_cut_off_goes_on_where_it_stopped(chameleon, tmp_path):
    from voxtrace.bench.challenge.cases import list_cases
    from voxtrace.bench.challenge.limits import parse_limits
    from voxtrace.bench.challenge.submission import read_submission

    cases = tmp_path / "cases"
    for number in ("01", "02", "17"):
        write_case(cases, f"3DBox_CT_{number}.npz")
    sandbox = SANDBOXES["namespaces"]()
    plan = Plan(read_submission(str(chameleon)), list_cases(cases), sandbox, parse_limits(LIMITS), tmp_path / "out")

    def stop_after_two(number, row):
        if number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_plan(plan, stop_after_two)
    assert list(rows_of(tmp_path / "out")) == ["3DBox_CT_01.npz", "3DBox_CT_02.npz"]
    again = []
    run = run_plan(plan, lambda number, row: again.append(row and row.case))
    assert again == [None, None, "3DBox_CT_17.npz"]
    assert [row.status for row in run.rows] == ["ok", "crashed", "ok"]


def test_a_case_that_changed_and_failed_ones_on_request_are_run_again(voxtrace, chameleon, tmp_path):
    cases, out = tmp_path / "cases", tmp_path / "out"
    for number in ("01", "02"):
        write_case(cases, f"3DBox_CT_{number}.npz")
    voxtrace(*run_words(chameleon, cases, out))
    lines = (out / "journal.jsonl").read_text().splitlines()
    voxtrace(*run_words(chameleon, cases, out))
    assert (out / "journal.jsonl").read_text().splitlines() == lines
    write_case(cases, "3DBox_CT_01.npz", np.roll(block(), 1, 2))
    voxtrace(*run_words(chameleon, cases, out, "--again"))
    new = [json.loads(line)["case"] for line in (out / "journal.jsonl").read_text().splitlines()[len(lines) :]]
    assert new == ["3DBox_CT_01.npz", "3DBox_CT_02.npz"]
    assert rows_of(out)["3DBox_CT_01.npz"]["dsc"] < 1


def test_another_submission_or_other_limits_need_another_folder(voxtrace, chameleon, tmp_path):
    write_case(tmp_path / "cases", "3DBox_CT_01.npz")
    words = run_words(chameleon, tmp_path / "cases", tmp_path / "out")
    assert voxtrace(*words).code == 0
    (chameleon / "more.txt").write_text("changed")
    ran = voxtrace(*words)
    assert ran.code == 2
    assert "submission.sha256 was" in ran.err


def test_references_may_lie_apart_or_be_missing(voxtrace, chameleon, tmp_path):
    whole = write_case(tmp_path / "truth", "3DBox_CT_01.npz")
    blind = tmp_path / "cases" / whole.name
    blind.parent.mkdir()
    with np.load(whole) as case:
        np.savez(blind, imgs=case["imgs"], spacing=case["spacing"])
    ran = voxtrace(*run_words(chameleon, blind.parent, tmp_path / "a", "--truth", whole.parent, "--json"))
    assert ran.json["dsc"]["mean"] == 1
    ran = voxtrace(*run_words(chameleon, blind.parent, tmp_path / "b", "--json"))
    assert (ran.code, ran.json["dsc"]) == (0, None)
    assert rows_of(tmp_path / "b")[whole.name]["dsc"] is None


def test_pictures_are_masks_without_channels(voxtrace, tmp_path):
    working(SANDBOXES["namespaces"]())
    labels = np.zeros((20, 30), np.uint8)
    labels[4:9, 10:22] = 1
    submission = write_submission(tmp_path / "flat", 'cp answer.npz "$2/$(ls inputs)"', answer=labels)
    write_case(tmp_path / "cases", "2DBox_US_0001.npz", labels, imgs=np.zeros((20, 30, 3), np.uint8))
    ran = voxtrace(*run_words(submission, tmp_path / "cases", tmp_path / "out", "--json"))
    assert (ran.code, ran.json["nsd"]["mean"]) == (0, 1.0)
    assert rows_of(tmp_path / "out")["2DBox_US_0001.npz"]["modality"] == "US"


def test_predict_sh_and_a_named_command_are_run_like_predict(voxtrace, tmp_path):
    working(SANDBOXES["namespaces"]())
    write_case(tmp_path / "cases")
    script = write_submission(tmp_path / "script", "cp answer.npz /workspace/outputs/$(ls inputs)", "predict.sh")
    named = write_submission(tmp_path / "named", 'cp answer.npz "$2/$(ls "$1")"', "work.sh")
    (named / "submission.toml").write_text('name = "by name"\ncommand = ["sh", "work.sh", "{inputs}", "{outputs}"]')
    for submission, name in ((script, "script"), (named, "by name")):
        ran = voxtrace(*run_words(submission, tmp_path / "cases", tmp_path / name, "--json"))
        assert (ran.code, ran.json["submission"]) == (0, name), ran.err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"--submission": "nothing-in-it"}, "is no submission: it has none of"),
        ({"--submission": "./absent"}, "is no folder"),
        ({"--cases": "nothing-in-it"}, "has no case in it"),
        ({"--cases": "absent"}, "does not exist"),
        ({"--limits": "memory=8Q"}, "memory=8Q"),
        ({"--limits": "cpus=1.5"}, "a whole number is needed"),
        ({"--limits": "cpus=9999"}, "ask for fewer"),
        ({"--limits": "seconds=1e18"}, "at most 31536000"),
        ({"--limits": "memory=99999T"}, "is too large"),
        ({"--limits": "cpu=1"}, "limit 'cpu=1' is not understood"),
        ({"--sandbox": "docker"}, "does not run a folder"),
        ({"--allow": "absent"}, "does not exist"),
        ({"--allow": "."}, "which submissions can read"),
    ],
)
def test_mistakes_are_told_before_anything_is_run(voxtrace, tmp_path, monkeypatch, change, said):
    working(SANDBOXES["namespaces"]())
    monkeypatch.chdir(tmp_path)
    write_case(tmp_path / "cases")
    write_submission(tmp_path / "good", "true")
    (tmp_path / "nothing-in-it").mkdir()
    words = {"--submission": "good", "--cases": "cases", "--out": "out"} | change
    ran = voxtrace("challenge", "run", *(word for pair in words.items() for word in pair))
    assert ran.code == 2
    assert said in ran.err
    assert not (tmp_path / "out").exists()


def test_cases_of_the_wrong_form_are_told_by_name(voxtrace, tmp_path):
    working(SANDBOXES["namespaces"]())
    submission = write_submission(tmp_path / "good", "true")
    for name, arrays in (("a", {"gts": block()}), ("b", {"imgs": block(), "gts": block()[:2]})):
        (tmp_path / name).mkdir()
        np.savez(tmp_path / name / CASE, **arrays)
        ran = voxtrace(*run_words(submission, tmp_path / name, tmp_path / "out"))
        assert (ran.code, CASE in ran.err) == (2, True)
    assert "has shape (2, 6, 8), imgs ask for (4, 6, 8)" in ran.err


def test_a_file_that_root_alone_may_read_is_told(voxtrace, tmp_path):
    working(SANDBOXES["namespaces"]())
    if os.geteuid() != 0:
        pytest.skip("only root gives submissions another user")
    submission = write_submission(tmp_path / "closed", "true")
    (submission / "answer.npz").chmod(0o600)
    write_case(tmp_path / "cases")
    ran = voxtrace(*run_words(submission, tmp_path / "cases", tmp_path / "out", "--sandbox", "namespaces"))
    assert ran.code == 2
    assert "chmod -R a+rX" in ran.err
