"""Video: mp4, avi, mov, mkv through PyAV, and folders of equally large frames. Frames are read when asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voxtrace.errors import InputError, VoxtraceError
from voxtrace.io import picture
from voxtrace.lazily import Lazily
from voxtrace.volume import Picture, Video
from voxtrace.windowing import Limits, automatic, grey_rgb

if TYPE_CHECKING:
    import av
else:
    av = Lazily("av")

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv")
KEPT_FRAMES = 16
KEPT_BYTES = 2**26  # of frames on the way to one further back: who walks back wants them next
NEAR = 24  # frames that are decoded on the way rather than sought


def recognises(head: bytes) -> bool:
    """Whether a file begins as MP4/MOV, AVI, Matroska/WebM, MPEG or ASF."""
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
        return True
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return True
    return head.startswith((b"\x1a\x45\xdf\xa3", b"\0\0\x01\xba", b"\0\0\x01\xb3", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"))


def read(path: Path, select: str | None = None) -> Video:
    """A video file; its packets are counted, its frames are decoded later."""
    frames = FileFrames(path)
    height, width = frames[0].shape[:2]
    return Video(frames, (len(frames), height, width), frames.fps, None, path)


def read_folder(folder: Path, select: str | None = None) -> Video:
    """The pictures in a folder, in their names' natural order (frame2 before frame10), all of one size."""
    paths = picture.pictures_in(folder)
    sizes = [picture.size(path) for path in paths]
    for path, size in zip(paths, sizes, strict=True):
        if size != sizes[0]:
            raise InputError(
                f"{folder}: pictures differ in size: {paths[0].name} is {sizes[0][0]}x{sizes[0][1]}, {path.name} is "
                f"{size[0]}x{size[1]} (rows x columns). Frames of one video need one size; for pictures of "
                "any size use `voxtrace oneprompt`, or voxtrace.frames.ImageSet"
            )
    return Video(FolderFrames(tuple(paths)), (len(paths), *sizes[0]), None, None, folder)


class FolderFrames:
    """Pictures of a folder as frames. More than 8 bits are shown in the automatic window of the middle picture."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self._limits: Limits | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        pixels = _pixels(_at(self.paths, index))
        if pixels.dtype == np.uint8:
            return grey_rgb(pixels)
        if self._limits is None:
            middle = _pixels(self.paths[len(self.paths) // 2])
            self._limits = automatic(Picture(middle)).limits(middle)
        return grey_rgb(self._limits.apply(pixels))


class FileFrames:
    """The frames of a video file, (H, W, 3) uint8 each, by their place in the order of showing.

    The time stamps of all packets are read once; a frame is found by seeking to the key frame before it and decoding up
    to its stamp. The last few frames are kept; on the way to one further back more of them, up to KEPT_BYTES, so that a
    walk back does not decode them again for each. Not for several threads at once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._container = av.open(str(path))
        if not self._container.streams.video:
            raise InputError(f"{path} has no picture track")
        stream = self._stream = self._container.streams.video[0]
        self.fps = float(stream.average_rate) if stream.average_rate else None
        self._stamps, self._seekable = _stamps(path)
        if stream.frames > len(self._stamps) and not self._stamps:
            raise InputError(f"{path} promises {stream.frames} frames and holds none")
        self._place = {stamp: index for index, stamp in enumerate(self._stamps)}
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()
        self._decoder: Iterator[av.VideoFrame] | None = None
        self._next = 0
        self._most = KEPT_FRAMES

    def __len__(self) -> int:
        return len(self._stamps)

    def __getitem__(self, index: int) -> np.ndarray:
        _at(range(len(self)), index)
        if index not in self._kept:
            self._decode_to(index)
        self._kept.move_to_end(index)
        return self._kept[index]

    def _decode_to(self, index: int) -> None:
        try:
            if self._sought(index):
                return
        except (av.FFmpegError, OSError):  # damaged on the way there, or the file is gone
            self._decoder = None
        raise InputError(f"{self.path}: frame {index} of {len(self)} cannot be decoded; the file is damaged or gone")

    def _sought(self, index: int) -> bool:
        if self._decoder is None or not self._next <= index <= self._next + NEAR:
            back = index < self._next and len(self._kept)
            self._most = max(KEPT_FRAMES, KEPT_BYTES // next(iter(self._kept.values())).nbytes) if back else KEPT_FRAMES
            self._seek(index)
        if self._run(index):
            return True
        self._restart()
        return self._run(index)

    def _run(self, index: int) -> bool:
        """Decode until frame `index` is kept. False if the decoder passes it or ends before."""
        assert self._decoder is not None
        for frame in self._decoder:
            place = self._next
            if self._seekable:
                place = -1 if frame.pts is None else self._place.get(frame.pts, -1)
            if place < 0:
                continue
            self._next = place + 1
            if place > index:
                return False
            if place > index - self._most:
                self._keep(place, frame.to_ndarray(format="rgb24"))
            if place == index:
                return True
        return False

    def _keep(self, index: int, pixels: np.ndarray) -> None:
        pixels.flags.writeable = False
        self._kept[index] = pixels
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def _seek(self, index: int) -> None:
        if not self._seekable:
            self._restart()
            return
        self._container.seek(self._stamps[index], stream=self._stream, backward=True)
        self._decoder, self._next = self._container.decode(self._stream), index

    def _restart(self) -> None:
        self._container.close()
        self._container = av.open(str(self.path))
        self._stream = self._container.streams.video[0]
        self._decoder, self._next = self._container.decode(self._stream), 0


def _stamps(path: Path) -> tuple[list[int], bool]:
    """The time stamp of each frame in the order of showing, and whether they can be used to seek."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        promised = stream.frames
        packets = (packet for packet in container.demux(stream) if packet.size and not packet.is_discard)
        found = [packet.pts for packet in packets]  # not the packets: together they are the whole file
    stamps = [stamp for stamp in found if stamp is not None]
    if len(found) < promised:
        raise InputError(f"{path} is cut off: it promises {promised} frames and holds {len(found)}")
    if not found:
        raise InputError(f"{path} holds no frame")
    if len(stamps) == len(found) and len(set(stamps)) == len(stamps):
        return sorted(stamps), True
    with av.open(str(path)) as container:  # without stamps only counting tells
        return list(range(sum(1 for _ in container.decode(video=0)))), False


def _pixels(path: Path) -> np.ndarray:
    read = picture.read_tiff if path.suffix.lower() in picture.TIFF_SUFFIXES else picture.read
    try:
        scan = read(path)
    except (VoxtraceError, MemoryError):
        raise
    except Exception as error:  # decoders of damaged files raise every kind
        raise InputError(f"the frame {path} is gone or damaged: {type(error).__name__}: {error}") from error
    if not isinstance(scan, Picture):
        raise InputError(f"{path} is a stack of {len(scan.array)} pages; a frame of a folder is one picture")
    return scan.pixels


def _at(items: Sequence, index: int):  # type: ignore[type-arg, no-untyped-def]
    """items[index] without Python's counting from the end: a frame -1 is a mistake."""
    if not 0 <= index < len(items):
        raise IndexError(f"frame {index} is not there; frames are 0..{len(items) - 1}")
    return items[index]
