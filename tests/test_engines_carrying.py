"""MedSAM and LiteMedSAM through a told range of slices: which box each slice is asked with, and where it ends."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from command_line import SHAPE, CommandLine, write_scan  # noqa: E402
from test_engines_torch_sam1 import PADDED, SQUASHED, BoxPainter  # noqa: E402
from voxtrace import engines  # noqa: E402
from voxtrace.engines.torch_sam1 import TorchSam1Engine  # noqa: E402
from voxtrace.errors import ModelError  # noqa: E402
from voxtrace.io import read_mask  # noqa: E402
from voxtrace.memory import SelfSorting  # noqa: E402
from voxtrace.model.mask_decoder import Masks  # noqa: E402
from voxtrace.model.sam1 import Sam1  # noqa: E402
from voxtrace.prompts import Box  # noqa: E402
from voxtrace.sessions import ImageSession, SetSession, VideoSession, VolumeSession  # noqa: E402
from voxtrace.volume import Picture, Video, Volume  # noqa: E402

pytestmark = pytest.mark.torch

DEPTH, HEIGHT, WIDTH = 9, 40, 60
MARKED = (8, 20, 26, 45)  # y0, x0, y1, x1
CONFIGS = pytest.mark.parametrize("config", [SQUASHED, PADDED], ids=["medsam", "litemedsam"])


class SeeingPainter(BoxPainter):
    """A net that answers with the box itself, and with nothing on an image of one grey. boxes: x0, y0, x1, y1 asked."""

    def __init__(self, config) -> None:
        super().__init__(config)
        self.boxes: list[list[float]] = []

    def decode(self, embedding, points_xy, labels) -> Masks:
        self.boxes += points_xy.flatten(1).tolist()
        masks = super().decode(embedding, points_xy, labels)
        seen = 1.0 if embedding.abs().max() > 0 else -1.0
        return Masks(torch.minimum(masks.logits, torch.tensor(seen)), *masks[1:])


def scan(blank: tuple[int, ...] = ()) -> Volume:
    """Noise; slices of one grey where it is blank."""
    array = np.random.default_rng(0).integers(0, 255, (DEPTH, HEIGHT, WIDTH), dtype=np.uint8)
    array[list(blank)] = 90
    return Volume(array)


def painter(config=SQUASHED) -> TorchSam1Engine:
    return TorchSam1Engine(SeeingPainter(config), "cpu")


def random_net(config) -> TorchSam1Engine:
    torch.manual_seed(0)
    return TorchSam1Engine(Sam1(config), "cpu")


def box3d(z0: int, z1: int, place: tuple[int, int, int, int] = MARKED) -> Box:
    y0, x0, y1, x1 = place
    return Box(z0, y0, x0, z1, y1, x1)


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    """y0, x0, y1, x1, half-open."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def widened(place, margin_y: float, margin_x: float) -> tuple[float, float, float, float]:
    y0, x0, y1, x1 = place
    return max(y0 - margin_y, 0), max(x0 - margin_x, 0), min(y1 + margin_y, HEIGHT), min(x1 + margin_x, WIDTH)


def alone(engine: TorchSam1Engine, frame: np.ndarray, place) -> np.ndarray:
    """(H, W) bool: one picture, asked with one box."""
    return ImageSession(engine, Picture(frame)).add(Box.on_slice(0, *place)).run().mask(1)[0]


@CONFIGS
def test_every_slice_of_the_range_equals_a_picture_asked_with_the_last_mask_s_box(config):
    """5 pixels of MedSAM's square around the box, 3 of LiteMedSAM's longest side."""
    engine = random_net(config)
    session = VolumeSession(engine, scan()).add(box3d(2, 8))
    found = session.run().mask(1)
    size = config.image_size
    margins = (3 * WIDTH / size,) * 2 if config.keep_aspect else (5 * HEIGHT / size, 5 * WIDTH / size)
    expected = np.zeros_like(found)
    for way in (range(4, 8), range(4, 1, -1)):
        place = MARKED
        for z in way:
            expected[z] = alone(engine, session.frames[z], place)
            place = widened(extent(expected[z]), *margins) if expected[z].any() else MARKED
    assert np.array_equal(found, expected)
    assert found.any(axis=(1, 2)).sum() >= 3


@CONFIGS
def test_a_slice_is_asked_with_the_last_mask_s_box_and_the_published_margin(config):
    """In the net's pixels: 5 around it for MedSAM, 3 for LiteMedSAM; the box's last pixel is inside."""
    engine = painter(config)
    found = VolumeSession(engine, scan()).add(box3d(3, 7)).run().mask(1)
    margin, sides = (3, [WIDTH] * 4) if config.keep_aspect else (5, [HEIGHT, WIDTH] * 2)
    for box, before in zip(engine.model.boxes[1:], (4, 5, 4), strict=True):  # of the slices 5, 6 and 3
        y0, x0, y1, x1 = np.array(extent(found[before])) * config.image_size / sides
        expected = [x0 - margin, y0 - margin, x1 + margin - 1, y1 + margin - 1]
        assert np.abs(np.subtract(box, np.clip(expected, 0, None))).max() < 1e-3


def test_after_an_empty_slice_the_marked_box_is_asked_again():
    found = VolumeSession(painter(), scan(blank=(6,))).add(box3d(3, 9)).run().mask(1)
    assert extent(found[5]) == MARKED
    assert not found[6].any()
    assert extent(found[7]) == MARKED
    assert extent(found[8]) != MARKED


def test_the_range_is_gone_through_to_its_ends_and_not_beyond():
    work = VolumeSession(painter(), scan(blank=(1, 2, 3, 6))).add(box3d(0, 8))
    assert np.flatnonzero(work.run().mask(1).any((1, 2))).tolist() == [0, 4, 5, 7]


def test_objects_have_their_own_boxes_and_ranges_and_slices_are_encoded_once(monkeypatch):
    engine = painter()
    encoded = []
    encode = engine.encode
    monkeypatch.setattr(engine, "encode", lambda frames: encoded.append(len(frames)) or encode(frames))
    other = (2, 4, 7, 12)
    work = VolumeSession(engine, scan()).add(box3d(2, 8), "a").add(box3d(4, 9, other), "b")
    result = work.run()
    assert np.flatnonzero(result.mask("a").any((1, 2))).tolist() == [2, 3, 4, 5, 6, 7]
    assert np.flatnonzero(result.mask("b").any((1, 2))).tolist() == [4, 5, 6, 7, 8]
    assert extent(result.mask("b")[6]) == other
    assert sum(encoded) == 7


def test_a_box_on_another_slice_guides_what_lies_beyond_it():
    other = (2, 4, 7, 12)
    work = VolumeSession(painter(), scan()).add([box3d(2, 9), Box.on_slice(7, *other)])
    found = work.run().mask(1)
    assert extent(found[7]) == other
    assert np.abs(np.subtract(extent(found[8]), widened(other, 5 * HEIGHT / 128, 5 * WIDTH / 128))).max() <= 1


def test_slices_may_lie_along_another_axis():
    found = VolumeSession(painter(), scan(), axis=1).add(Box(1, 8, 20, 7, 14, 45)).run().mask(1)
    assert np.flatnonzero(found.any((0, 2))).tolist() == list(range(8, 14))
    assert extent(found[:, 10]) == (1, 20, 7, 45)


def test_a_range_that_is_the_whole_scan_is_told_as_well():
    found = VolumeSession(painter(), scan()).add(box3d(0, DEPTH)).run().mask(1)
    assert found.any((1, 2)).all()


def test_a_video_is_gone_through_within_a_box_of_several_frames():
    frames = [np.repeat(one[..., None], 3, axis=2) for one in scan().array]
    work = VideoSession(painter(), Video(frames, (DEPTH, HEIGHT, WIDTH), fps=25.0))
    assert np.flatnonzero(work.add(box3d(3, 6)).run().mask(1).any((1, 2))).tolist() == [3, 4, 5]


def test_a_box_on_one_slice_does_not_tell_how_far_the_object_goes():
    work = VolumeSession(painter(), scan()).add(Box.on_slice(4, *MARKED), "lesion")
    with pytest.raises(ModelError, match=r"squashed segments single images.*'lesion'.*3D box"):
        work.run()


def test_a_set_of_images_has_no_range_to_tell():
    frames = [np.repeat(one[..., None], 3, axis=2) for one in scan().array[:3]]
    with pytest.raises(ModelError, match=r"voxtrace-small$"):
        SetSession(painter(), frames).add(Box.on_slice(0, *MARKED)).run()


def test_a_window_or_sorted_memories_are_refused():
    for options, said in (({"zoom": 2.0}, "leave zoom"), ({"memory": SelfSorting()}, "leave --memory out")):
        work = VolumeSession(painter(), scan(), **options).add(box3d(0, 9))
        with pytest.raises(ModelError, match=said):
            work.run()


@CONFIGS
def test_the_command_line_takes_a_3d_box_and_refuses_a_box_on_one_slice(config, capsys, monkeypatch, tmp_path):
    voxtrace = CommandLine(capsys, monkeypatch)
    monkeypatch.setattr(engines, "open_engine", lambda *_: painter(config))
    path, out = write_scan(tmp_path / "scan.nii.gz"), tmp_path / "m.nii.gz"
    ran = voxtrace("segment", path, "-o", out, "--box", "6:7,16,17,27", "--model", "medsam")
    assert ran.code != 0
    assert "a 3D box of all its slices (--box3d)" in ran.err
    assert not out.exists()
    ran = voxtrace("segment", path, "-o", out, "--box3d", "5,7,16,9,17,27", "--model", "medsam")
    assert ran.code == 0, ran.err
    found = read_mask(out)
    assert found.shape == SHAPE
    assert np.flatnonzero(found.any((1, 2))).tolist() == [5, 6, 7, 8]
