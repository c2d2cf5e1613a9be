"""Files and folders of a data set by their names: stems, what can be read, the kind of a case."""

from __future__ import annotations

from pathlib import Path

from voxtrace.io import read
from voxtrace.volume import Picture, Video

VOLUME_ENDINGS = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".nhdr", ".mha", ".mhd")
PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp")
PEEKED_ENDINGS = (".ome.tiff", ".ome.tif", ".tiff", ".tif", ".npz")  # a picture or a stack: only the content tells
FILM_ENDINGS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv")
ENDINGS = VOLUME_ENDINGS + PICTURE_ENDINGS + PEEKED_ENDINGS


def stem(path: Path) -> str:
    """The name without its ending, double ones included."""
    name = path.name
    ending = next((e for e in ENDINGS if name.lower().endswith(e)), path.suffix)
    return name[: len(name) - len(ending)] if ending and path.suffix else name


def is_scan(path: Path) -> bool:
    """Whether a file is named like one that can be read, and not hidden. A link to nothing is one that is missing."""
    named = path.name.lower().endswith(ENDINGS) and not path.name.startswith(".")
    return named and (path.is_file() or (path.is_symlink() and not path.exists()))


def scans_in(folder: Path) -> list[Path]:
    """The files in a folder that are named like scans, by name."""
    return sorted(path for path in folder.iterdir() if is_scan(path))


def films_in(folder: Path) -> list[Path]:
    """The video files in a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in FILM_ENDINGS and path.is_file())


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder that are not hidden, by name."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def kind_of(path: Path) -> str:
    """image, volume or video: by the ending where that says it, else by the content. Raises InputError."""
    name = path.name.lower()
    if path.is_dir():
        return "video"
    if name.endswith(VOLUME_ENDINGS):
        return "volume"
    if name.endswith(PICTURE_ENDINGS):
        return "image"
    scan = read(path)
    return "image" if isinstance(scan, Picture) else "video" if isinstance(scan, Video) else "volume"
