"""`voxtrace track` and `voxtrace oneprompt` through their real entry, with the fake engine."""

import numpy as np
import pytest
from PIL import Image

from command_line import write_picture
from voxtrace.io import read

FRAME_BOX = "2:8,25,22,40"


@pytest.fixture
def frames(tmp_path):
    """Six frames on which a block moves three pixels to the right each time."""
    (tmp_path / "frames").mkdir()
    for index in range(6):
        write_picture(tmp_path / "frames" / f"f{index}.png", left=20 + 3 * index)
    return tmp_path / "frames"


def mask(path):
    return np.asarray(Image.open(path))


def test_a_video_gives_one_label_picture_a_frame(voxtrace, frames, tmp_path):
    ran = voxtrace("track", frames, "-o", tmp_path / "masks", "--box", FRAME_BOX)
    assert ran.code == 0, ran.err
    assert sorted(path.name for path in (tmp_path / "masks").iterdir()) == [f"f{n}.png" for n in range(6)]
    assert mask(tmp_path / "masks" / "f5.png")[10:20, 35:47].all()
    assert not mask(tmp_path / "masks" / "f0.png").any()


def test_backward_also_finds_what_came_before(voxtrace, frames, tmp_path):
    ran = voxtrace("track", frames, "-o", tmp_path / "masks", "--box", FRAME_BOX, "--backward", "--json")
    assert ran.json["results"][0]["objects"][0]["frames"] == [0, 1, 2, 3, 4, 5]
    assert mask(tmp_path / "masks" / "f0.png")[10:20, 20:32].all()


def test_the_overlay_is_a_video_of_the_same_frames(voxtrace, frames, tmp_path):
    words = ("--overlay", tmp_path / "o.mp4", "--preview", tmp_path / "p.png")
    ran = voxtrace("track", frames, "-o", tmp_path / "masks", "--box", FRAME_BOX, *words)
    assert ran.code == 0, ran.err
    video = read(tmp_path / "o.mp4")
    assert video.shape == (6, 40, 50)
    edge, outside = video.frames[4][10, 38].astype(int), video.frames[4][30, 10].astype(int)
    assert edge[0] - edge[2] > 60  # the outline's colour
    assert abs(outside - 30).max() < 12
    assert (tmp_path / "p.png").exists()


def test_existing_masks_of_a_video_need_permission(voxtrace, frames, tmp_path):
    words = ("track", frames, "-o", tmp_path / "masks", "--box", FRAME_BOX)
    assert voxtrace(*words).code == 0
    again = voxtrace(*words)
    assert again.code == 2
    assert "--overwrite" in again.err
    assert voxtrace(*words, "--overwrite").code == 0


def test_masks_never_go_among_the_frames(voxtrace, frames):
    before = (frames / "f0.png").read_bytes()
    ran = voxtrace("track", frames, "-o", frames, "--box", FRAME_BOX, "--overwrite")
    assert ran.code == 2
    assert "overwrit" in ran.err
    assert (frames / "f0.png").read_bytes() == before


def test_frames_of_different_size_are_sent_to_oneprompt(voxtrace, frames, tmp_path):
    write_picture(frames / "g.png", shape=(41, 50))
    ran = voxtrace("track", frames, "-o", tmp_path / "masks", "--box", FRAME_BOX)
    assert ran.code == 2
    assert "voxtrace oneprompt" in ran.err


def test_one_prompt_is_carried_to_pictures_of_any_size(voxtrace, frames, tmp_path):
    write_picture(frames / "g.png", left=3, shape=(41, 57))
    words = ("--box", "8,24,22,40", "--preview", tmp_path / "p.png")
    ran = voxtrace("oneprompt", frames, "--image", "f2.png", "-o", tmp_path / "masks", *words)
    assert ran.code == 0, ran.err
    assert "object 1: on 7 of 7 pictures" in ran.out
    assert len(list((tmp_path / "masks").iterdir())) == 7
    assert mask(tmp_path / "masks" / "g.png").shape == (41, 57)
    assert mask(tmp_path / "masks" / "g.png")[10:20, 3:15].all()
    assert (tmp_path / "p.png").exists()


def test_the_labels_of_a_mask_stay_its_labels(voxtrace, frames, tmp_path):
    labels = np.zeros((40, 50), np.uint8)
    labels[10:20, 20:32] = 3
    Image.fromarray(labels).save(tmp_path / "known.png")
    words = ("--image", "f0.png", "--mask", tmp_path / "known.png", "-o", tmp_path / "masks", "--json")
    ran = voxtrace("oneprompt", frames, *words)
    assert ran.code == 0, ran.err
    assert set(np.unique(mask(tmp_path / "masks" / "f2.png"))) == {0, 3}
    assert ran.json["memory"] == "selfsorting"
    assert [row["objects"][0]["label"] for row in ran.json["results"]] == [3] * 6


def test_a_marked_picture_from_elsewhere_gets_no_mask_itself(voxtrace, frames, tmp_path):
    atlas = write_picture(tmp_path / "atlas.png", left=8)
    ran = voxtrace("oneprompt", frames, "--image", atlas, "--point", "14,12", "-o", tmp_path / "masks")
    assert ran.code == 0, ran.err
    assert sorted(path.name for path in (tmp_path / "masks").iterdir()) == [f"f{n}.png" for n in range(6)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--image", "zz.png", "--box", "8,24,22,40"), "neither in"),
        (("--image", "f2.png"), "nothing is marked"),
        (("--image", "f2.png", "--box", "8,24,22,99"), "outside the scan (0..50)"),
        (("--image", "f2.png", "--box", "8,24,22,40", "--overlap", "keep"), "only settle"),
    ],
)
def test_mistakes_with_a_set_are_told(voxtrace, frames, tmp_path, words, said):
    ran = voxtrace("oneprompt", frames, *words, "-o", tmp_path / "masks")
    assert ran.code == 2
    assert said in ran.err
    assert not (tmp_path / "masks").exists()


def test_two_pictures_of_one_stem_are_refused(voxtrace, frames, tmp_path):
    write_picture(frames / "f2.bmp")
    ran = voxtrace("oneprompt", frames, "--image", "f1.png", "--box", "8,22,22,40", "-o", tmp_path / "masks")
    assert ran.code == 2
    assert "would both be written to" in ran.err


def test_masks_of_a_set_never_overwrite_its_pictures(voxtrace, frames):
    ran = voxtrace("oneprompt", frames, "--image", "f1.png", "--box", "8,22,22,40", "-o", frames, "--overwrite")
    assert ran.code == 2
    assert "would overwrite the input" in ran.err
