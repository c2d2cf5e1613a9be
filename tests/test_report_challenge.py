"""The report on a challenge: standings, how sure they are, who failed why, rounds and runs compared."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from challenge_kit import block, write_case
from command_line import CommandLine
from report_kit import Page, table_of
from voxtrace.bench.challenge.boosting import compare
from voxtrace.bench.challenge.cases import content_hash, list_cases
from voxtrace.bench.challenge.limits import Limits
from voxtrace.bench.challenge.runs import CaseRow, Run, read_run, write_run
from voxtrace.bench.challenge.standings import standings
from voxtrace.bench.files import write_json
from voxtrace.errors import CaseMissingError, InputError
from voxtrace.report.blocks import Figure
from voxtrace.report.making import make

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("report challenge")]  # its pages are made once
LIMITS = Limits(seconds=100.0, memory=2**30)


@pytest.fixture
def voxtrace(capsys, monkeypatch):
    return CommandLine(capsys, monkeypatch)


def row(case, dsc, status="ok", message="", **more):
    """A case of the name 2DBox_CT_<case>.npz; NSD is half the DSC."""
    given = {
        "seconds": 1.0,
        "peak_memory": 2**20,
        "modality": "CT",
        "case_sha256": case,
        "mask_sha256": f"{dsc}",
    } | more
    dsc = dsc if status == "ok" else 0.0
    return CaseRow(f"2DBox_{given['modality']}_{case}.npz", status, dsc, dsc / 2, message=message, **given)


def submit_to(place):
    """A function that writes a run of a submission into a folder of its name in `place`."""

    def submitted(name, *rows, folder=None):
        about = {"name": name, "sha256": f"sha of {name}", "image": "", "command": ["./predict"]}
        settings = {"submission": about, "limits": asdict(LIMITS), "sandbox": "namespaces", "allow": []}
        settings["scoring"] = {"nsd_tolerance_mm": 2.0, "nsd_0_at_dsc": 0.2}
        run = place / "runs" / (folder or name)
        run.mkdir(parents=True)
        write_run(Run(run, settings, {"processor": "abacus", "cpus": 2, "voxtrace": "1.2.3"}, tuple(rows)))
        return run

    return submitted


@pytest.fixture
def submit(tmp_path):
    return submit_to(tmp_path)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """good is better than poor on each of fourteen cases; late fails half of them."""
    submit, cases = submit_to(tmp_path_factory.mktemp("three")), [f"{n:02}" for n in range(14)]
    return [
        submit("poor", *(row(case, 0.5, seconds=2.0) for case in cases)),
        submit("good", *(row(case, 0.6 + 0.01 * n) for n, case in enumerate(cases))),
        submit("late", *(row(case, 0.4, *(("timeout", "killed at 100 s") * (n % 2))) for n, case in enumerate(cases))),
    ]


@pytest.fixture(scope="module")
def report(three):
    """Of the three, without a ranking."""
    return make(three)


@pytest.fixture(scope="module")
def figures(report):
    """Its figures by title."""
    return {one.title: one for one in report.document.sections[0].walk() if isinstance(one, Figure)}


@pytest.fixture(scope="module")
def ranking(three, tmp_path_factory):
    """What `voxtrace challenge rank` writes for the three."""
    folder = tmp_path_factory.mktemp("ranking")
    write_json(folder / "ranking.json", standings([read_run(run) for run in three]).to_json())
    return folder


@pytest.fixture(scope="module")
def equal(tmp_path_factory):
    """The report on two runs of the same name and results: a case of CT and one of MR."""
    submit, rows = submit_to(tmp_path_factory.mktemp("equal")), [row("0", 0.5), row("1", 0.7, modality="MR")]
    return make([submit("ours", *rows, folder="one/ours"), submit("ours", *rows, folder="two/ours")])


def test_standings_are_those_of_the_ranking(three, ranking, report):
    expected = json.loads((ranking / "ranking.json").read_text())["table"]
    table = table_of(make([*three, ranking]).markdown, "Standings")
    assert [line[1].replace("*", "") for line in table[1:]] == [one["submission"] for one in expected]
    assert [line[2] for line in table[1:]] == [f"{one['score']:.3f}" for one in expected]
    assert table[1][1] == "**good**"
    assert table[1][table[0].index("DSC")] == "**0.665**"
    assert table_of(report.markdown, "Standings") == table  # where no ranking was given, the runs are ranked


def test_a_ranking_alone_is_enough(ranking):
    markdown = make([ranking]).markdown
    assert "good is better than poor, late" in markdown
    assert "Provenance" not in markdown


def test_significance_is_a_square_in_the_order_of_the_ranks(figures):
    """good is better than both others by DSC, and poor than late."""
    dsc = figures["Who is better than whom"].panels[0]
    words = Page(dsc.svg).words.split("\n")
    assert [word for word in words if word[:2] in ("1 ", "2 ", "3 ")] == ["1 good", "2 poor", "3 late"]
    assert dsc.description == "good is better than poor, late; poor is better than late."
    assert sum(word == "<0.001" or word.startswith("0.00") for word in words) == 3


def test_rank_stability_says_how_often(figures):
    stability = figures["Rank stability"]
    assert "100%" in stability.panels[0].svg
    assert "good 1 to 1" in stability.panels[0].description
    assert "1000 times, seed 0" in stability.caption


def test_who_failed_and_why(three, submit):
    worse = submit("worse <b>", row("00", 0, "crashed", "exit code 1; it said: no <weights>"), row("01", 0.3))
    table = table_of(make([three[2], worse]).markdown, "Failed and missing cases")
    lines = {line[0].strip("*"): line[1:] for line in table[1:]}
    assert lines["timeout"][1:] == ["7", lines["timeout"][2], "killed at 100 s"]
    assert lines["timeout"][2].startswith("2DBox_CT_01, 2DBox_CT_03")
    assert lines["crashed"] == [
        "it ended with an error and without output",
        "1",
        "2DBox_CT_00",
        "exit code 1; it said: no &lt;weights&gt;",
    ]
    assert lines["missing"][1] == "12"
    assert "worse &lt;b&gt;" in lines


def test_without_failures_there_is_no_table_of_them(equal):
    assert "Failed and missing cases" not in equal.markdown


def test_a_failed_submission_is_not_the_fastest(submit):
    slow, broken = submit("slow", row("0", 0.5, seconds=9.0)), submit("broken", row("0", 0, "crashed", seconds=0.1))
    other = submit("other", row("0", 0.4, seconds=11.0))
    table = table_of(make([slow, broken, other]).markdown, "Overall")
    shown = {line[0]: line[table[0].index("seconds, median")] for line in table[1:]}
    assert shown == {"slow": "**9.0**", "other": "11", "broken": "–"}


def test_modalities_are_columns(equal):
    table = table_of(equal.markdown, "DSC by modality")
    assert table[0] == ["submission", "all (n = 2)", "CT (n = 1)", "MR (n = 1)"]
    assert table[1][2:] == ["**0.500**", "**0.700**"]


def test_a_booster_round_is_told(submit, tmp_path):
    before = submit("ours", row("0", 0.5), row("1", 0, "crashed"), folder="r1")
    after = submit("ours", row("0", 0.6), row("1", 0.4), folder="r2")
    named = {"before": "ours (r1)", "after": "ours (r2)"}
    write_json(tmp_path / "comparison.json", named | compare(read_run(before), read_run(after)).to_json())
    report = make([tmp_path])
    assert "Before: ours (r1); after: ours (r2)." in report.markdown
    assert "No longer failing: 2DBox_CT_1." in report.markdown
    line = table_of(report.markdown, "Changes")[1]
    assert line[:4] == ["all cases", "DSC", "0.250", "0.500"]
    assert line[4].startswith("+0.250 (+0.100") or line[4].startswith("+0.250 (0.100")


def test_printed_json_can_be_given_as_a_file(voxtrace, submit, tmp_path):
    runs = submit("ours", row("0", 0.5), folder="r1"), submit("ours", row("0", 0.6), folder="r2")
    (tmp_path / "again.json").write_text(voxtrace("challenge", "reproduce", *runs, "--json").out)
    report = make([tmp_path / "again.json"])
    assert "Not reproduced: 1 different." in report.markdown
    assert table_of(report.markdown, "Cases that are not reproduced")[1][2] == "+0.1000"


def test_other_json_is_refused(tmp_path):
    (tmp_path / "x.json").write_text('{"a": 1}')
    with pytest.raises(InputError, match=r"x\.json is no result of `voxtrace challenge"):
        make([tmp_path / "x.json"])


@pytest.fixture
def shown(submit, tmp_path):
    """A run that kept a mask, which misses object 1, and its cases."""
    cases = tmp_path / "cases"
    name = "3DBox_CT_0001.npz"
    write_case(cases, name)
    (case,) = list_cases(cases)
    labels = np.where(block() == 1, 0, block())
    run = submit("ours", row("0001", 0.5, case_sha256=content_hash(case)))
    data = json.loads((run / "results.json").read_text())
    data["cases"][0]["case"] = name
    (run / "results.json").write_text(json.dumps(data))
    (run / "predictions").mkdir()
    np.savez(run / "predictions" / name, segs=labels)
    return run, cases


def test_worst_cases_are_shown_where_the_cases_are(shown):
    run, cases = shown
    assert "data:image/" not in make([run]).html
    report = make([run], cases=cases)
    assert "data:image/png" in report.html
    assert table_of(report.markdown, "Worst cases")[2] == [
        "3DBox_CT_0001",
        "CT",
        "asked by its boxes",
        "1",
        "0.500",
        "0.250",
    ]
    assert "no prediction here" in report.html


def test_changed_cases_are_not_shown(shown):
    run, cases = shown
    write_case(cases, "3DBox_CT_0001.npz", block() * 2)
    with pytest.raises(InputError, match="is another file than the one that"):
        make([run], cases=cases)


def test_cases_of_another_challenge_are_named(shown, tmp_path):
    write_case(tmp_path / "others", "3DBox_CT_0002.npz")
    with pytest.raises(CaseMissingError, match="holds none of the cases"):
        make([shown[0]], cases=tmp_path / "others")


def test_what_all_runs_share_is_told_once(report):
    words = Page(report.html).words
    assert words.count("abacus, 2 cores") == 1
    assert all(words.count(f"sha of {name}") == 1 for name in ("good", "poor", "late"))


def test_one_run_alone_has_no_standings(three):
    report = make(three[:1])
    assert "Standings" not in report.markdown
    assert table_of(report.markdown, "Overall")[1][1] == "0.500 (0.500–0.500)"


def test_two_runs_of_one_name_and_folder_name_are_told_apart(equal):
    table = table_of(equal.markdown, "Overall")
    assert [line[0] for line in table[1:]] == ["ours (one/ours)", "ours (two/ours)"]
