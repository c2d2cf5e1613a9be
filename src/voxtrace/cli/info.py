"""`voxtrace info`: what a file is, before anything is done with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from tyro.conf import Positional, arg

from voxtrace import io
from voxtrace.cli.options import Scan
from voxtrace.cli.terminal import print_json, say
from voxtrace.errors import VoxtraceError
from voxtrace.volume import Picture, Volume
from voxtrace.windowing import automatic

MANY_LABELS = 64
AXIS_NAMES = (("left", "right"), ("back", "front"), ("head", "feet"))  # where +x, +y, +z of LPS lead, and the opposite


@dataclass(frozen=True)
class Info:
    """Show what a file is: shape, spacing, orientation, modality, values, the window that would be chosen, labels."""

    file: Annotated[Positional[Path], arg(metavar="FILE")]
    """A scan, mask, picture, video or DICOM folder."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> int:
        """Read the file and print what it is."""
        facts = facts_of(io.read(self.file), self.file)
        if self.json:
            print_json(facts)
            return 0
        for key, value in facts.items():
            if value is not None:
                say(f"{key:12} {_text(value)}")
        return 0


def facts_of(scan: Scan, file: Path) -> dict[str, Any]:
    """The facts of a scan by name; None where the file does not say."""
    facts: dict[str, Any] = {"file": str(file), "kind": type(scan).__name__.lower(), "modality": scan.modality}
    if isinstance(scan, Volume):
        directions = [direction(scan.affine_lps[:3, axis]) for axis in (2, 1, 0)]
        facts |= {
            "shape_zyx": scan.shape,
            "spacing_mm": [round(mm, 4) for mm in scan.spacing_mm],
            "origin_lps": np.round(scan.affine_lps[:3, 3], 3).tolist(),
            "orientation": f"z to {directions[0]}, y to {directions[1]}, x to {directions[2]}",
        }
        return facts | _values(scan.array) | {"window": _window(scan)} | _labels(scan.array, file)
    if isinstance(scan, Picture):
        facts |= {"shape_yx": scan.shape, "channels": 1 if scan.pixels.ndim == 2 else scan.pixels.shape[2]}
        facts |= {"spacing_mm": scan.spacing_mm} | _values(scan.pixels) | {"window": _window(scan)}
        return facts | (_labels(scan.pixels, file) if scan.pixels.ndim == 2 else {})
    return facts | {"frames": scan.shape[0], "shape_yx": scan.shape[1:], "fps": scan.fps}


def direction(vector_lps: np.ndarray) -> str:
    """Where a voxel axis leads in the patient: "head", or "head (12 degrees off)"."""
    unit = vector_lps / np.linalg.norm(vector_lps)
    along = int(np.abs(unit).argmax())
    name = AXIS_NAMES[along][0 if unit[along] > 0 else 1]
    off = np.degrees(np.arccos(min(1.0, abs(float(unit[along])))))
    return name if off < 0.5 else f"{name} ({off:.0f} degrees off)"


def _values(array: np.ndarray) -> dict[str, Any]:
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    facts: dict[str, Any] = {"type": str(array.dtype)}
    facts["values"] = [finite.min(), finite.max()] if finite.size else None
    if bad := array.size - finite.size:
        facts["not_finite"] = bad
    return facts


def _window(scan: Volume | Picture) -> str:
    try:
        return str(automatic(scan))
    except VoxtraceError as error:
        return f"none: {error}"


def _labels(array: np.ndarray, file: Path) -> dict[str, Any]:
    """{label: voxels} where the file looks like a mask: few whole numbers from 0 on."""
    if array.dtype.kind not in "biu" or array.size == 0 or int(array.min()) < 0 or int(array.max()) > 255:
        return {}
    values, counts = np.unique(array, return_counts=True)
    if len(values) > MANY_LABELS or values[-1] >= MANY_LABELS:
        return {}
    names = io.read_labels(file) if file.is_file() else {}
    pairs = zip(values.tolist(), counts.tolist(), strict=True)
    return {"labels": {f"{int(v)} {names.get(int(v), '')}".strip(): n for v, n in pairs if v} or None}


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {count} voxels" for key, count in value.items())
    if isinstance(value, list | tuple):
        return " x ".join(f"{member:g}" if isinstance(member, float) else str(member) for member in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
