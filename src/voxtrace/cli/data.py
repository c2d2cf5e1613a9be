"""`voxtrace data`: what labelled cases a folder holds, what is wrong with them, and a manifest of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import Positional, arg

from voxtrace.cli import outputs
from voxtrace.cli.options import TellOptions
from voxtrace.cli.terminal import note, print_json, progress, say
from voxtrace.datasets import Asked, Found, find_cases
from voxtrace.datasets.checks import check
from voxtrace.datasets.faults import Fault, by_sort, grave
from voxtrace.datasets.indexing import Index, index
from voxtrace.errors import CaseMissingError
from voxtrace.manifest import Case, read_manifest

FAULTY = 3
SHOWN = 12


@dataclass(frozen=True)
class MakeIndex:
    """Write a manifest of a folder of labelled cases and check every one of them: nnU-Net raw, BIDS derivatives,
    folders of images and masks, challenge npz. No file of the folder is changed. Exit code 3 if cases are faulty."""

    folder: Annotated[Positional[Path], arg(metavar="DIR")]
    """The data set; its layout is recognised."""
    out: Annotated[Path, arg(aliases=["-o"], metavar="FILE.jsonl")] = Path("manifest.jsonl")
    """The manifest; paths in it are relative to the folder that it lies in."""
    val: Annotated[float, arg(metavar="SHARE")] = 0.2
    """Share of the patients that go to split val, where the source has no split of its own."""
    seed: int = 0
    """Which patients those are."""
    layout: Literal["auto", "nnunet", "bids", "npz", "pairs", "manifest"] = "auto"
    """Where a folder can be read in several ways."""
    channel: Annotated[str | None, arg(metavar="NUMBER|NAME")] = None
    """Of several images a case: nnU-Net's channel by number or name, BIDS's suffix (T1w, FLAIR)."""
    mask: Annotated[str | None, arg(metavar="TEXT")] = None
    """Of several sorts of BIDS labels: a part of the sort's name, as desc-manual."""
    fold: int = 0
    """Of nnU-Net's splits_final.json."""
    set: Annotated[str | None, arg(metavar="NAME")] = None
    """The data set's name. By default the folder's."""
    modality: Annotated[str | None, arg(metavar="ct|mri|ultrasound|...")] = None
    """Where the names do not say it."""
    label_type: Literal["semantic", "instance"] | None = None
    """Whether a label is a class (semantic) or one object (instance). By default semantic; of challenge npz of
    microscopy instance."""
    patient: Annotated[str | None, arg(metavar="REGEX")] = None
    """Where a case's name holds the patient: the expression's first group."""
    licence: Annotated[str | None, arg(metavar="TEXT")] = None
    """Under which terms the data may be used; kept in the manifest."""
    drop_faulty: bool = False
    """Leave faulty cases out of the manifest. They are named; the exit code is then 0."""
    overwrite: bool = False
    """Replace a manifest that is there already."""
    telling: TellOptions = field(default_factory=TellOptions)

    def run(self) -> int:
        """Find, check, write; returns 0, or 3 if there are faulty cases in what was written."""
        outputs.check_input(self.folder, "folder of cases")
        outputs.check_file(self.out, [self.folder] if self.folder.is_file() else [], self.overwrite, (".jsonl",))
        found = find_cases(self.folder, self._asked(), past_manifest=True)
        outputs.make_folder(self.out.parent)
        with progress("checking", self.telling.silent, "cases") as advance:
            made = index(found.cases, self.out, advance, drop_faulty=self.drop_faulty)
        _tell_index(made, found, self.out, self.telling)
        return FAULTY if grave(made.faults) and not self.drop_faulty else 0

    def _asked(self) -> Asked:
        return Asked(
            layout=self.layout,
            channel=self.channel,
            fold=self.fold,
            mask=self.mask,
            set=self.set,
            modality=self.modality,
            label_type=self.label_type,
            patient=self.patient,
            val=self.val,
            seed=self.seed,
            licence=self.licence,
        )


@dataclass(frozen=True)
class Check:
    """Open every case of a manifest and say what is wrong. Exit code 3 if cases are faulty."""

    manifest: Annotated[Positional[Path], arg(metavar="MANIFEST")]
    """A .jsonl manifest, or the folder with manifest.jsonl."""
    telling: TellOptions = field(default_factory=TellOptions)

    def run(self) -> int:
        """Check; returns 0, or 3 if there are faulty cases."""
        file = self.manifest / "manifest.jsonl" if self.manifest.is_dir() else self.manifest
        cases = read_manifest(file)
        if not cases:
            raise CaseMissingError(f"{file} has no case in it")
        with progress("checking", self.telling.silent, "cases") as advance:
            faults = check(cases, advance)
        if self.telling.json:
            print_json({"manifest": str(file), **_counts(cases), "faults": [_plain(fault) for fault in faults]})
        else:
            say(f"{file}: {_summary(cases)}")
            _table(faults)
        return FAULTY if grave(faults) else 0


def _tell_index(made: Index, found: Found, out: Path, telling: TellOptions) -> None:
    if telling.json:
        left_out = [case.id for case in made.left_out]
        faults = [_plain(fault) for fault in made.faults]
        about = {"manifest": str(out), "layout": found.layout, "notes": found.notes}
        print_json({**about, **_counts(made.cases), "faults": faults, "left_out": left_out})
        return
    for text in found.notes:
        note(f"note: {text}", telling.silent)
    say(f"{out}: {_summary(made.cases)}, read as {found.layout}")
    _table(made.faults)
    if made.left_out:
        say(f"\nleft out: {', '.join(case.id for case in made.left_out)}")


def _table(faults: Sequence[Fault]) -> None:
    """The faults by kind, the doubts after them; each with its cases and the way out."""
    if not faults:
        say("no faults")
    for own in by_sort(faults).values():
        about = own[0].about
        cases = len({fault.case for fault in own})
        say(f"\n{'fault' if about.grave else 'doubt'}: {about.title} ({cases} case{'s' * (cases > 1)})")
        for fault in own[:SHOWN]:
            say(f"  {fault.case:30} {fault.detail}")
        if len(own) > SHOWN:
            say(f"  and {len(own) - SHOWN} more; --json lists all")
        say(f"  -> {about.way_out}")


def _summary(cases: Sequence[Case]) -> str:
    counts = _counts(cases)
    splits = ", ".join(f"{number} {name}" for name, number in counts["splits"].items())
    kinds = ", ".join(f"{number} {name}{'s' * (number > 1)}" for name, number in counts["kinds"].items())
    patients = counts["patients"]
    people = f"{patients} patient{'s' * (patients > 1)}"
    return f"{len(cases)} case{'s' * (len(cases) > 1)} of {people} ({splits}; {kinds})"


def _counts(cases: Sequence[Case]) -> dict[str, Any]:
    return {
        "cases": len(cases),
        "patients": len({(case.set, case.patient or case.id) for case in cases}),
        "splits": dict(sorted(Counter(case.split for case in cases).items())),
        "kinds": dict(sorted(Counter(case.kind for case in cases).items())),
    }


def _plain(fault: Fault) -> dict[str, Any]:
    about = fault.about
    return {
        "fault": fault.sort,
        "case": fault.case,
        "detail": fault.detail,
        "grave": about.grave,
        "title": about.title,
        "way_out": about.way_out,
    }


@dataclass(frozen=True)
class Data:
    """Data sets: index, check."""

    action: Annotated[MakeIndex, tyro.conf.subcommand("index")] | Annotated[Check, tyro.conf.subcommand("check")]

    def run(self) -> int:
        """Run the action."""
        return self.action.run()
