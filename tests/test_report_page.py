"""The report as a file: it needs nothing from elsewhere, escapes names, is the same every time, fits a phone."""

import os
import shutil
import subprocess
import sys
from html import escape
from pathlib import Path

import numpy as np
import pytest

from command_line import CommandLine
from phantoms import phantom
from report_kit import Page, row, write_run
from test_bench_worst import target
from voxtrace.bench.worst import Worst, about
from voxtrace.errors import CaseMissingError, InputError
from voxtrace.prompts import Box
from voxtrace.report.making import make

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("report page")]  # it is drawn once
NASTY = '<img src=x onerror=alert(1)> & "quoted" | `ticks` $x^2$'
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture
def voxtrace(capsys, monkeypatch):
    return CommandLine(capsys, monkeypatch)


def rich(
    folder: Path, *models: str, cases: int = 30, modalities: tuple[str, ...] = ("ct", "mri", "ultrasound")
) -> Path:
    """A run with enough cases for boxes and violins, and pictures of the worst."""
    rng = np.random.default_rng(3)
    rows = [
        row(
            model,
            float(rng.uniform()),
            case=f"s/{n}",
            modality=modalities[n % len(modalities)],
            seconds=0.01 * n + 0.1,
        )
        for model in models
        for n in range(cases)
    ]
    run = write_run(folder, *rows)
    worst, prompts = Worst(run), [Box.on_slice(2, 5, 8, 10, 20)]
    for one in rows:
        worst.offer(about(one), phantom((4, 30, 40)), target(), np.zeros((4, 30, 40), bool), prompts)
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two models on thirty cases, one of an evil name. Read only."""
    return rich(tmp_path_factory.mktemp("rich") / "run", NASTY, "b")


@pytest.fixture(scope="module")
def report(run):
    """Of that run; drawing it takes a second."""
    return make([run])


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """One model on ten cases of one modality: little to draw. Read only."""
    return rich(tmp_path_factory.mktemp("small") / "run", "a", cases=10, modalities=("ct",))


def test_nothing_comes_from_elsewhere(report):
    page = Page(report.html)
    assert page.links
    assert all(link.startswith(("#", "data:image/")) for link in page.links)
    assert "http" not in report.html
    assert "url(" not in report.html.replace("url(#", "")
    assert not {"script", "link", "iframe", "object"} & set(page.tags)


def test_names_are_escaped_everywhere(report):
    page = Page(report.html)
    assert "img" not in page.tags
    assert NASTY in page.words
    assert "<img" not in report.markdown
    assert "\\| \\`ticks\\`" in report.markdown


def test_two_makings_are_the_same_byte_for_byte(run, report):
    program = "import sys; from pathlib import Path; from voxtrace.report.making import make\n"
    program += "sys.stdout.buffer.write(make([Path(sys.argv[1])]).html.encode())"
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    again = subprocess.run([sys.executable, "-c", program, str(run)], env=environment, capture_output=True, check=True)
    assert report.html.encode() == again.stdout


def test_a_model_has_one_colour_in_all_parts(tmp_path):
    from voxtrace.report.palette import Palette

    rows = [row(model, 0.5, case=f"s/{n}") for model in ("a", "b") for n in range(6)]
    parts = [write_run(tmp_path / "one", *rows), write_run(tmp_path / "two", *rows[6:], data_sha256={"x": "y"})]
    second = make(parts).document.sections[1]
    (drawn, *_) = [panel.svg for block in second.walk() for panel in getattr(block, "panels", ())]
    palette = Palette(["a", "b"])
    assert palette.of("b").colour in drawn
    assert palette.of("a").colour not in drawn


def test_drawings_are_told_in_words(report):
    drawings = [tag.split(">")[0] for tag in report.html.split("<svg ")[1:]]
    told = [tag for tag in drawings if 'role="img" aria-label="' in tag]
    rest = [tag for tag in drawings if tag not in told]
    assert len(told) > 10
    assert all('aria-hidden="true"' in tag or 'class="key"' in tag for tag in rest)


def test_pictures_can_be_left_out(report, small):
    assert "data:image/" in report.html
    without = make([small], pictures=False)
    assert "data:image/" not in without.html
    assert "Worst cases" in without.markdown


def test_a_damaged_picture_is_left_out(small, tmp_path):
    run = shutil.copytree(small, tmp_path / "run")
    assert len(list((run / "worst").iterdir())) == 6
    next((run / "worst").iterdir()).write_bytes(b"PK\x03\x04 cut off")
    assert make([run]).html.count('class="case"') == 5


def test_the_command_writes_both_files_and_no_others_over(voxtrace, tmp_path):
    run = write_run(tmp_path / "run", row())
    (run / "modalities.md").write_text("tables")
    ran = voxtrace("report", run, "-o", run / "modalities.html", "--overwrite")
    assert ran.code == 2
    assert "would overwrite" in ran.err
    assert (run / "modalities.md").read_text() == "tables"
    page = tmp_path / "to" / "r.html"
    assert voxtrace("report", run, "-o", page, "--json").json["sections"] == ["Evaluation: run"]
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert page.with_suffix(".md").read_text().startswith("# Results")
    assert "--overwrite" in voxtrace("report", run, "-o", page).err
    page.write_text("old")
    assert voxtrace("report", run, "-o", page, "--overwrite").code == 0
    assert page.read_text() != "old"


def test_a_folder_without_results_is_told_what_to_give(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CaseMissingError, match="empty holds no results; give folders that `voxtrace evaluate`"):
        make([tmp_path / "empty"])


def test_no_folder_at_all_is_a_mistake(voxtrace, tmp_path):
    ran = voxtrace("report", "-o", tmp_path / "r.html")
    assert ran.code == 2
    assert "name at least one folder" in ran.err


def test_an_unfinished_run_is_told_how_to_go_on(tmp_path):
    run = write_run(tmp_path / "run", row())
    (run / "summaries.json").unlink()
    with pytest.raises(CaseMissingError, match="not finished; give its command again"):
        make([run])


def test_damaged_results_are_named(tmp_path):
    run = write_run(tmp_path / "run", row())
    (run / "summaries.json").write_text("[{")
    with pytest.raises(InputError, match=r"summaries\.json is not JSON"):
        make([run])


@pytest.mark.skipif(BROWSER is None, reason="no chromium here: apt-get install chromium")
def test_the_page_is_no_wider_than_the_screen(tmp_path):
    """Tables and wide drawings scroll inside their own boxes, on a phone as on a desk."""
    html = escape(make([rich(tmp_path / "run", "a" * 90, NASTY, *(f"model {n}" for n in range(7)))]).html)
    widths = (390, 1280)
    inner = "".join(f'<iframe style="width: {w}px; height: 844px; border: 0" srcdoc="{html}"></iframe>' for w in widths)
    ask = "[...document.querySelectorAll('iframe')].map(f => f.contentDocument.documentElement)"
    ask = f"document.title = {ask}.map(e => e.clientWidth + ' ' + e.scrollWidth).join(', ')"
    page = tmp_path / "page.html"
    page.write_text(f"<!DOCTYPE html><title></title>{inner}<script>onload = () => {{ {ask} }}</script>")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={tmp_path / 'b'}"]
    command = [str(BROWSER), *options, "--dump-dom", page.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert dom.split("<title>")[1].split("</title>")[0] == "390 390, 1280 1280"


def test_without_matplotlib_the_way_to_it_is_told(voxtrace, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    ran = voxtrace("report", write_run(tmp_path / "run", row()), "-o", tmp_path / "r.html")
    assert ran.code == 2
    assert "pip install 'voxtrace[report]'" in ran.err
