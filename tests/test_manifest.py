"""Manifests: read back as written, faults named, and only licensed training cases reach shipped weights."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from voxtrace.errors import CaseMissingError, InputError
from voxtrace.manifest import Case, read_manifest, select, shipped_training_cases, validate, write_manifest


def case(name: str = "a", **changes) -> Case:
    made = Case(f"s/{name}", "s", "image", "ct", f"{name}.png", f"{name}_mask.png", "semantic", "train", "p1", True)
    return replace(made, **changes)


def on_disk(root: Path, *cases: Case) -> list[Case]:
    for one in cases:
        (root / one.image).write_bytes(b"image")
        (root / one.mask).write_bytes(b"mask")
    return [replace(one, root=root) for one in cases]


def test_written_manifest_reads_back_equal(tmp_path):
    cases = [replace(case(), root=tmp_path), replace(case("b", patient=None, image_sha256="00"), root=tmp_path)]
    write_manifest(tmp_path / "m.jsonl", cases)
    assert read_manifest(tmp_path / "m.jsonl") == cases


def test_paths_are_relative_to_the_manifest(tmp_path):
    write_manifest(tmp_path / "m.jsonl", [case()])
    assert read_manifest(tmp_path / "m.jsonl")[0].image_path == tmp_path / "a.png"


def test_missing_manifest_is_named(tmp_path):
    with pytest.raises(CaseMissingError, match=r"nothing\.jsonl"):
        read_manifest(tmp_path / "nothing.jsonl")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "m.jsonl:2 is not JSON"),
        ("[1]", "not a JSON object"),
        ('{"id": "x"}', "fields missing"),
        (
            '{"id":"x","set":"s","kind":"film","modality":"ct","image":"i","mask":"m","label_type":"semantic","split":"val"}',
            "kind is 'film'",
        ),
    ],
)
def test_unusable_line_is_named_with_its_number(tmp_path, line, said):
    write_manifest(tmp_path / "m.jsonl", [case()])
    with (tmp_path / "m.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(InputError, match=said):
        read_manifest(tmp_path / "m.jsonl")


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("image", 5, "image is 5; text is needed"),
        ("id", ["a"], "text is needed"),
        ("mask", None, "mask is None"),
        ("ignore", "x", "a whole number is needed"),
        ("ignore", True, "a whole number is needed"),
        ("may_train_shipped_weights", 1, "true or false is needed"),
        ("labels", {"x": 1}, "labels is"),
        ("labels", [1], "labels is"),
    ],
)
def test_field_of_another_type_is_named(tmp_path, field, value, told):
    write_manifest(tmp_path / "m.jsonl", [case()])
    row = json.loads((tmp_path / "m.jsonl").read_text()) | {field: value}
    (tmp_path / "m.jsonl").write_text(json.dumps(row))
    with pytest.raises(InputError, match=re.escape(told)):
        read_manifest(tmp_path / "m.jsonl")


def test_names_of_labels_and_how_masks_are_coded_are_kept(tmp_path):
    made = case(labels=((1, "liver"), (11, "Milz")), ignore=12, coding="#ff0000 #00ff00", licence="ours")
    write_manifest(tmp_path / "m.jsonl", [made])
    assert json.loads((tmp_path / "m.jsonl").read_text())["labels"] == {"1": "liver", "11": "Milz"}
    assert read_manifest(tmp_path / "m.jsonl") == [replace(made, root=tmp_path)]


def test_sound_cases_have_no_faults(tmp_path):
    assert validate(on_disk(tmp_path, case(), case("b", patient="p2", split="val"))) == []


def test_duplicate_id_is_a_fault(tmp_path):
    faults = validate(on_disk(tmp_path, case(), case("b", id="s/a")))
    assert faults == ["id s/a is used by 2 cases"]


def test_patient_in_two_splits_is_a_fault(tmp_path):
    faults = validate(on_disk(tmp_path, case(), case("b", split="val")))
    assert faults == ["patient p1 of s is in splits ['train', 'val']"]


def test_missing_file_is_a_fault(tmp_path):
    cases = on_disk(tmp_path, case())
    (tmp_path / "a_mask.png").unlink()
    assert validate(cases) == [f"case s/a: mask {tmp_path / 'a_mask.png'} is not there"]


def test_changed_file_is_a_fault_only_when_hashes_are_asked_for(tmp_path):
    cases = on_disk(tmp_path, case(image_sha256="0" * 64))
    assert validate(cases) == []
    assert "has changed" in validate(cases, hashes=True)[0]


def test_selection_by_split_kind_and_set():
    cases = [case(), case("b", split="val"), case("c", kind="video", set="t")]
    assert [c.id for c in select(cases, split="train", kind="image")] == ["s/a"]
    assert [c.id for c in select(cases, sets=["t"])] == ["s/c"]


def test_unknown_set_is_named():
    with pytest.raises(CaseMissingError, match=r"\['u'\]"):
        select([case()], sets=["u"])


def test_shipped_weights_see_only_licensed_training_cases():
    forbidden = [case("b", split="val"), case("c", may_train_shipped_weights=False), case("d", split="test")]
    assert shipped_training_cases([case(), *forbidden]) == [case()]


@pytest.mark.data
def test_shared_cases_are_sound_and_some_are_kept_from_shipped_weights(data_root):
    cases = read_manifest(data_root / "manifest.jsonl")
    assert validate(cases) == []
    sets = {one.set for one in shipped_training_cases(cases)}
    assert sets.isdisjoint({"mr__hippocampus_msd", "microscopy__wbc_jtsc", "us__busi_breast", "ct__spleen_msd"})
