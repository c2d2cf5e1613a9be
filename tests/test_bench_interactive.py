"""The interactive benchmark: its steps, its table, and that both equal the published script's on frozen cases."""

import csv
import json
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from fake_engine import FakeEngine
from labelled import write_cases
from voxtrace import engines
from voxtrace.bench.clicks import Click
from voxtrace.bench.corrections import NetCorrected, box_of
from voxtrace.bench.interactive import interactive, measure, write
from voxtrace.bench.plan import Plan
from voxtrace.bench.rounds import Rounds, correct_in_rounds
from voxtrace.bench.sources import cases_of
from voxtrace.bench.truths import Target, open_case
from voxtrace.errors import InputError, ModelError, PromptError
from voxtrace.manifest import read_manifest
from voxtrace.prompts import Box, Point
from voxtrace.volume import Volume

pytestmark = pytest.mark.real

COLUMNS = (
    ["CaseName", "TotalRunningTime"]
    + [f"RunningTime_{n}" for n in range(1, 7)]
    + ["DSC_AUC", "NSD_AUC", "DSC_Final", "NSD_Final"]
    + [f"DSC_{n}" for n in range(1, 7)]
    + [f"NSD_{n}" for n in range(1, 7)]
    + ["num_class", "runtime_upperbound"]
)


def shapes(seed: int) -> np.ndarray:
    """(D, H, W) uint8 with two or three objects of odd shapes."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(9, 20, 26)), 2.0)
    pieces, _ = ndimage.label(smooth > 0.03)
    sizes = np.bincount(pieces.ravel())[1:]
    kept = np.argsort(-sizes, kind="stable")[: 2 + seed % 2] + 1
    return sum((number * (pieces == piece) for number, piece in enumerate(kept, 1)), np.zeros_like(pieces)).astype(
        np.uint8
    )


class Mended:
    """A model that fills its box by half and mends a ball around each click: right, wrong and empty masks occur."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.labels = np.zeros(shape, np.uint16)

    def mark(self, boxes):
        for label, box in boxes.items():
            self.labels[int(box.z0), int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)] = label
        return self.labels.copy()

    def correct(self, clicks):
        for label, click in clicks.items():
            z, y, x = np.ogrid[tuple(slice(0, s) for s in self.labels.shape)]
            ball = (z - click.z) ** 2 + (y - click.y) ** 2 + (x - click.x) ** 2 <= 10
            own = ball if click.positive else ball & (self.labels == label)
            self.labels[own] = label if click.positive else 0
        return self.labels.copy()


def published(gts: np.ndarray, spacing: tuple[float, float, float], boxes: dict[int, Box]) -> tuple[dict, list]:
    """The published evaluation written out with the script's own tools: cc3d, scipy, surface-distance, seed 42."""
    cc3d = pytest.importorskip("cc3d", reason="connected-components-3d is not installed (voxtrace[test])")
    surface = pytest.importorskip("surface_distance", reason="surface-distance is not installed")
    labels = [int(v) for v in np.unique(gts)[1:]]
    model, segs, dscs, nsds, clicks = Mended(gts.shape), np.zeros_like(gts), [], [], []
    for step in range(6):
        if step == 0:
            segs = model.mark(boxes)
        else:
            now = {}
            for label in labels:
                wrong = ((segs == label) != (gts == label)).astype(np.uint8)
                if not wrong.sum():
                    continue
                pieces = cc3d.connected_components(wrong, connectivity=26)
                sizes = np.bincount(pieces.flat)
                sizes[0] = 0
                depth = ndimage.distance_transform_edt(np.pad(pieces == np.argmax(sizes), 2))[2:-2, 2:-2, 2:-2]
                np.random.seed(42)
                deepest = np.argwhere(depth == depth.max())
                place = tuple(deepest[np.random.choice(len(deepest))].tolist())
                now[label] = Click(*place, positive=bool(gts[place] == label))
                clicks.append((step, label, *place, now[label].positive))
            segs = model.correct(now)
        each = [2 * ((segs == v) & (gts == v)).sum() / ((segs == v).sum() + (gts == v).sum()) for v in labels]
        dscs.append(np.mean(each))
        apart = [surface.compute_surface_distances(gts == v, segs == v, spacing_mm=spacing) for v in labels]
        near = [surface.compute_surface_dice_at_tolerance(one, 2.0) for one in apart]
        nsds.append(np.mean(near) if dscs[-1] > 0.2 else 0.0)
    row = {
        "DSC_AUC": np.trapezoid(dscs[1:]),
        "NSD_AUC": np.trapezoid(nsds[1:]),
        "DSC_Final": dscs[5],
        "NSD_Final": nsds[5],
    }
    row |= {f"DSC_{n}": dscs[n - 1] for n in range(1, 7)} | {f"NSD_{n}": nsds[n - 1] for n in range(1, 7)}
    return row | {"num_class": len(labels), "runtime_upperbound": 90 * len(labels)}, clicks


@pytest.mark.filterwarnings("ignore::DeprecationWarning:surface_distance")
def test_clicks_and_table_equal_the_published_ones_on_frozen_cases(tmp_path, monkeypatch):
    monkeypatch.setattr(np, "Inf", np.inf, raising=False)  # surface-distance 0.1 is of the days of NumPy 1
    tables = pytest.importorskip("surface_distance.lookup_tables", reason="surface-distance is not installed")
    name = "create_table_neighbour_code_to_surface_area"
    monkeypatch.setattr(tables, name, cache(getattr(tables, name)))  # else the same table is worked out 150 times
    (tmp_path / "npz").mkdir()
    for seed in range(12):
        gts, spacing = shapes(seed), np.array([1.0, 1.5, 2.5])  # (x, y, z) in the file
        np.savez(tmp_path / "npz" / f"MR_case_{seed:02}.npz", imgs=gts * 50, gts=gts, spacing=spacing)
    cases = cases_of(tmp_path / "npz")
    plan = Plan(str(tmp_path / "npz"), ("voxtrace-small",))
    found = [measure(plan, "ours", lambda scan: Mended(scan.shape), case) for case in cases]
    write(tmp_path, found, cases, 0)
    with (tmp_path / "ours_metrics.csv").open() as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == COLUMNS
    for seed, (rounds, row) in enumerate(zip(found, table, strict=True)):
        gts = shapes(seed)
        expected, clicks = published(gts, (2.5, 1.5, 1.0), boxes_of(gts))
        assert row["CaseName"] == f"MR_case_{seed:02}.npz"
        assert list(rounds.clicks) == clicks
        for name, value in expected.items():
            assert float(row[name]) == pytest.approx(value, abs=1e-9), (seed, name)
    assert any(0 < rounds.dsc[0] <= 0.2 and rounds.nsd[0] == 0 for rounds in found)


def boxes_of(gts: np.ndarray) -> dict[int, Box]:
    """The tight boxes on the middle slice of each object's z range."""
    boxes = {}
    for label in np.unique(gts)[1:]:
        present = np.flatnonzero((gts == label).any((1, 2)))
        z = int(present[len(present) // 2])
        rows, columns = np.flatnonzero((gts[z] == label).any(1)), np.flatnonzero((gts[z] == label).any(0))
        boxes[int(label)] = Box.on_slice(z, rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)
    return boxes


def rounds_of(dsc: tuple[float, ...]) -> Rounds:
    return Rounds("m", False, "s", "c", "volume", "ct", "p", 1, dsc, dsc, (1.0,) * 6)


def test_area_is_over_the_clicks_alone_and_at_most_four():
    assert rounds_of((0.3, 1.0, 1.0, 1.0, 1.0, 1.0)).dsc_auc == 4
    assert rounds_of((1.0, 0.0, 0.5, 0.5, 0.5, 0.0)).dsc_auc == pytest.approx(1.5)
    assert rounds_of((0.0, 0.1, 0.2, 0.3, 0.4, 0.7)).dsc_final == 0.7
    assert rounds_of((0.0,) * 6).seconds_total == 6


def test_a_model_that_breaks_counts_as_zero_from_there_on():
    class Broken(Mended):
        def correct(self, clicks):
            if self.labels.any() and (self.labels == 1).sum() > 60:
                raise RuntimeError("no memory")
            return super().correct(clicks)

    truth = np.zeros((9, 20, 26), bool)
    truth[2:7, 5:15, 5:15] = True
    target = Target(1, 9, 4, truth[4], tuple(range(9)), truth, (2, 7))
    fields = correct_in_rounds(Broken(truth.shape), [target], (1, 1, 1), 2.0)
    assert fields["status"] == "failed"
    assert "step 2: RuntimeError: no memory" in fields["error"]
    assert fields["dsc"][0] > 0
    assert fields["dsc"][1:] == (0.0,) * 5


def test_a_box_with_the_z_range_is_that_of_its_middle_slice():
    truth = np.zeros((9, 20, 26), bool)
    truth[2, 5:15, 5:15] = truth[3:6, 8:10, 7:9] = True
    target = Target(1, 9, 4, truth[4], tuple(range(9)), truth, (2, 6))
    assert box_of(target, z_range=False) == Box(4, 8, 7, 5, 10, 9)
    assert box_of(target, z_range=True) == Box(2, 8, 7, 6, 10, 9)


def test_a_net_is_corrected_through_its_session():
    scan_truth = np.zeros((6, 30, 40), bool)
    scan_truth[1:5, 8:20, 10:25] = True
    grey = np.where(scan_truth, 150, 40).astype(np.uint8)
    grey[:, 22:28, 30:38] = 150  # another bright block: one grey, but apart
    net = NetCorrected.start(FakeEngine())(Volume(grey))
    first = net.mark({1: Box.on_slice(2, 8, 10, 20, 25)})
    assert np.array_equal(first == 1, scan_truth)
    second = net.correct({1: Click(2, 12, 15, False)})
    assert not second[2, 12, 15]
    assert np.array_equal(net.correct({}), second)


@pytest.fixture
def fake(monkeypatch):
    engine = FakeEngine()
    monkeypatch.setattr(engines, "open_engine", lambda *_: engine)
    return engine


def test_benchmark_runs_over_a_manifest_and_goes_on(fake, tmp_path):
    plan = Plan(str(write_cases(tmp_path / "data")), ("voxtrace-small",))
    found = interactive(plan, tmp_path / "out")
    assert [rounds.case for rounds in found] == ["pictures/0", "pictures/1", "scans/ct"]
    assert all(rounds.dsc_final > 0.9 for rounds in found)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "voxtrace-small_metrics.csv",
        "clicks.csv",
        "interactive.json",
        "journal.jsonl",
        "lock.json",
        "worst",
    }
    (figures,) = json.loads((tmp_path / "out" / "interactive.json").read_text())
    assert set(figures["by_kind"]) == {"image", "volume"}
    assert figures["overall"]["dsc_auc"]["mean"] == pytest.approx(
        np.mean([np.mean([r.dsc_auc for r in found[:2]]), found[2].dsc_auc]), abs=1e-6
    )
    asked = len(fake.begun)
    assert interactive(plan, tmp_path / "out") == found
    assert len(fake.begun) == asked


def test_rounds_survive_json():
    rounds = rounds_of((0.1, 0.2, 0.3, 0.4, 0.5, 0.6))
    assert Rounds.of(json.loads(json.dumps(asdict(rounds)))) == rounds


def test_what_cannot_be_corrected_is_refused(fake, tmp_path):
    manifest = write_cases(tmp_path / "data")
    with pytest.raises(ModelError, match="ellipse"):
        interactive(Plan(str(manifest), ("ellipse",)), tmp_path / "out")
    video, _ = open_case(next(case for case in read_manifest(manifest) if case.kind == "video"))
    with pytest.raises(InputError, match="video"):
        NetCorrected.start(fake)(video)
    assert not Path(tmp_path / "out").exists()


def test_a_case_may_begin_with_a_click_on_the_deepest_pixel(tmp_path):
    gts = shapes(3)
    np.savez(tmp_path / "MR_case.npz", imgs=gts * 50, gts=gts, spacing=np.ones(3))
    (case,) = cases_of(tmp_path)
    marked = {}

    class Clicked(Mended):
        def mark(self, marks):
            marked.update(marks)
            return self.labels.copy()

    plan = Plan(str(tmp_path), ("voxtrace-small",), prompts=("click",))
    rounds = measure(plan, "ours", lambda scan: Clicked(scan.shape), case)
    assert rounds.contender == ("ours", "click, then clicks", False)
    assert rounds.dsc[0] < 0.1 < rounds.dsc[-1]
    for label, point in marked.items():
        assert isinstance(point, Point)
        on_slice = np.pad(gts[int(point.z)] == label, 1)
        depth = ndimage.distance_transform_edt(on_slice)[1:-1, 1:-1]
        assert depth[int(point.y), int(point.x)] == depth.max()


def test_a_case_cannot_begin_with_other_marks(tmp_path):
    with pytest.raises(PromptError, match="a box or a click, not with scribble"):
        interactive(Plan(str(tmp_path), ("voxtrace-small",), prompts=("scribble",)), tmp_path / "out")
