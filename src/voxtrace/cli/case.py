"""One scan from file to mask: read, check, segment, write, report. `segment`, `track` and `batch` all end here."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from voxtrace import io
from voxtrace.cli import outputs
from voxtrace.cli.options import LazyEngine, ModelOptions, ReadOptions, Scan
from voxtrace.cli.report import Report, measured
from voxtrace.cli.terminal import progress
from voxtrace.errors import OutputError, PromptError
from voxtrace.feature_cache import FeatureStore
from voxtrace.prompt_text import ObjectPrompts
from voxtrace.result import Result
from voxtrace.sessions import ImageSession, Session, VideoSession, VolumeSession
from voxtrace.volume import Picture, Video, Volume
from voxtrace.windowing import parse_window

Marks = Callable[[Scan], list[ObjectPrompts]]


@dataclass(frozen=True)
class Case:
    """What to do with one scan. scan may be PATH#SELECT. marks: from the scan to the objects, checked.
    inputs: other files that are read and must not be overwritten. backward: a video also to its beginning."""

    scan: Path
    out: Path
    marks: Marks
    reading: ReadOptions = field(default_factory=ReadOptions)
    preview: Path | None = None
    overlay: Path | None = None
    inputs: Sequence[Path] = ()
    overwrite: bool = False
    backward: bool = False
    expected: tuple[type, ...] = (Volume, Picture, Video)

    @property
    def scan_file(self) -> Path:
        """The scan without #SELECT."""
        return self.scan if self.scan.exists() else Path(str(self.scan).rpartition("#")[0] or self.scan)


def check_case(case: Case) -> None:
    """All that can be known of the outputs before the scan is read."""
    if case.reading.window is not None:
        parse_window(case.reading.window)
    inputs = [case.scan_file, *case.inputs]
    outputs.check_folder(case.out.parent)
    outputs.check_not_input(case.out, inputs)
    if case.preview is not None:
        outputs.check_file(case.preview, inputs, case.overwrite, (".png", ".jpg", ".jpeg"))
    if case.overlay is not None:
        outputs.check_file(case.overlay, inputs, case.overwrite, (".mp4", ".mkv", ".mov", ".avi"))
    written = [path.resolve() for path in (case.out, case.preview, case.overlay) if path is not None]
    if len(set(written)) < len(written):
        raise OutputError(f"two outputs have the same name {case.out}; give each its own")


def run_case(case: Case, model: LazyEngine, quiet: bool) -> Report:
    """Do it. Raises a VoxtraceError for whatever does not fit; then nothing is written."""
    check_case(case)
    scan = io.read(case.scan, modality=case.reading.modality)
    check_kind(scan, case)
    objects = case.marks(scan)
    names = [one.name or f"object {number}" for number, one in enumerate(objects, start=1)]
    masks = mask_paths(case.out, names, model.options)
    for path in masks:
        io.check_output(path, scan, overwrite=case.overwrite)
    start = time.perf_counter()
    with model.caching.store() as store:
        session = open_session(scan, case, model, store)
        for number, one in enumerate(objects, start=1):
            session.add(one.prompts, one.name or number)
        check_not_empty(session)
        with progress(f"following {case.scan_file.name}", quiet, "frames") as advance:
            result = session.run(advance)
    seconds = time.perf_counter() - start
    write_masks(masks, result, scan, case.overwrite)
    labelled = measured(result, scan)
    if case.preview is not None or case.overlay is not None:
        marks = {label: one.prompts for label, one in zip(result.names, objects, strict=True)}
        write_pictures(case, session, result, scan, marks, labelled, model)
    return Report(
        scan=case.scan,
        kind=type(scan).__name__.lower(),
        shape=scan.shape,
        spacing_mm=getattr(scan, "spacing_mm", None),
        modality=scan.modality,
        masks=masks,
        preview=case.preview,
        overlay=case.overlay,
        window=result.window,
        window_chosen=case.reading.window is None,
        axis=case.reading.axis,
        seconds=seconds,
        objects=labelled,
    )


def check_kind(scan: Scan, case: Case) -> None:
    """Raise PromptError for a kind of input that another command is for."""
    if isinstance(scan, case.expected):
        if not isinstance(scan, Volume) and case.reading.axis != 0:
            raise PromptError(f"--axis {case.reading.axis}: only a volume can be walked along another axis")
        return
    if isinstance(scan, Video):
        raise PromptError(f"{case.scan} is a video of {scan.shape[0]} frames; use: voxtrace track VIDEO -o FOLDER")
    raise PromptError(
        f"{case.scan} is a {type(scan).__name__.lower()}, not a video; use: voxtrace segment SCAN -o FILE"
    )


def open_session(scan: Scan, case: Case, model: LazyEngine, cache: FeatureStore | None = None) -> Session:
    """The session for this kind of input. Loads the model."""
    window = None if case.reading.window is None else parse_window(case.reading.window)
    options, engine = model.options, model.engine
    zoom, overlap = options.zoom_factor(), options.overlap
    if isinstance(scan, Picture):
        return ImageSession(engine, scan, window, zoom=zoom, overlap=overlap, cache=cache)
    memory, back, axis = options.policy(), case.backward, case.reading.axis
    if isinstance(scan, Video):
        return VideoSession(engine, scan, backward=back, memory=memory, zoom=zoom, overlap=overlap, cache=cache)
    return VolumeSession(engine, scan, axis, window, memory=memory, zoom=zoom, overlap=overlap, cache=cache)


def check_not_empty(session: Session) -> None:
    """Raise PromptError if a marked frame shows nothing at all: there is no object to find on it."""
    for one in session.objects:
        for index in one.marks.frames:
            frame = session.frames[index]
            if (frame == frame[0, 0]).all():
                window = getattr(session.frames, "window", None)
                shown = f" in the window {window}; try another with --window" if window else ""
                place = f"{'zyx'[session.axis]}={index}" if len(session.frames) > 1 else "the image"
                raise PromptError(f"{one.name}: {place} is empty, every pixel is {int(frame[0, 0, 0])} grey{shown}")


def mask_paths(out: Path, names: Sequence[str], options: ModelOptions) -> list[Path]:
    """One file for all objects; one each if overlaps are kept: OUT_NAME with OUT's ending."""
    if options.overlap == "settle" or len(names) < 2:
        return [out]
    stem = outputs.stem_of(out)
    ending = out.name[len(stem) :]
    paths = [out.with_name(f"{stem}_{re.sub(r'[^0-9A-Za-z.-]+', '_', name)}{ending}") for name in names]
    if len(set(paths)) < len(paths):
        raise OutputError(f"the names {', '.join(names)} give equal file names; use letters and digits in them")
    return paths


def write_masks(paths: Sequence[Path], result: Result, scan: Scan, overwrite: bool) -> None:
    """The label map, or one mask an object where there are several paths."""
    for number, path in enumerate(paths):
        outputs.make_folder(path.parent)
        if len(paths) == 1:
            mask, labels = result.labels, dict(result.names)
        else:
            label = list(result.names)[number]
            mask, labels = result.mask(label).view(np.uint8), {1: result.names[label]}
        io.write(path, mask[0] if isinstance(scan, Picture) else mask, like=scan, labels=labels, overwrite=overwrite)


def write_pictures(
    case: Case,
    session: Session,
    result: Result,
    scan: Scan,
    marks: dict[int, tuple],
    labelled: Sequence,
    model: LazyEngine,
) -> None:
    """The preview and the overlay video."""
    from voxtrace.cli.overlay import write_overlay  # most runs draw nothing
    from voxtrace.preview import Scene, View, contact_sheet, save_picture, side_by_side, view_of

    if case.overlay is not None:
        outputs.make_folder(case.overlay.parent)
        fps = scan.fps if isinstance(scan, Video) and scan.fps else 10.0
        write_overlay(case.overlay, session.frames, result.frames, fps)
    if case.preview is None:
        return
    axis = session.axis
    scene = Scene(
        session.frames,
        np.asarray(result.frames),
        marks,
        {one.label: f"{one.name}  {one.size_text}" for one in labelled},
        pixel_mm_of(scan, axis),
        view_of(scan.affine_lps, axis) if isinstance(scan, Volume) else View(),
        axis,
        frame_word={0: "slice"}.get(axis, "zyx"[axis]) if isinstance(scan, Volume) else "frame",
        title=case.scan_file.name,
        notes=f"{model.engine.name}" + (f"   window {result.window}" if result.window else ""),
    )
    outputs.make_folder(case.preview.parent)
    save_picture(side_by_side(scene) if isinstance(scan, Picture) else contact_sheet(scene), case.preview)


def pixel_mm_of(scan: Scan, axis: int) -> tuple[float, float]:
    """(row, column) spacing of a frame; 1, 1 where the file does not say."""
    spacing = getattr(scan, "spacing_mm", None)
    if spacing is None:
        return 1.0, 1.0
    row, column = (mm for a, mm in enumerate(spacing) if len(spacing) == 2 or a != axis)
    return row, column
