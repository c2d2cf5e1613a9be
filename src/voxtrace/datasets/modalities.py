"""The modality that a name tells, as manifests write it."""

from __future__ import annotations

import re

# Words in names -> the modality as manifests write it. Words are looked for whole: "ct" is not in "section".
MODALITIES = {
    "ct": "ct",
    "cbct": "ct",
    "mr": "mri",
    "mri": "mri",
    "t1w": "mri",
    "t2w": "mri",
    "t1c": "mri",
    "t1ce": "mri",
    "t2star": "mri",
    "flair": "mri",
    "dwi": "mri",
    "adc": "mri",
    "bold": "mri",
    "pet": "pet",
    "us": "ultrasound",
    "ultrasound": "ultrasound",
    "xray": "x-ray",
    "x-ray": "x-ray",
    "cxr": "x-ray",
    "endoscopy": "endoscopy",
    "colonoscopy": "endoscopy",
    "dermoscopy": "dermoscopy",
    "fundus": "fundus",
    "oct": "oct",
    "microscopy": "microscopy",
    "fluorescence": "microscopy",
    "fluo": "microscopy",
    "em": "electron-microscopy",
    "sem": "electron-microscopy",
    "histology": "histology",
    "histo": "histology",
    "pathology": "histology",
    "mammography": "mammography",
    "mamm": "mammography",
}
# Where a modality or a channel is named these are meant too; in other names t1 may be a time and pt a patient.
SAID = MODALITIES | {
    "t1": "mri",
    "t2": "mri",
    "t1n": "mri",
    "t2f": "mri",
    "pd": "mri",
    "pt": "pet",
    "mamm": "mammography",
}
UNKNOWN = "unknown"


def modality_of(*texts: str, channel: str = "") -> str | None:
    """The modality that a word of the texts names; None if none does. The first text that names one decides, before
    all the name of a channel, in which T1 can only mean one thing."""
    for words, text in ((SAID, channel), *((MODALITIES, text) for text in texts)):
        for word in re.split(r"[^a-z0-9\-]+|-(?!ray)", text.lower().replace("x_ray", "x-ray")):
            if word in words:
                return words[word]
    return None
