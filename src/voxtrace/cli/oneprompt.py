"""`voxtrace oneprompt`: an object marked on one picture is found on all others of a folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from tyro.conf import Positional, arg

from voxtrace import io
from voxtrace.cli import outputs
from voxtrace.cli.options import LazyEngine, Marked
from voxtrace.cli.report import LOW_CONFIDENCE, heading
from voxtrace.cli.terminal import print_json, progress, say
from voxtrace.errors import InputError, ModelError, OutputError, PromptError
from voxtrace.frames import ImageSet
from voxtrace.preview import Scene, gallery, save_picture
from voxtrace.prompts import MaskPrompt, Prompt
from voxtrace.result import Result
from voxtrace.sessions import SetSession
from voxtrace.volume import Picture
from voxtrace.windowing import parse_window

SHOWN = 24  # pictures in a preview


@dataclass(frozen=True)
class OnePrompt(Marked):
    """Mark an object on one picture and find it on all others of a folder; write one label PNG a picture, same stem."""

    folder: Annotated[Positional[Path], arg(metavar="FOLDER")]
    """The pictures, of any sizes; their order plays no part."""
    image: Annotated[Path, arg(metavar="PICTURE")]
    """The picture that is marked: a name in FOLDER, or a file elsewhere."""
    out: Annotated[Path, arg(aliases=["-o"])]
    """The folder for the masks."""
    window: Annotated[str | None, arg(metavar="NAME|LEVEL/WIDTH|pLOW-HIGH")] = None
    """Grey window for pictures of more than 8 bits; by default each picture's own."""
    preview: Annotated[Path | None, arg(metavar="OUT.png")] = None
    """Also draw the first pictures with their masks."""

    def run(self) -> int:
        """Segment the set; returns the exit code."""
        self.check()
        if self.using.overlap != "settle":
            raise ModelError("--overlap keep: a set's masks are label maps; only settle is possible here")
        images, marked, wanted = self._images()
        paths = self._check(images, wanted)
        objects = self._objects(images.picture(marked))
        start = time.perf_counter()
        model = LazyEngine(self.using, self.caching)
        with (
            model.caching.store() as store,
            progress(f"segmenting {len(images)} pictures", self.writing.silent, "pictures") as advance,
        ):
            session = SetSession(model.engine, images, memory=self.using.policy(), cache=store)
            for name, prompts in objects.items():
                session.add(prompts, name, image=marked)
            result = session.run(advance)
        seconds = time.perf_counter() - start
        outputs.make_folder(self.out)
        for index, path in paths.items():
            like = Picture(result.frames[index], source=images.paths[index])
            io.write(path, result.frames[index], like=like, overwrite=self.writing.overwrite)
        if self.preview is not None:
            outputs.make_folder(self.preview.parent)
            save_picture(self._picture(images, result, marked, objects), self.preview)
        self._tell(images, result, paths, seconds, model)
        return 0

    def _images(self) -> tuple[ImageSet, int, list[int]]:
        """All pictures, the index of the marked one, and the indices of those whose masks are wanted."""
        window = None if self.window is None else parse_window(self.window)
        outputs.check_input(self.folder, "folder")
        images = ImageSet.of_folder(self.folder, window)
        for candidate in (self.folder / self.image, self.image):
            if candidate.is_file():
                same = [index for index, path in enumerate(images.paths) if path.samefile(candidate)]
                if same:
                    return images, same[0], list(range(len(images)))
                return ImageSet([candidate, *images.paths], window), 0, list(range(1, len(images) + 1))
        names = ", ".join(path.name for path in images.paths[:5])
        raise InputError(f"--image {self.image} is neither in {self.folder} nor a file; the folder holds {names}, ...")

    def _check(self, images: ImageSet, wanted: Sequence[int]) -> dict[int, Path]:
        """{image: its mask's path}, each one that may be written."""
        inputs = [*images.paths, *self.marks.files()]
        paths = {index: self.out / f"{images.paths[index].stem}.png" for index in wanted}
        if self.out.exists() and not self.out.is_dir():
            raise OutputError(f"the output {self.out} is a file; a set's masks need a folder")
        seen: dict[Path, int] = {}
        for index, path in paths.items():
            if path in seen:
                both = f"{images.paths[seen[path]].name} and {images.paths[index].name}"
                raise OutputError(f"{both} would both be written to {path}; rename one")
            seen[path] = index
            outputs.check_file(path, inputs, self.writing.overwrite)
        if self.preview is not None:
            outputs.check_file(self.preview, inputs, self.writing.overwrite, (".png", ".jpg", ".jpeg"))
        return paths

    def _objects(self, picture: Picture) -> dict[str | int, Sequence[Prompt]]:
        """{name or label: prompts}. A single mask file may hold several objects: its labels are kept."""
        options = self.marks
        alone = len(options.mask) == 1 and not any((options.box, options.point, options.recist, options.scribble))
        if alone and options.prompts is None:
            labels = io.read_mask(options.mask[0], like=picture)
            values = [int(value) for value in np.unique(labels) if value]
            if not values:
                raise PromptError(f"--mask {options.mask[0]}: the file is empty, no pixel is above 0")
            return {value: [MaskPrompt(labels == value)] for value in values}
        found = options.objects(picture)
        return {one.name or number: one.prompts for number, one in enumerate(found, start=1)}

    def _picture(
        self, images: ImageSet, result: Result, marked: int, objects: dict[str | int, Sequence[Prompt]]
    ) -> Any:
        order = [marked, *(index for index in range(len(images)) if index != marked)][:SHOWN]
        marks = dict(zip(result.names, objects.values(), strict=True))
        scenes = [
            Scene(
                [images[index]],
                result.frames[index][None],
                marks if index == marked else {},
                result.names,
                frame_word="",
                title=images.paths[index].name + (" (marked)" if index == marked else ""),
            )
            for index in order
        ]
        return gallery(scenes, self.folder.name, f"{len(images)} pictures, {len(scenes)} shown")

    def _tell(
        self, images: ImageSet, result: Result, paths: dict[int, Path], seconds: float, model: LazyEngine
    ) -> None:
        rows = [_row(images, result, index, path) for index, path in paths.items()]
        if self.writing.json:
            about = {"model": model.engine.name, "engine": model.runs_on, "seconds": seconds}
            about["memory"] = self.using.memory or "selfsorting"
            print_json(about | {"marked": str(self.image), "preview": self.preview, "results": rows})
            return
        say(heading(self.using, model.engine.name, model.engine.image_size, "selfsorting"))
        for name in result.names.values():
            found = [row for row in rows if any(o["name"] == name and o["pixels"] for o in row["objects"])]
            say(f"  {name}: on {len(found)} of {len(rows)} pictures")
        low = [Path(row["image"]).name for row in rows if any(_doubtful(o) for o in row["objects"])]
        if low:
            shown = ", ".join(low[:8]) + (f" and {len(low) - 8} more" if len(low) > 8 else "")
            say(f"  look at {shown}: confidence below {LOW_CONFIDENCE}")
        say(f"  masks     {self.out} ({len(rows)} PNG)")
        if self.preview is not None:
            say(f"  preview   {self.preview}")
        say(f"  {seconds:.1f} s")


def _row(images: ImageSet, result: Result, index: int, path: Path) -> dict[str, Any]:
    objects = [
        {
            "name": name,
            "label": label,
            "pixels": int(np.count_nonzero(result.frame_mask(label, index))),
            "confidence": result.tracks[label].confidence.get(index),
        }
        for label, name in result.names.items()
    ]
    return {"image": str(images.paths[index]), "mask": str(path), "objects": objects}


def _doubtful(found: dict[str, Any]) -> bool:
    return bool(found["pixels"]) and (found["confidence"] or 0) < LOW_CONFIDENCE
