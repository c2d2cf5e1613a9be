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

NASTY = '<img src=x onerror=alert(1)> & "quoted" | `ticks` $x^2$'
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture
def voxtrace(capsys, monkeypatch):
    return CommandLine(capsys, monkeypatch)


def rich(folder: Path, *models: str) -> Path:
    """A run with enough cases for boxes and violins, and pictures of the worst."""
    rng = np.random.default_rng(3)
    rows = [
        row(
            model,
            float(rng.uniform()),
            case=f"s/{n}",
            modality=("ct", "mri", "ultrasound")[n % 3],
            seconds=0.01 * n + 0.1,
        )
        for model in models
        for n in range(30)
    ]
    run = write_run(folder, *rows)
    worst, prompts = Worst(run), [Box.on_slice(2, 5, 8, 10, 20)]
    for one in rows:
        worst.offer(about(one), phantom((4, 30, 40)), target(), np.zeros((4, 30, 40), bool), prompts)
    return run


def test_nothing_comes_from_elsewhere(tmp_path):
    html = make([rich(tmp_path / "run", "a", "b")]).html
    page = Page(html)
    assert page.links
    assert all(link.startswith(("#", "data:image/")) for link in page.links)
    assert "http" not in html
    assert "url(" not in html.replace("url(#", "")
    assert not {"script", "link", "iframe", "object"} & set(page.tags)


def test_names_are_escaped_everywhere(tmp_path):
    report = make([rich(tmp_path / "run", NASTY, "b")])
    page = Page(report.html)
    assert "img" not in page.tags
    assert NASTY in page.words
    assert "<img" not in report.markdown
    assert "\\| \\`ticks\\`" in report.markdown


def test_two_makings_are_the_same_byte_for_byte(tmp_path):
    run = rich(tmp_path / "run", "a", "b")
    program = "import sys; from pathlib import Path; from voxtrace.report.making import make\n"
    program += "sys.stdout.buffer.write(make([Path(sys.argv[1])]).html.encode())"
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    again = subprocess.run([sys.executable, "-c", program, str(run)], env=environment, capture_output=True, check=True)
    assert make([run]).html.encode() == again.stdout


def test_a_model_has_one_colour_in_all_parts(tmp_path):
    from voxtrace.report.palette import Palette

    rows = [row(model, 0.5, case=f"s/{n}") for model in ("a", "b") for n in range(6)]
    parts = [write_run(tmp_path / "one", *rows), write_run(tmp_path / "two", *rows[6:], data_sha256={"x": "y"})]
    second = make(parts).document.sections[1]
    (drawn, *_) = [panel.svg for block in second.walk() for panel in getattr(block, "panels", ())]
    palette = Palette(["a", "b"])
    assert palette.of("b").colour in drawn
    assert palette.of("a").colour not in drawn


def test_drawings_are_told_in_words(tmp_path):
    html = make([rich(tmp_path / "run", "a", "b")]).html
    drawings = [tag.split(">")[0] for tag in html.split("<svg ")[1:]]
    told = [tag for tag in drawings if 'role="img" aria-label="' in tag]
    rest = [tag for tag in drawings if tag not in told]
    assert len(told) > 10
    assert all('aria-hidden="true"' in tag or 'class="key"' in tag for tag in rest)


def test_pictures_can_be_left_out(tmp_path):
    run = rich(tmp_path / "run", "a", "b")
    assert "data:image/" in make([run]).html
    without = make([run], pictures=False)
    assert "data:image/" not in without.html
    assert "Worst cases" in without.markdown


def test_a_damaged_picture_is_left_out(tmp_path):
    run = rich(tmp_path / "run", "a")
    next((run / "worst").iterdir()).write_bytes(b"PK\x03\x04 cut off")
    assert make([run]).html.count('class="case"') == 5


def test_the_command_writes_both_files(voxtrace, tmp_path):
    ran = voxtrace("report", write_run(tmp_path / "run", row()), "-o", tmp_path / "to" / "r.html", "--json")
    assert ran.json["sections"] == ["Evaluation: run"]
    assert (tmp_path / "to" / "r.html").read_text().startswith("<!DOCTYPE html>")
    assert (tmp_path / "to" / "r.md").read_text().startswith("# Results")


def test_inputs_and_earlier_reports_are_not_overwritten(voxtrace, tmp_path):
    run = write_run(tmp_path / "run", row())
    (run / "modalities.md").write_text("tables")
    ran = voxtrace("report", run, "-o", run / "modalities.html", "--overwrite")
    assert ran.code == 2
    assert "would overwrite" in ran.err
    assert (run / "modalities.md").read_text() == "tables"
    assert voxtrace("report", run, "-o", tmp_path / "r.html").code == 0
    assert "--overwrite" in voxtrace("report", run, "-o", tmp_path / "r.html").err
    assert voxtrace("report", run, "-o", tmp_path / "r.html", "--overwrite").code == 0


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
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_no_wider_than_the_screen(tmp_path, width):
    """Tables and wide drawings scroll inside their own boxes, on a phone as on a desk."""
    run = rich(tmp_path / "run", "a" * 90, NASTY, *(f"model {n}" for n in range(7)))
    style = f"width: {width}px; height: 844px; border: 0"
    inner = f'<iframe id="f" style="{style}" srcdoc="{escape(make([run]).html)}"></iframe>'
    ask = "const e = f.contentDocument.documentElement; document.title = e.clientWidth + ' ' + e.scrollWidth"
    page = tmp_path / "page.html"
    page.write_text(f"<!DOCTYPE html><title></title>{inner}<script>onload = () => {{ {ask} }}</script>")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={tmp_path / 'b'}"]
    command = [str(BROWSER), *options, "--dump-dom", page.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert dom.split("<title>")[1].split("</title>")[0] == f"{width} {width}"


def test_without_matplotlib_the_way_to_it_is_told(voxtrace, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    ran = voxtrace("report", write_run(tmp_path / "run", row()), "-o", tmp_path / "r.html")
    assert ran.code == 2
    assert "pip install 'voxtrace[report]'" in ran.err
