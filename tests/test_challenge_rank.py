"""`voxtrace challenge rank`, `reproduce`, `compare`: on tables of results that were made by hand."""

import csv
import json
from dataclasses import replace

import pytest

from voxtrace.bench.challenge.limits import Limits
from voxtrace.bench.challenge.runs import CaseRow, Run, read_run, write_run

pytestmark = pytest.mark.real

MACHINE = {"processor": "abacus", "cpus": 2}


def settings(name, sha="s"):
    limits = Limits(seconds=100.0)
    return {
        "submission": {"name": name, "sha256": sha, "image": "", "command": ["./predict"]},
        "limits": {field: getattr(limits, field) for field in limits.__slots__},
        "sandbox": "namespaces",
        "allow": [],
        "scoring": {"nsd_tolerance_mm": 2.0, "nsd_0_at_dsc": 0.2},
    }


def row(case, dsc, seconds, status="ok", **more):
    """A row; a failed one scores 0 and took the time that it took."""
    given = {"modality": "CT", "case_sha256": f"file of {case}", "mask_sha256": f"{dsc}"} | more
    good = dsc if status == "ok" else 0.0
    return CaseRow(case, status, good, good, seconds, 2**20, "", **given)


@pytest.fixture
def write(tmp_path):
    def written(name, *rows, folder=None, machine=MACHINE, sha="s"):
        place = tmp_path / (folder or name)
        place.mkdir()
        write_run(Run(place, settings(name, sha), machine, rows))
        return place

    return written


def test_a_run_is_read_as_it_was_written(write):
    rows = (row("a", 0.5, 1.25), row("b", 0, 3.0, "crashed"))
    found = read_run(write("one", *rows))
    assert (found.rows, found.name) == (rows, "one")


def test_standings_of_three_with_a_quick_failure(voxtrace, write, tmp_path):
    """On each case good is 1, 1, 2 in DSC, NSD and time; poor 2, 2, 1; fast fails both and is 3 in all."""
    runs = [
        write("poor", row("a", 0.6, 2.0), row("b", 0.5, 2.0)),
        write("fast", row("a", 0, 0.1, "crashed"), row("b", 0, 0.1, "no-output")),
        write("good", row("a", 0.9, 5.0), row("b", 0.8, 5.0)),
    ]
    ran = voxtrace("challenge", "rank", *runs, "--out", tmp_path / "ranking", "--json")
    assert ran.code == 0, ran.err
    table = {one["submission"]: one for one in ran.json["table"]}
    assert [one["submission"] for one in ran.json["table"]] == ["good", "poor", "fast"]
    assert [table[name]["score"] for name in ("good", "poor", "fast")] == pytest.approx([4 / 3, 5 / 3, 3], abs=1e-6)
    assert table["good"]["normalised"] == pytest.approx(4 / 9, abs=1e-6)
    assert [table[name]["seconds_rank"] for name in ("good", "poor", "fast")] == [2, 1, 3]
    assert (table["fast"]["failed"], table["fast"]["seconds"], table["fast"]["dsc"]) == (2, None, 0.0)
    assert ran.json["stability"]["frequency"] == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert (ran.json["stability"]["draws"], ran.json["stability"]["seed"]) == (1000, 0)
    with (tmp_path / "ranking" / "ranking.csv").open() as file:
        assert [line["submission"] for line in csv.DictReader(file)] == ["good", "poor", "fast"]
    kept = json.loads((tmp_path / "ranking" / "ranking.json").read_text())
    assert kept["submissions"] == ["poor", "fast", "good"]


def test_a_case_that_a_run_lacks_is_one_it_failed(voxtrace, write):
    runs = [write("whole", row("a", 0.5, 1), row("b", 0.5, 1)), write("half", row("a", 0.9, 1))]
    ran = voxtrace("challenge", "rank", *runs, "--metrics", "dsc", "--json")
    table = {one["submission"]: one for one in ran.json["table"]}
    assert (table["half"]["failed"], table["half"]["dsc"]) == (1, 0.45)
    assert (table["half"]["score"], table["whole"]["score"]) == (1.5, 1.5)
    assert (table["half"]["rank"], table["whole"]["rank"]) == (1, 1)


def test_metrics_and_rules_are_the_askers(voxtrace, write):
    runs = [
        write("exact", row("a", 0.9, 9.0), row("b", 0.9, 9.0)),
        write("quick", row("a", 0.8, 1.0), row("b", 0.8, 1.0)),
    ]
    assert voxtrace("challenge", "rank", *runs, "--json").json["table"][0]["submission"] == "exact"
    words = ("challenge", "rank", *runs, "--metrics", "dsc", "seconds=3", "--aggregate", "median", "--json")
    ran = voxtrace(*words)
    assert ran.json["table"][0]["submission"] == "quick"
    assert ran.json["rules"]["metrics"] == {"dsc": 1, "seconds": 3}


def test_significance_is_told_where_there_is_any(voxtrace, write):
    names = [f"case {n}" for n in range(8)]
    better = write("better", *(row(name, 0.8 + n / 100, 1.0) for n, name in enumerate(names)))
    worse = write("worse", *(row(name, 0.7 + n / 100, 1.0) for n, name in enumerate(names)))
    ran = voxtrace("challenge", "rank", worse, better)
    assert "dsc: better is better than worse (p < 0.05 after Holm)" in ran.out
    assert "dsc: worse is better" not in ran.out
    assert "seconds: " not in ran.out


def test_runs_of_one_name_are_told_apart_by_their_folders(voxtrace, write):
    runs = [write("net", row("a", 0.5, 1), folder="monday"), write("net", row("a", 0.6, 1), folder="friday")]
    table = voxtrace("challenge", "rank", *runs, "--json").json["table"]
    assert [one["submission"] for one in table] == ["net (friday)", "net (monday)"]


def test_what_cannot_be_ranked_is_told(voxtrace, write, tmp_path):
    one = write("one", row("a", 0.5, 1))
    other = write("other", row("a", 0.5, 1, case_sha256="another"))
    unscored = write("unscored", replace(row("a", 0.5, 1), dsc=None))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "results.json").write_text("{}")
    for words, said in (
        ((one, other), "a is another file in"),
        ((one, unscored), "has no dsc; leave dsc out of --metrics"),
        ((one, tmp_path / "absent"), "there is no"),
        ((one, tmp_path / "broken"), "is not a result of `voxtrace challenge run`"),
        ((one, "--metrics", "iou"), "--metrics iou is not understood"),
    ):
        ran = voxtrace("challenge", "rank", *words)
        assert (ran.code, said in ran.err) == (2, True), ran.err


def test_times_of_different_machines_come_with_a_note(voxtrace, write):
    runs = [write("one", row("a", 0.5, 1)), write("other", row("a", 0.6, 1), machine={"processor": "loom", "cpus": 2})]
    assert (
        "note: the machines differ in processor; times cannot be compared" in voxtrace("challenge", "rank", *runs).out
    )


@pytest.mark.parametrize(
    ("second", "verdict", "code"),
    [
        (row("a", 0.8, 9.0), "identical", 0),
        (row("a", 0.8009, 1.0), "reproduced", 0),
        (row("a", 0.8011, 1.0), "different", 3),
        (row("a", 0.7989, 1.0), "different", 3),
        (row("a", 0, 1.0, "timeout"), "different", 3),
    ],
)
def test_what_counts_as_reproduced(voxtrace, write, second, verdict, code):
    ran = voxtrace(
        "challenge", "reproduce", write("net", row("a", 0.8, 1.0)), write("net", second, folder="2"), "--json"
    )
    assert (ran.code, ran.json["cases"][0]["verdict"]) == (code, verdict)
    assert ran.json["deltas"] == {"dsc": 0.001, "nsd": 0.001, "seconds_ratio": None}


def test_a_failure_that_repeats_is_reproduced_and_a_missing_case_is_not(voxtrace, write):
    first = write("net", row("a", 0, 1, "crashed"), row("b", 0.5, 1))
    ran = voxtrace("challenge", "reproduce", first, write("net", row("a", 0, 2, "crashed"), folder="2"))
    assert ran.code == 3
    assert "not reproduced: 1 same failure, 1 not run" in ran.out
    assert "b: only the first ran it" in ran.out


def test_other_deltas_and_time_may_be_asked(voxtrace, write):
    runs = write("net", row("a", 0.80, 1.0)), write("net", row("a", 0.83, 1.6), folder="2")
    assert voxtrace("challenge", "reproduce", *runs, "--dsc", "0.05", "--nsd", "0.05").code == 0
    ran = voxtrace("challenge", "reproduce", *runs, "--dsc", "0.05", "--nsd", "0.01", "--seconds-ratio", "1.5")
    assert ran.code == 3
    assert "a: NSD +0.0300, time x1.60" in ran.out


def test_a_rebuilt_submission_is_compared_and_said_to_be_one(voxtrace, write):
    runs = write("net", row("a", 0.8, 1.0)), write("net", row("a", 0.8, 1.0), folder="2", sha="other")
    ran = voxtrace("challenge", "reproduce", *runs)
    assert ran.code == 0
    assert "note: the submissions' files differ" in ran.out


def test_a_booster_round_is_a_gain_by_case_and_modality(voxtrace, write):
    """DSC a +0.2, b -0.1, c 0, d from failed to 0.5: mean +0.15; twice as fast on three, and d is left out there."""
    before = write(
        "net",
        row("a", 0.5, 4.0),
        row("b", 0.5, 4.0, modality="MR"),
        row("c", 0.5, 4.0),
        row("d", 0, 9.0, "timeout"),
        folder="before",
    )
    after = write(
        "net",
        row("a", 0.7, 2.0),
        row("b", 0.4, 2.0, modality="MR"),
        row("c", 0.5, 2.0),
        row("d", 0.5, 2.0),
        folder="after",
    )
    ran = voxtrace("challenge", "compare", before, after, "--json")
    assert ran.code == 0
    dsc = ran.json["changes"][0]
    assert (dsc["better"], dsc["equal"], dsc["worse"]) == (2, 1, 1)
    assert (dsc["before"], dsc["after"]) == (0.375, 0.525)
    assert dsc["mean"]["mean"] == pytest.approx(0.15)
    assert dsc["mean"]["low"] < 0.15 < dsc["mean"]["high"]
    assert ran.json["speed_up"] == pytest.approx(2)
    assert (ran.json["mended"], ran.json["broken"]) == (["d"], [])
    assert [ran.json["by_modality"][name][0]["mean"]["n"] for name in ("CT", "MR")] == [3, 1]
    text = voxtrace("challenge", "compare", before, after).out
    assert "fails no longer: d" in text
    assert "time: 2.00 times as fast" in text


def test_rounds_without_a_common_case_or_reference_are_told(voxtrace, write):
    one, other = write("one", row("a", 0.5, 1)), write("other", row("b", 0.5, 1))
    blind = write("blind", replace(row("a", 0.5, 1), nsd=None))
    for words, said in (((one, other), "have no case in common"), ((one, blind), "a has no reference, so no NSD")):
        ran = voxtrace("challenge", "compare", *words)
        assert (ran.code, said in ran.err) == (2, True), ran.err


def test_comparison_and_reproduction_are_kept_with_their_runs_names(voxtrace, write, tmp_path):
    before, after = (write("one", row("a", dsc, 2.0), folder=folder) for folder, dsc in (("r1", 0.5), ("r2", 0.7)))
    voxtrace("challenge", "compare", before, after, "--out", tmp_path / "booster")
    voxtrace("challenge", "reproduce", before, after, "--out", tmp_path / "again")
    compared = json.loads((tmp_path / "booster" / "comparison.json").read_text())
    assert compared["after"] == f"one ({tmp_path.name}/r2)"
    assert compared["changes"][0]["mean"]["mean"] == pytest.approx(0.2)
    assert json.loads((tmp_path / "again" / "reproduction.json").read_text())["first"] == f"one ({tmp_path.name}/r1)"
