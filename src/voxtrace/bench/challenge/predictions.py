"""What a submission wrote, looked at without trust: nothing is run, nothing larger than asked for is unpacked."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voxtrace.bench.challenge import npy

KEY = "segs"


class UnfitError(Exception):
    """A prediction that cannot be scored. status: the word for the results table."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


def read_prediction(file: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The labels under `segs`: whole numbers or bool, of this shape. Raises UnfitError, whatever the file is."""
    try:
        header = npy.read_header(file, KEY)
    except KeyError:
        names = ", ".join(npy.members(file)[:5])
        raise UnfitError("unreadable", f"it has no {KEY}; it holds {names or 'nothing'}") from None
    except Exception as error:
        raise UnfitError("unreadable", _said(error)) from None
    if header.dtype.hasobject:
        raise UnfitError("unreadable", f"{KEY} is an object array, that is a pickle, which could run code: not opened")
    if header.dtype.kind not in "bui":
        raise UnfitError("wrong-dtype", f"{KEY} holds {header.dtype}; whole numbers are needed, uint8 at best")
    if header.shape != shape:
        raise UnfitError("wrong-shape", f"{KEY} has shape {header.shape}; {shape} is needed")
    try:
        return npy.read_plain(file, KEY)
    except Exception as error:
        raise UnfitError("unreadable", _said(error)) from None


def _said(error: BaseException) -> str:
    return f"the file is damaged or no npz: {error}"
