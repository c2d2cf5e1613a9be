"""The table: each row a piece of work, ours beside a reference, with the floor and the goal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from voxtrace.bench.speed.goals import GOALS
from voxtrace.bench.speed.operations import operations
from voxtrace.bench.speed.plan import SMALL, TINY, Models, Plan
from voxtrace.bench.speed.row import Row, row_of
from voxtrace.bench.speed.startup import startup_seconds
from voxtrace.bench.speed.turns import Taken, turns

SMALL_SIDE = 96  # image_size of voxtrace-small


@dataclass(frozen=True)
class Measuring:
    """What all rows need. rates: as `matrix_rates`. tell: told what is being done."""

    plan: Plan
    models: Models
    references: tuple[str, ...]
    rates: dict[str, float]
    tell: Callable[[str], None]

    def volume(self) -> Iterator[Row]:
        """One object through the volume: SAM 2.1 tiny, and in the same turns voxtrace-small, beside SAM 2.1 tiny."""
        plan, work = self.plan, self.plan.work
        nets = [net for net, row in ((TINY, "volume"), (SMALL, "small")) if row in plan.only]
        orders = {name: self.models.reference(name, work) for name in self.references}
        for engine in plan.engines:
            made = {TINY: self.models.tiny, SMALL: self.models.small}
            orders |= {f"{net} {engine}": made[net](engine, work) for net in nets}
        taken = turns(orders, plan.repeats, tell=self.tell)
        what = f"{work.slices} slices at {work.side}, one box, both directions"
        for net in nets:
            counted = operations(net, SMALL_SIDE if net == SMALL else work.side)
            for engine in plan.engines:
                ours = taken[f"{net} {engine}"]
                for name in self.references:
                    floor = counted.of_volume(work)
                    row, like = ("small", False) if net == SMALL else ("volume", True)
                    compared = f"{name}, SAM 2.1 tiny"
                    yield row_of(self.rates, row, f"{net}: {what}", ours, compared, taken[name], floor, like, counted)

    def objects(self) -> Iterator[Row]:
        """Several objects, beside the published scripts' pass for each and the reference's own way with several."""
        work = replace(self.plan.work, objects=self.plan.objects)
        each, together = "sam2" if "sam2" in self.references else "transformers", self.references
        orders = {f"ours {engine}": self.models.tiny(engine, work) for engine in self.plan.engines}
        orders |= {name: self.models.reference(name, work) for name in together}
        orders["each"] = self.models.reference(each, replace(work, separately=True))
        taken = turns(orders, max(1, self.plan.repeats - 1), warm=False, tell=self.tell)
        counted = operations(TINY, work.side)
        floor = counted.of_volume(work)
        what = f"{TINY}: {work.slices} slices at {work.side}, {work.objects} boxes, both directions"
        for engine in self.plan.engines:
            ours = taken[f"ours {engine}"]
            compared = f"{each}, a pass for each object"
            yield row_of(self.rates, "objects, a pass each", what, ours, compared, taken["each"], floor, True, counted)
            for name in together:
                yield row_of(
                    self.rates, "objects", what, ours, f"{name}, several objects", taken[name], floor, True, counted
                )

    def click(self) -> Iterator[Row]:
        """From a box to the mask on a slice that is encoded."""
        work = self.plan.work
        orders = {name: self.models.reference(name, work) for name in self.references}
        for engine in self.plan.engines:
            orders[f"{TINY} {engine}"] = self.models.tiny(engine, work)
            orders[f"{SMALL} {engine}"] = self.models.small(engine, work)
        taken = turns(orders, 5 * self.plan.repeats, "mark", tell=self.tell)
        for engine in self.plan.engines:
            for net in (TINY, SMALL):
                floor = operations(net, SMALL_SIDE if net == SMALL else work.side).begin
                for name in self.references:
                    what, ours = f"{net}: box to mask, features cached", taken[f"{net} {engine}"]
                    yield row_of(self.rates, "click", what, ours, f"{name}, SAM 2.1 tiny", taken[name], floor)

    def encoder(self) -> Iterator[Row]:
        """What share of the processor's rate the image encoder attains; `ratio` is the share."""
        work = self.plan.work
        orders = {engine: self.models.tiny(engine, work) for engine in self.plan.engines}
        taken = turns(orders, 3 * self.plan.repeats, "encode", tell=self.tell)
        for ours in taken.values():
            counted = operations(TINY, work.side).encode
            row = row_of(self.rates, "encoder", f"{TINY}: one slice at {work.side} encoded", ours, "", None, counted)
            share = row["floor_s"] / row["ours_s"]
            reached = GOALS["encoder"].reached(share, row["ours_s"], None)
            yield row | {"reference": "the rate of large products", "ratio": round(share, 3), "reached": reached}

    def startup(self, folder: Path) -> Iterator[Row]:
        """From the command to the first mask of a picture, without PyTorch."""
        for engine in self.plan.engines:
            if engine == "torch":
                continue
            first, later = startup_seconds(folder, 2 * self.plan.repeats, self.plan.threads, engine)
            floor = sum(getattr(operations(SMALL, SMALL_SIDE), verb) for verb in ("encode", "begin"))
            self.tell(f"start-up: {first:.2f} s at first, then {min(later):.2f} s")
            what = f"{SMALL}: `voxtrace segment` on a picture, a new process without PyTorch"
            ours = Taken(later, about={"engine": engine, "precision": "fp32"})
            yield row_of(self.rates, "startup", what, ours, "", None, floor) | {"first_time_s": round(first, 3)}

    def memory(self) -> Iterator[Row]:
        """The most memory that a process holds on a longer volume; `ratio` is of the megabytes."""
        work = replace(self.plan.work, slices=self.plan.long)
        orders = {f"ours {engine}": self.models.tiny(engine, work) for engine in self.plan.engines}
        orders |= {name: self.models.reference(name, work) for name in self.references}
        taken = turns(orders, 1, warm=False, tell=self.tell)
        counted = operations(TINY, work.side)
        what = f"{TINY}: peak memory, {work.slices} slices at {work.side}, one box"
        for engine in self.plan.engines:
            ours = taken[f"ours {engine}"]
            for name in self.references:
                theirs = taken[name]
                row = row_of(self.rates, "memory", what, ours, name, theirs, counted.of_volume(work), True)
                if theirs.peak_mb is None or ours.peak_mb is None:  # the system does not tell
                    continue
                ratio = theirs.peak_mb / ours.peak_mb
                sizes = {"ours_mb": round(ours.peak_mb), "reference_mb": round(theirs.peak_mb)}
                reached = GOALS["memory"].reached(ratio, ours.best, row["iou"])
                yield row | sizes | {"ratio": round(ratio, 2), "reached": reached}
