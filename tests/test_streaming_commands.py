"""Commands that keep nothing in memory write the same files as ever."""

import json

import pytest

from command_line import write_picture
from voxtrace import scratch

TWO = {
    "objects": [
        {"name": "lesion", "prompts": [{"kind": "box", "z": 6, "y0": 7, "x0": 16, "y1": 17, "x1": 27}]},
        {"name": "beside", "prompts": [{"kind": "box", "z": 6, "y0": 9, "x0": 14, "y1": 19, "x1": 24}]},
    ]
}


@pytest.fixture
def frames(tmp_path):
    (tmp_path / "frames").mkdir()
    for index in range(6):
        write_picture(tmp_path / "frames" / f"f{index}.png", left=20 + 3 * index)
    return tmp_path / "frames"


def written(folder):
    """{name: bytes} of all files; NRRD headers without their date."""
    return {
        str(path.relative_to(folder)): b"".join(
            line for line in path.read_bytes().splitlines(True) if not line.startswith(b"# on ")
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def both_ways(voxtrace, monkeypatch, folder, *words):
    """What a command writes, in memory and not; OUT in its words stands for its folder."""
    found = []
    for way in ("memory", "files"):
        out = folder / way
        ran = voxtrace(*(str(word).replace("OUT", str(out)) for word in words))
        assert ran.code == 0, ran.err
        found.append(written(out))
        monkeypatch.setattr(scratch, "IN_MEMORY", 16)
        monkeypatch.setattr(scratch, "FEW", 64)
        monkeypatch.setattr("voxtrace.mapped.SLAB", 2000)
    return found


@pytest.mark.parametrize(
    ("ending", "overlap", "axis"),
    [
        (".nii.gz", "settle", 0),
        (".nii.gz", "keep", 0),
        (".seg.nrrd", "settle", 0),
        (".mha", "keep", 2),
        (".npz", "settle", 2),
    ],
)
def test_segment_writes_the_same_files(ending, overlap, axis, voxtrace, scan, tmp_path, monkeypatch):
    (tmp_path / "p.json").write_text(json.dumps(TWO))
    words = ("-o", f"OUT/m{ending}", "--preview", "OUT/p.png", "--overlap", overlap)
    marks = ("--prompts", tmp_path / "p.json") if axis == 0 else ("--axis", 2, "--box", "21:2,7,11,17")
    memory, files = both_ways(voxtrace, monkeypatch, tmp_path, "segment", scan, *words, *marks)
    assert files.keys() == memory.keys()
    assert len(files) == (3 if overlap == "keep" and axis == 0 else 2)
    for name in files:
        if ending != ".npz" or name == "p.png":
            assert files[name] == memory[name]
        else:  # a zip keeps the time
            assert len(files[name]) == len(memory[name])


def test_track_writes_the_same_files(voxtrace, frames, tmp_path, monkeypatch):
    words = (
        "-o",
        "OUT/masks",
        "--box",
        "2:8,25,22,40",
        "--backward",
        "--preview",
        "OUT/p.png",
        "--overlay",
        "OUT/o.mp4",
    )
    memory, files = both_ways(voxtrace, monkeypatch, tmp_path, "track", frames, *words)
    assert files == memory
    assert len(files) == 8


def test_oneprompt_writes_the_same_files(voxtrace, frames, tmp_path, monkeypatch):
    words = ("--image", "f2.png", "--box", "8,25,22,40", "-o", "OUT/masks", "--preview", "OUT/p.png")
    memory, files = both_ways(voxtrace, monkeypatch, tmp_path, "oneprompt", frames, *words)
    assert files == memory
    assert len(files) == 7
