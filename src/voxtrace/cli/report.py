"""What is told of a finished case: sizes, where it was found, why each direction stopped, where to look again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxtrace.cli.options import ModelOptions, Scan
from voxtrace.result import Result
from voxtrace.tracking import Stop
from voxtrace.volume import Picture, Video, Volume

LOW_CONFIDENCE = 0.5


@dataclass(frozen=True)
class FoundObject:
    """One object. frames: those that hold a voxel. confidence: {frame: 0..1} of all frames that were looked at.
    volume_ml for volumes, area_mm2 for pictures that know their spacing; else None."""

    name: str
    label: int
    voxels: int
    volume_ml: float | None
    area_mm2: float | None
    frames: list[int]
    prompted: list[int]
    confidence: dict[int, float]
    stops: tuple[Stop, ...]
    place: str

    @property
    def low(self) -> list[int]:
        """Frames with a mask that the net is not sure of."""
        return [frame for frame in self.frames if self.confidence.get(frame, 1.0) < LOW_CONFIDENCE]

    @property
    def size_text(self) -> str:
        """23.4 ml, 512 mm², or 812 pixels."""
        if self.volume_ml is not None:
            return f"{self.volume_ml:.3g} ml"
        return f"{self.area_mm2:.4g} mm²" if self.area_mm2 is not None else f"{self.voxels} pixels"


@dataclass(frozen=True)
class Report:
    """A finished case."""

    scan: Path
    kind: str
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...] | None
    modality: str | None
    masks: Sequence[Path]
    preview: Path | None
    overlay: Path | None
    window: str
    window_chosen: bool
    axis: int
    seconds: float
    objects: Sequence[FoundObject]

    def to_json(self) -> dict[str, Any]:
        """What --json prints of this case."""
        return {
            "scan": str(self.scan),
            "kind": self.kind,
            "shape": list(self.shape),
            "spacing_mm": self.spacing_mm,
            "outputs": {"masks": [str(p) for p in self.masks], "preview": self.preview, "overlay": self.overlay},
            "window": self.window or None,
            "axis": self.axis,
            "seconds": round(self.seconds, 3),
            "objects": [_object_json(one) for one in self.objects],
        }

    def lines(self) -> list[str]:
        """What a person reads."""
        shape = " x ".join(map(str, self.shape))
        spacing = f", {' x '.join(f'{mm:.3g}' for mm in self.spacing_mm)} mm" if self.spacing_mm else ""
        lines = [f"{self.scan}  {self.kind} {shape}{spacing}{f', {self.modality}' if self.modality else ''}"]
        if self.window and not (self.window == "as-is" and self.window_chosen):
            how = "chosen; change it with --window lung, 40/400, p1-99, ..." if self.window_chosen else "as asked"
            lines.append(f"  window    {self.window} ({how})")
        for one in self.objects:
            lines += [f"  {line}" for line in _object_lines(one, self.kind)]
        lines += [f"  mask      {path}" for path in self.masks]
        lines += [f"  preview   {self.preview}"] if self.preview else []
        lines += [f"  overlay   {self.overlay}"] if self.overlay else []
        return [*lines, f"  {self.seconds:.1f} s"]


def measured(result: Result, scan: Scan) -> list[FoundObject]:
    """Size, place and confidence of each object of a result."""
    found = []
    voxel_ml = abs(float(np.linalg.det(scan.affine_lps[:3, :3]))) / 1000 if isinstance(scan, Volume) else None
    pixel_mm2 = scan.spacing_mm[0] * scan.spacing_mm[1] if isinstance(scan, Picture) and scan.spacing_mm else None
    for label, name in result.names.items():
        counts = [int(np.count_nonzero(result.frame_mask(label, frame))) for frame in range(len(result.frames))]
        voxels = sum(counts)
        found.append(
            FoundObject(
                name=name,
                label=label,
                voxels=voxels,
                volume_ml=None if voxel_ml is None else voxels * voxel_ml,
                area_mm2=None if pixel_mm2 is None else voxels * pixel_mm2,
                frames=[frame for frame, count in enumerate(counts) if count],
                prompted=list(result.tracks[label].prompted),
                confidence=dict(result.tracks[label].confidence),
                stops=result.tracks[label].stops,
                place="frame" if isinstance(scan, Video) else "zyx"[result.axis],
            )
        )
    return found


def heading(options: ModelOptions, engine_name: str, image_size: int, default_memory: str = "fifo") -> str:
    """model voxtrace-small (256 px), memory fifo."""
    return f"model {engine_name} ({image_size} px), memory {options.memory or default_memory}"


def _object_json(one: FoundObject) -> dict[str, Any]:
    return {
        "name": one.name,
        "label": one.label,
        "voxels": one.voxels,
        "volume_ml": one.volume_ml,
        "area_mm2": one.area_mm2,
        "frames": one.frames,
        "prompted": one.prompted,
        "confidence": one.confidence,
        "low_confidence": one.low,
        "stops": [
            {"start": stop.start, "step": stop.step, "last": stop.last, "reason": stop.reason} for stop in one.stops
        ],
    }


def _object_lines(one: FoundObject, kind: str) -> list[str]:
    if not one.voxels:
        return [
            f"{one.name}: nothing was found. Look whether the mark is on the object (--preview shows it), try a box "
            "instead of points, another --window, or a larger model"
        ]
    if kind == "picture":
        size = f"{one.voxels} pixels" + (f", {one.size_text}" if one.area_mm2 is not None else "")
        lines = [f"{one.name}: {size}, confidence {_shown(one.confidence.get(0))}"]
    else:
        ml = f", {one.size_text}" if one.volume_ml is not None else ""
        unit = "pixels" if kind == "video" else "voxels"
        lines = [f"{one.name}: {one.voxels} {unit}{ml}, {one.place} {ranges(one.frames)} ({len(one.frames)} frames)"]
    lines += [f"  {_direction(stop)}: {stop.reason}" for stop in one.stops if stop.step or kind != "picture"]
    if one.low:
        lines.append(f"  look at {one.place} {ranges(one.low)}: confidence below {LOW_CONFIDENCE}")
    return lines


def _direction(stop: Stop) -> str:
    return {1: f"up from {stop.start}", -1: f"down from {stop.start}"}.get(stop.step, "all images")


def _shown(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def ranges(numbers: Sequence[int]) -> str:
    """[3, 4, 5, 9] -> "3-5, 9"."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(f"{low}" if low == high else f"{low}-{high}" for low, high in parts)
