"""Arrays in an npz by their headers first: shape and kind are known before anything large or unsafe is opened."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy_format

_HEADERS = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}


@dataclass(frozen=True, slots=True)
class Header:
    """What an array's file says of it."""

    shape: tuple[int, ...]
    dtype: np.dtype


def members(file: Path) -> list[str]:
    """Names of the arrays in an npz. Raises zipfile.BadZipFile, OSError."""
    with zipfile.ZipFile(file) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def read_header(file: Path, key: str) -> Header:
    """Raises KeyError if there is no such array, ValueError if its header means nothing, BadZipFile, OSError."""
    with zipfile.ZipFile(file) as archive, archive.open(f"{key}.npy") as member:
        return _header(member)


def read_plain(file: Path, key: str) -> np.ndarray:
    """The array; no more is unpacked than its header says. Raises as read_header; an object array is a ValueError."""
    with zipfile.ZipFile(file) as archive, archive.open(f"{key}.npy") as member:
        array = npy_format.read_array(member, allow_pickle=False)
        if member.read(1):  # the checksum is looked at only when the end is reached
            raise ValueError(f"{key} has more data than its header says")
    return array


def _header(member: IO[bytes]) -> Header:
    version = npy_format.read_magic(member)
    if version not in _HEADERS:
        raise ValueError(f"version {version} of npy is not known")
    shape, _, dtype = _HEADERS[version](member)
    return Header(shape, dtype)
