"""Tables of results say the same in every format, and a run goes on where another stopped."""

import json
import math
from dataclasses import asdict, replace

import pytest

from voxtrace.errors import CaseMissingError, InputError
from voxtrace.eval.journal import Journal
from voxtrace.eval.results import COLUMNS, Row, from_plain, plain, read_results, write_results

DONE = Row("net", "box", True, "set, a", "c/1", 3, "volume", "ct", "p", "done", 1 / 3, 0.5, 0.2, 4.25, 1.0, 0.1)
LOST = replace(
    DONE, case="c/2", status="failed", dsc=0.0, hd95=math.inf, peak_mb=12.5, frame=4, error='no "mask"\nhere'
)
SETTINGS = {"prompt": "box", "seed": 0, "weights": {"net": "ab"}}


def test_csv_is_read_back_to_the_last_digit(tmp_path):
    write_results(tmp_path, [DONE, LOST])
    assert read_results(tmp_path) == [DONE, LOST]


def test_parquet_holds_the_same_rows_and_columns(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (voxtrace[eval])")
    write_results(tmp_path, [DONE, LOST])
    table = parquet.read_table(tmp_path / "results.parquet")
    assert tuple(table.column_names) == COLUMNS
    assert table.to_pylist() == [asdict(DONE), asdict(LOST)]


def test_empty_table_has_its_columns(tmp_path):
    write_results(tmp_path, [])
    assert (tmp_path / "results.csv").read_text().strip() == ",".join(COLUMNS)
    assert read_results(tmp_path) == []


def test_a_row_survives_strict_json():
    text = json.dumps(plain(LOST), allow_nan=False)
    assert from_plain(json.loads(text)) == LOST


def test_a_table_of_something_else_is_refused(tmp_path):
    (tmp_path / "results.csv").write_text("team,score\nours,1\n")
    with pytest.raises(InputError, match="no column model, prompt"):
        read_results(tmp_path)
    with pytest.raises(CaseMissingError, match="nowhere"):
        read_results(tmp_path / "nowhere")


def test_journal_gives_back_what_was_written(tmp_path):
    journal = Journal(tmp_path, SETTINGS)
    journal.write({"row": plain(DONE)})
    assert Journal(tmp_path, SETTINGS).lines == [{"row": plain(DONE)}]


def test_changed_settings_are_refused_by_name(tmp_path):
    Journal(tmp_path, SETTINGS)
    with pytest.raises(InputError, match=r'weights\.net was "ab", now "cd"') as refused:
        Journal(tmp_path, SETTINGS | {"weights": {"net": "cd"}})
    assert "seed" not in str(refused.value)
    with pytest.raises(InputError, match=r"jitter was null, now 0\.1"):
        Journal(tmp_path, SETTINGS | {"jitter": 0.1})


def test_a_line_cut_off_by_a_crash_is_dropped_and_the_next_one_is_whole(tmp_path):
    Journal(tmp_path, SETTINGS).write({"row": 1})
    with (tmp_path / "journal.jsonl").open("a") as file:
        file.write('{"row": 2, "ca')
    Journal(tmp_path, SETTINGS).write({"row": 3})
    assert Journal(tmp_path, SETTINGS).lines == [{"row": 1}, {"row": 3}]


def test_a_file_that_is_no_journal_is_left_alone(tmp_path):
    (tmp_path / "journal.jsonl").write_text("my notes\n")
    with pytest.raises(InputError, match="not a journal"):
        Journal(tmp_path, SETTINGS)
    assert (tmp_path / "journal.jsonl").read_text() == "my notes\n"
