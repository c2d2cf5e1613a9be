"""Our SAM 2 followed through a film against Hugging Face's Sam2VideoModel: every frame, with the same random weights.

Ours goes the product's own way: TorchEngine, the FIFO memory and tracking.propagate.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from sam2_twins import (
    TOLERANCE,
    Masks,
    Objects,
    Twins,
    band,
    build_twins,
    film,
    hugging_face_masks,
    marks,
    memories_in_full_precision,
    our_masks,
    small_config,
    worst,
)
from voxtrace.engines.torch import TorchEngine
from voxtrace.model.config import CONFIGS

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]
pytest.importorskip("transformers", reason="the twin net comes from transformers: pip install 'voxtrace[test]'")

SIDE, FRAMES, LAST = 128, 13, 12
BOX, CLICK = marks(box=(20, 30, 70, 90)), marks((40, 70, 1))
CLICKS, OTHER_CLICKS = marks((40, 70, 1), (100, 30, 0)), marks((80, 80, 1), (10, 10, 0), (90, 70, 1))
MASK = band(SIDE)
# name -> objects, start, reverse
WALKS: dict[str, tuple[Objects, int, bool]] = {
    "box": ({1: {0: BOX}}, 0, False),
    "one click": ({1: {0: CLICK}}, 0, False),
    "clicks": ({1: {0: CLICKS}}, 0, False),
    "mask": ({1: {0: MASK}}, 0, False),
    "two objects": ({1: {0: BOX}, 2: {0: CLICK}}, 0, False),
    "three objects of three kinds": ({1: {0: OTHER_CLICKS}, 2: {0: CLICKS}, 3: {0: CLICK}}, 0, False),
    "prompts on two frames": ({1: {0: BOX, 7: OTHER_CLICKS}}, 0, False),
    "mask and a correction before it": ({1: {2: CLICKS, 9: MASK}}, 2, False),
    "start in the middle": ({1: {4: CLICKS}}, 4, False),
    "reverse": ({1: {LAST: BOX}}, LAST, True),
    "reverse from a mask, two objects": ({1: {LAST: MASK}, 2: {LAST: MASK}}, LAST, True),
    "reverse, prompts on two frames": ({1: {3: MASK, 10: OTHER_CLICKS}}, LAST, True),
}
OF_VERSION_2_0 = ("box", "mask", "two objects", "prompts on two frames", "reverse, prompts on two frames")
# Biases of the object score that leave the object present on some frames and absent on others.
PRESENT = {"2.1": -11.0, "2.0": -7.6}


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return film(FRAMES, SIDE)


@pytest.fixture(scope="module")
def twins(request: pytest.FixtureRequest) -> Twins:
    return build_twins(small_config(request.param), seed=2, present=PRESENT[request.param])


def both(twins: Twins, pictures: Sequence[np.ndarray], name: str) -> tuple[Masks, Masks]:
    objects, start, reverse = WALKS[name]
    ours = our_masks(TorchEngine(twins.ours, "cpu"), pictures, objects, start, reverse)
    with memories_in_full_precision():
        return ours, hugging_face_masks(twins.video, pictures, objects, start, reverse)


@pytest.mark.parametrize(
    ("twins", "name"),
    [*(("2.1", name) for name in WALKS), *(("2.0", name) for name in OF_VERSION_2_0)],
    indirect=["twins"],
)
def test_every_frame_equals_hugging_face(twins: Twins, pictures: list[np.ndarray], name: str) -> None:
    ours, theirs = both(twins, pictures, name)
    assert worst(ours, theirs, WALKS[name][0]) <= TOLERANCE


@pytest.mark.parametrize("twins", ["2.1"], indirect=True)
def test_object_is_seen_present_and_absent_on_the_film(twins: Twins, pictures: list[np.ndarray]) -> None:
    """Otherwise the walks above would not compare what is done with an absent object."""
    masks = our_masks(TorchEngine(twins.ours, "cpu"), pictures, *WALKS["prompts on two frames"])
    present = [bool(scores[0] > 0) for _, scores in masks.values()]
    assert 2 < sum(present) < len(present) - 2


@pytest.mark.parametrize("twins", ["2.1"], indirect=True)
def test_film_of_thirty_frames_equals_hugging_face_past_the_reach_of_memory(twins: Twins) -> None:
    """Memories reach 6 frames back and pointers 15; the walk is twice as long."""
    long = film(30, SIDE)
    ours, theirs = both(twins, long, "prompts on two frames")
    assert worst(ours, theirs, WALKS["prompts on two frames"][0]) <= TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize(("size", "frames"), [(512, 12), (1024, 4)])
def test_released_size_equals_hugging_face(size: int, frames: int) -> None:
    twins = build_twins(CONFIGS["sam2.1_hiera_tiny"].at(size))
    scale = size // SIDE
    box = marks(box=(20 * scale, 30 * scale, 70 * scale, 90 * scale))
    objects = {1: {0: box}, 2: {0: marks((40 * scale, 70 * scale, 1))}}
    pictures = film(frames, size)
    ours = our_masks(TorchEngine(twins.ours, "cpu"), pictures, objects, 0)
    with memories_in_full_precision():
        theirs = hugging_face_masks(twins.video, pictures, objects, 0)
    assert worst(ours, theirs, objects) <= TOLERANCE
