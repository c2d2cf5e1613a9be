"""The embedded net on OpenVINO and ONNX Runtime draws PyTorch's masks: on every frame, with every kind of mark."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from voxtrace.datasets.opening import open_labels, open_scan  # noqa: E402
from voxtrace.engine import Engine, Recalled  # noqa: E402
from voxtrace.engines import find_model, open_engine  # noqa: E402
from voxtrace.engines.choosing import installed  # noqa: E402
from voxtrace.manifest import Case, read_manifest  # noqa: E402
from voxtrace.prompts import Box, MaskPrompt, Point  # noqa: E402
from voxtrace.result import Result  # noqa: E402
from voxtrace.sessions import SetSession, VideoSession, VolumeSession  # noqa: E402
from voxtrace.volume import Video, Volume  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.data, pytest.mark.usefixtures("one_thread")]

LEAST_IOU = 0.999
VOLUMES = ("mr__hippocampus_msd", "mr__prostate_promise12", "mr__spinal_cord_sct")
CLIPS = ("video__cine_mri_sunnybrook", "video__vocalfolds_laryngoscopy")
Marking = Callable[[np.ndarray, int], list]


@pytest.fixture(scope="module", autouse=True)
def graphs_there() -> None:
    why = find_model("voxtrace-small").why_no_graphs
    if why:
        pytest.skip(why)


@pytest.fixture(scope="module")
def reference() -> Engine:
    return open_engine("voxtrace-small", "cpu", engine="torch")


@pytest.fixture(scope="module", params=["openvino", "onnxruntime"])
def engine(request: pytest.FixtureRequest) -> Engine:
    if not installed(request.param):
        pytest.skip(f"{request.param} is not installed")
    return open_engine("voxtrace-small", "cpu", engine=request.param, precision="fp32")


def cases(data_root: Path, name: str) -> list[Case]:
    """Of one set, those of its validation split first."""
    found = [case for case in read_manifest(data_root / "manifest.jsonl") if case.set == name]
    return sorted(found, key=lambda case: case.split != "val")


def boxed(mask: np.ndarray, z: int) -> list:
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return [Box.on_slice(z, rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)]


def clicked(mask: np.ndarray, z: int) -> list:
    """A click on the pixel farthest inside along its row, and one in the corner that is not the object."""
    rows, columns = np.nonzero(mask)
    middle = len(rows) // 2
    return [Point(z, int(rows[middle]), int(columns[middle])), Point(z, 0, 0, positive=False)]


def painted(mask: np.ndarray, z: int, depth: int) -> list:
    whole = np.zeros((depth, *mask.shape), bool)
    whole[z] = mask
    return [MaskPrompt(whole)]


def marked(session: VolumeSession | VideoSession, labels: np.ndarray, kinds: str) -> None:
    """Mark the largest objects, each on the frame where it is largest or, in a clip, on the first that shows it."""
    found = [value for value in np.unique(labels) if value][: len(kinds)]
    for kind, value in zip(kinds, found, strict=False):
        areas = (labels == value).sum((1, 2))
        z = int(np.flatnonzero(areas)[0]) if isinstance(session, VideoSession) else int(areas.argmax())
        mask = labels[z] == value
        marks = {"b": boxed, "c": clicked}[kind](mask, z) if kind in "bc" else painted(mask, z, len(labels))
        session.add(marks, object=f"{kind}{value}")


def walked(engine: Engine, case: Case, kinds: str, most: int, corrected: bool = False) -> Result:
    """The case's scan, at most so many frames of it, with its objects marked as `kinds` says."""
    scan = open_scan(case)
    labels = open_labels(case, scan).array
    if isinstance(scan, Volume):
        centre = int((labels > 0).sum((1, 2)).argmax())
        start = max(0, min(centre - most // 2, len(labels) - most))
        scan, labels = replace(scan, array=scan.array[start : start + most]), labels[start : start + most]
        session: VolumeSession | VideoSession = VolumeSession(engine, scan)
    else:
        start = int(np.flatnonzero(labels.any((1, 2)))[0])  # not every frame of a clip is labelled
        film = np.stack([scan.frames[z] for z in range(start, min(start + most, len(labels)))])
        session, labels = VideoSession(engine, Video(film, film.shape[:3])), labels[start : start + most]
    marked(session, labels, kinds)
    result = session.run()
    if corrected:
        name = session.objects[0].name
        wrong = int(np.flatnonzero((labels > 0).any((1, 2)))[-1])
        rows, columns = np.nonzero(labels[wrong])
        session.correct(Point(wrong, int(rows[0]), int(columns[0])), name)
        result = session.run()
    return result


def assert_same_masks(one: np.ndarray, other: np.ndarray) -> None:
    """(D, H, W) labels: each object's masks on every frame."""
    assert one.any()
    for value in np.unique(one[one > 0]):
        first, second = one == value, other == value
        union = (first | second).sum((1, 2))
        iou = np.where(union > 0, (first & second).sum((1, 2)) / np.maximum(union, 1), 1)
        assert iou.min() >= LEAST_IOU, f"object {value}, frame {iou.argmin()}: {iou.min():.5f}, mean {iou.mean():.6f}"


def both(reference: Engine, engine: Engine, case: Case, kinds: str, most: int, corrected: bool = False) -> None:
    one, other = (walked(each, case, kinds, most, corrected).labels for each in (reference, engine))
    assert_same_masks(np.asarray(one), np.asarray(other))


def test_a_few_slices_with_two_objects_and_a_correction(data_root, reference, engine):
    both(reference, engine, cases(data_root, "mr__hippocampus_msd")[0], "bc", 5, corrected=True)


def test_the_beginning_of_a_clip_from_a_mask(data_root, reference, engine):
    both(reference, engine, cases(data_root, "video__cine_mri_sunnybrook")[0], "m", 5)


def test_logits_differ_by_rounding(data_root, reference, engine):
    """Relative to their spread: of a box's mask, of a mask followed from it, and of a set's."""
    case = cases(data_root, "mr__hippocampus_msd")[0]
    grey = open_scan(case).array
    frames = [np.repeat(np.uint8(255 * grey[z] / grey.max())[..., None], 3, axis=-1) for z in (10, 11)]
    answers = []
    for each in (reference, engine):
        first, second = each.encode(frames[:1])[0], each.encode(frames[1:])[0]
        prompt = Box.on_slice(0, 8, 9, 25, 30)
        begun = each.begin(first, [_frame_prompt(prompt, frames[0].shape[:2])])
        entry = each.remember(first, begun, 0, prompted=True)[0]
        ways = [Recalled(((entry, 0),), ((entry, 1),), 15, ((entry, 1.0),), placed) for placed in (True, False)]
        answers.append([begun.logits, *(each.follow(second, [way]).logits for way in ways)])
    for one, other in zip(*answers, strict=True):
        assert np.linalg.norm(one - other) / np.linalg.norm(one - one.mean()) < 1e-5


def _frame_prompt(box: Box, shape: tuple[int, int]):
    from voxtrace.prompts import on_frames

    return next(iter(on_frames([box], (1, *shape))[0].values()))


def test_a_set_from_one_mark(data_root, reference, engine):
    chosen = cases(data_root, "histo__dsb2018_stained")[:3]
    pictures = [open_scan(case).pixels for case in chosen]
    labels = open_labels(chosen[0], open_scan(chosen[0])).array
    found = []
    for each in (reference, engine):
        work = SetSession(each, pictures)
        marked_set = (labels[0] > 0)[None]
        found.append(work.add(MaskPrompt(marked_set)).run().frames)
    for one, other in zip(*found, strict=True):
        assert_same_masks(np.asarray(one)[None], np.asarray(other)[None])


@pytest.mark.slow
@pytest.mark.parametrize("kinds", ["bc", "m", "cb"])
@pytest.mark.parametrize("name", VOLUMES)
def test_whole_volumes(data_root, reference, engine, name, kinds):
    both(reference, engine, cases(data_root, name)[0], kinds, 200, corrected=kinds == "bc")


@pytest.mark.slow
@pytest.mark.parametrize("kinds", ["b", "m", "c"])
@pytest.mark.parametrize(("name", "number"), [(CLIPS[0], 0), (CLIPS[0], 1), (CLIPS[1], 0)])
def test_whole_clips(data_root, reference, engine, name, number, kinds):
    both(reference, engine, cases(data_root, name)[number], kinds, 40)
