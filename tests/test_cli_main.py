"""The program itself: a fault of ours, an interrupt, version and help."""

import json

from command_line import BOX
from voxtrace import cli, engines


def test_a_fault_of_ours_shows_its_traceback_and_asks_for_a_report(voxtrace, scan, tmp_path, monkeypatch):
    def broken(*_asked):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(engines, "open_engine", broken)
    ran = voxtrace("segment", scan, "-o", tmp_path / "m.nii.gz", "--box", BOX)
    assert ran.code == 1
    assert "Traceback" in ran.err
    assert "Please report it" in ran.err


def test_an_interrupt_is_130(voxtrace, scan, tmp_path, monkeypatch):
    def interrupted(*_asked):
        raise KeyboardInterrupt

    monkeypatch.setattr(engines, "open_engine", interrupted)
    ran = voxtrace("segment", scan, "-o", tmp_path / "m.nii.gz", "--box", BOX)
    assert ran.code == 130
    assert json.dumps(ran.err).count("Traceback") == 0
    assert not (tmp_path / "m.nii.gz").exists()


def test_an_interrupt_while_the_program_is_loaded_is_130_too(voxtrace, monkeypatch):
    def interrupted(_module):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "import_module", interrupted)
    ran = voxtrace("doctor")
    assert ran.code == 130
    assert ran.err.splitlines() == ["error: interrupted before anything was done"]


def test_version_and_help_are_no_mistakes(voxtrace):
    assert voxtrace("--version").out.startswith("voxtrace ")
    assert voxtrace("--help").code == 0
    assert "--box" in voxtrace("segment", "--help").out
