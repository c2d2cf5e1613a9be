"""What can be wrong with labelled cases, in words, and the way out of each. Faults spoil a training or its figures;
doubts are worth a look."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sort:
    """A kind of fault. grave: a fault; else a doubt."""

    title: str
    way_out: str
    grave: bool = True


@dataclass(frozen=True, slots=True)
class Fault:
    """What was found in one case. sort: a key of SORTS."""

    sort: str
    case: str
    detail: str

    @property
    def about(self) -> Sort:
        """The fault's kind."""
        return SORTS[self.sort]


SORTS = {
    "missing": Sort("a file is not there", "correct the paths, or index the folder again"),
    "unreadable": Sort("the image cannot be read", "copy it again from its source; `voxtrace info FILE` says more"),
    "geometry": Sort(
        "image and labels do not lie on each other",
        "resample the labels onto the image with nearest neighbour, or save them with the image's geometry",
    ),
    "labels": Sort("the labels cannot be used", "save them as whole numbers, 0 for background, in PNG, NIfTI or NRRD"),
    "probabilities": Sort(
        "the labels are shares between 0 and 1", "threshold them, as p > 0.5, and save whole numbers"
    ),
    "interpolated": Sort(
        "the labels were interpolated", "make them again from the originals, resampled with nearest neighbour"
    ),
    "negative": Sort("labels are negative", "number the labels from 1, 0 is background"),
    "unexpected": Sort("labels have no name", "correct the values, or add them to dataset.json"),
    "empty": Sort("nothing is labelled", "label it, or leave the case out"),
    "not-finite": Sort("the image holds NaN or infinite values", "replace them, by the background's value for example"),
    "constant": Sort("the image has one value everywhere", "export it again; nothing can be seen in it"),
    "same-id": Sort("several cases have one id", "give each its own"),
    "changed": Sort("a file has changed since it was indexed", "index the folder again, if that was meant"),
    "twice": Sort("image and labels are those of another case", "leave one of them out"),
    "leak": Sort(
        "the image is also in another split", "move all its copies to one split, or leave the one in train out"
    ),
    "patient-leak": Sort(
        "the patient is also in another split", "split by patient; --patient REGEX says where names hold the patient"
    ),
    "same-image": Sort(
        "the image is another case's, with other labels", "as meant, if two things were labelled", False
    ),
    "specks": Sort("labels have tiny pieces", "look at them: strokes by mistake, or what a resampling left?", False),
    "spacing": Sort("the spacing is unlike the set's", "check the unit and the header: mm, not m or cm", False),
    "not-hu": Sort("CT values are no Hounsfield units", "export in HU, or say --modality otherwise", False),
    "full": Sort("nearly everything is labelled", "are background and object exchanged?", False),
}


def grave(faults: Iterable[Fault]) -> list[Fault]:
    """The faults without the doubts."""
    return [fault for fault in faults if fault.about.grave]


def by_sort(faults: Iterable[Fault]) -> dict[str, list[Fault]]:
    """The faults of each kind, in the order of SORTS."""
    found: dict[str, list[Fault]] = {sort: [] for sort in SORTS}
    for fault in faults:
        found[fault.sort].append(fault)
    return {sort: own for sort, own in found.items() if own}
