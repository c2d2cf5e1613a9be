"""Names of models: the registry, aliases, near misses, folders."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from voxtrace.checkpoints import find, home, list_rows, registry
from voxtrace.checkpoints.download import hash_note
from voxtrace.errors import ModelError
from voxtrace.hashing import sha256_of

CARDS = Path(__file__).parents[1] / "cards"


def test_every_public_model_has_a_card_in_the_repository():
    cards = {model.card for model in registry().values() if not model.embedded}
    assert sorted(card for card in cards if not (CARDS / card).is_file()) == []


def test_every_card_names_the_licence_of_its_models():
    wrong = [
        model.name
        for model in registry().values()
        if not model.embedded and model.licence.lower() not in (CARDS / model.card).read_text(encoding="utf-8").lower()
    ]
    assert wrong == []


def test_hashes_are_sha256_or_empty():
    lengths = {len(model.sha256) for model in registry().values()}
    assert lengths == {0, 64}


def test_two_models_never_share_a_file():
    files = [model.file.lower() for model in registry().values()]
    assert len(files) == len(set(files))


@pytest.mark.parametrize("name", ["medsam2", "MedSAM2-latest", "medsam2_latest"])
def test_case_and_dashes_of_a_name_do_not_count(name):
    assert find(name).name == "medsam2"


def test_an_unknown_name_is_answered_with_the_near_ones():
    with pytest.raises(ModelError, match="did you mean edgetam"):
        find("edgetan")


def test_a_name_like_no_other_gets_no_suggestion():
    with pytest.raises(ModelError, match=r"no model is called 'qqqq'; `voxtrace weights list`"):
        find("qqqq")


def test_home_is_where_the_variable_says(monkeypatch, tmp_path):
    monkeypatch.setenv("VOXTRACE_HOME", str(tmp_path))
    assert home() == tmp_path


def test_list_says_whose_hash_is_unknown():
    notes = {row.name: row.note for row in list_rows()}
    assert notes["medsam2"] == ""
    assert "hash unknown" in notes["medsam2-us-heart"]


@pytest.mark.real
def test_importing_the_registry_imports_no_torch():
    code = "import sys, voxtrace.checkpoints; voxtrace.checkpoints.list_rows(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_file_that_comes_with_voxtrace_is_the_registered_one():
    small = registry()["voxtrace-small"]
    assert sha256_of(small.path) == small.sha256
    assert hash_note(small).endswith("as registered.")
    assert "exchanged or damaged" in hash_note(replace(small, sha256="0" * 64))
