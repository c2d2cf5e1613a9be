"""The report on evaluations and benchmarks: its figures are those of the run, and what is missing is left out."""

import json
import math
import re

import pytest

from command_line import CommandLine
from labelled import write_cases
from report_kit import DATA, Page, lock, row, table_of, write_run
from voxtrace.eval.summary import summaries
from voxtrace.report.making import make, parts_of

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("report evaluation")]  # its pages are made once
DSC_TABLE = "DSC, by kind, modality and set"


@pytest.fixture
def voxtrace(capsys, monkeypatch):
    return CommandLine(capsys, monkeypatch)


def titles(report):
    """Of all sections and blocks."""
    return [part.title for one in report.document.sections for part in (one, *one.blocks) if hasattr(part, "title")]


def shown(figure):
    """A figure as the tables show it."""
    interval = f" ({figure['low']:.3f}–{figure['high']:.3f})" if figure["n"] > 1 else ""
    return f"{figure['mean']:.3f}{interval}"


def test_tables_hold_the_figures_of_the_run(voxtrace, tmp_path):
    data, out = write_cases(tmp_path / "data"), tmp_path / "out"
    voxtrace("evaluate", "--data", data, "--model", "ellipse", "random-walker", "--out", out)
    assert voxtrace("report", out, "-o", tmp_path / "report.html").code == 0
    found = json.loads((out / "summaries.json").read_text())
    markdown = (tmp_path / "report.md").read_text()
    for metric in ("dsc", "nsd"):
        table = table_of(markdown, f"{metric.upper()}, by kind, modality and set")
        assert table[0] == ["", "ellipse", "random-walker", "patients"]
        cells = {name: [cell.replace("*", "") for cell in own] for name, *own in table[1:]}
        for group in ("by_kind", "by_modality", "by_set"):
            for name in found[0][group]:
                figures = [one[group][name][metric] for one in found]
                assert cells[name] == [*map(shown, figures), str(figures[0]["n"])], name
    overall = {name: own for name, *own in table_of(markdown, "Overall")[1:]}
    assert overall["ellipse"][0].replace("*", "") == shown(found[0]["overall"]["dsc"])


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """The report on three models measured on one patient."""
    rows = [row("a", 0.7001, seconds=0.5), row("b", 0.7003, seconds=12.0), row("c", 0.6, seconds=20.0)]
    return make([write_run(tmp_path_factory.mktemp("compared") / "run", *rows)])


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The report on one model alone, which was not asked for its masks."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    return make([write_run(folder, row("theirs", prompt="given"), what="modalities")])


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    """The report on a model with two patients, one with one of them, and one that failed."""
    broken = row("c", 0.0, status="failed", object=3, error="no such <weights>", hd95=math.inf, assd=math.inf)
    rows = [row("a", 0.4), row("a", 0.5, case="s/2"), row("b", 0.9), broken]
    return make([write_run(tmp_path_factory.mktemp("uneven") / "run", *rows)])


def test_the_best_of_a_line_is_bold_and_equal_ones_too(compared):
    line = table_of(compared.markdown, DSC_TABLE)[1]
    assert line[:4] == ["all", "**0.700**", "**0.700**", "0.600"]
    assert "0.700" in Page(compared.html).bold


def test_fewer_seconds_are_better(compared):
    table = table_of(compared.markdown, "Overall")
    place = table[0].index("seconds an object")
    assert [line[place] for line in table[1:]] == ["**0.50**", "12", "20"]


def test_one_model_alone_is_not_the_best(alone):
    assert Page(alone.html).bold == []


def test_a_model_measured_on_fewer_patients_is_not_compared(uneven):
    line = table_of(uneven.markdown, DSC_TABLE)[1]
    assert line[2:4] == ["0.900 of 1", "0.000 of 1"]
    assert "**" not in line[1] + line[2]


def test_one_patient_has_no_interval(compared):
    line = table_of(compared.markdown, DSC_TABLE)[1]
    assert line == ["all", "**0.700**", "**0.700**", "0.600", "1"]


def test_failed_objects_are_listed_with_their_errors(uneven):
    table = table_of(uneven.markdown, "1 object failed")
    assert table[1] == ["c", "asked by box", "s", "s/1", "3", "no such &lt;weights&gt;"]


def test_what_is_not_known_is_a_dash(tmp_path):
    run = write_run(tmp_path / "run", row("a"), row("b"))
    content = (run / "summaries.json").read_text()
    (run / "summaries.json").write_text(re.sub(r'("nsd": \{"mean": )[\d.]+', r"\1NaN", content))
    report = make([run])
    line = table_of(report.markdown, "NSD, by kind, modality and set")[1]
    assert line[1:3] == ["–", "–"]
    assert not re.search(r"\bnan\b", Page(report.html).words)


def test_ways_of_asking_have_a_table_each(tmp_path):
    rows = [row("a", 0.5), row("a", 0.6, prompt="click"), row("a", 0.7, z_range=True)]
    report = make([write_run(tmp_path / "run", *rows)])
    for way, dsc in (("box", "0.500"), ("click", "0.600"), ("box, z range told", "0.700")):
        assert table_of(report.markdown, f"DSC, asked by {way}")[1][1] == dsc


def test_provenance_is_told(compared):
    words = Page(compared.html).words
    for fact in (
        "voxtrace evaluate --data 'a b'",
        "voxtrace 1.2.3 (code feedfeedfeedfeed)",
        "abacus, 2 cores",
        "c0ffee",
    ):
        assert fact in words


def test_sections_that_results_do_not_allow_are_left_out(compared, tmp_path):
    assert {"Distribution", "DSC against seconds an object"} <= set(titles(compared))
    assert "Worst cases" not in titles(compared)
    run = write_run(tmp_path / "run", row("a"))
    (run / "results.csv").unlink()
    assert "Distribution" not in titles(make([run]))


def test_evaluations_of_the_same_cases_stand_in_one_table(tmp_path):
    first, second = write_run(tmp_path / "one", row("a")), write_run(tmp_path / "two", row("b", 0.75))
    report = make([first, second])
    assert [part.title for part in report.document.sections] == ["Evaluation: one, two"]
    assert table_of(report.markdown, DSC_TABLE)[1][1:3] == ["0.500", "**0.750**"]


@pytest.mark.parametrize("other", [{"data_sha256": DATA | {"s/1": "cc"}}, {"tolerance": 1.0}])
def test_evaluations_of_other_cases_or_with_other_scoring_stand_apart(tmp_path, other):
    runs = [write_run(tmp_path / "one", row("a")), write_run(tmp_path / "two", row("b"), **other)]
    assert len(parts_of(runs)) == 2


def test_the_same_model_measured_twice_stands_apart(tmp_path):
    runs = [write_run(tmp_path / name, row("a")) for name in ("one", "two")]
    assert len(make(runs).document.sections) == 2
    assert len(parts_of([runs[0], runs[0]])) == 1


def test_hundreds_of_sets_and_long_names(tmp_path):
    long = "a-very-" + "long-" * 30 + "name"
    rows = [row(model, 0.5, set=f"set {n:03}", case=f"c{n}") for model in (long, "b") for n in range(120)]
    report = make([write_run(tmp_path / "run", *rows)])
    table = table_of(report.markdown, DSC_TABLE)
    assert table[0][1] == long
    assert [line[0] for line in table].count("set 119") == 1


def test_robustness_tables_hold_the_curves(voxtrace, tmp_path):
    data, out = write_cases(tmp_path / "data"), tmp_path / "out"
    voxtrace("bench", "robustness", "--data", data, "--model", "ellipse", "--fault", "box-jitter", "--out", out)
    report = make([out])
    points = [p for p in json.loads((out / "robustness.json").read_text()) if p["kind"] == "overall"]
    table = table_of(report.markdown, "DSC, boxes that are off")
    lines = {line[0]: line[1] for line in table[2 : 2 + len(points)]}  # under the divider "All kinds"
    assert list(lines) == ["0 %", "5 %", "10 %", "15 %", "20 %"]
    for point, text in zip(points, lines.values(), strict=True):
        assert text.startswith(f"{point['dsc']:.3f} ({point['low']:.3f}–{point['high']:.3f})")
        assert point["level"] == 0 or text.endswith(f"{-point['lost']:+.3f}".replace("-", "−"))


def test_interactive_steps_are_means_of_the_rounds(voxtrace, tmp_path):
    data, out = write_cases(tmp_path / "data"), tmp_path / "out"
    voxtrace("bench", "interactive", "--data", data, "--kind", "image", "--out", out)
    lines = [json.loads(line) for line in (out / "journal.jsonl").read_text().splitlines()[1:]]
    table = table_of(make([out]).markdown, "DSC after each step")
    assert [line[0] for line in table[1:]] == ["box", *(f"click {n}" for n in range(1, 6))]
    for step, line in enumerate(table[1:]):
        assert line[1].startswith(f"{sum(one['dsc'][step] for one in lines) / len(lines):.3f}")


def test_modalities_are_called_so(alone):
    assert alone.document.sections[0].title == "Modalities: run"


def test_masks_made_elsewhere_were_not_asked_for(alone):
    assert "theirs, masks made elsewhere" in alone.markdown


def test_a_lock_that_knows_little_is_enough(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "lock.json").write_text(json.dumps({"what": "evaluate"}))
    (run / "summaries.json").write_text(json.dumps(summaries([row()])))
    assert table_of(make([run]).markdown, DSC_TABLE)[1][1] == "0.500"
    assert lock()["what"] == "evaluate"
