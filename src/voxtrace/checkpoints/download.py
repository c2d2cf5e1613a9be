"""Fetch registered weights: resumed where a connection broke, checked by hash, moved into place when whole."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from voxtrace.checkpoints.locate import read_sidecar, sidecar
from voxtrace.checkpoints.registered import Registered, find
from voxtrace.errors import CheckpointError, OutputError
from voxtrace.hashing import sha256_of
from voxtrace.lazily import Lazily

if TYPE_CHECKING:
    import httpx
else:
    httpx = Lazily("httpx")

Progress = Callable[[int, int | None], None]  # bytes so far, bytes in all where the server says
ATTEMPTS = 4
TIMEOUT_S, CONNECT_S = 30.0, 15.0


def pull(name: str | Registered, progress: Progress | None = None) -> Path:
    """The file of a registered model, downloaded unless it is there already.

    A broken connection is taken up again, now and at the next call. The file gets its name only when its hash is the
    registry's; another one is set aside as FILE.rejected. Where the registry knows no hash, what came is recorded in
    the side-car FILE.json and holds from then on. Raises ModelError for an unknown name, CheckpointError for network
    trouble and wrong hashes (nothing that lay there before is touched), OutputError when it cannot be written.
    """
    model = find(name) if isinstance(name, str) else name
    path = model.path
    if path.is_file():
        _refuse_other(path, expected_hash(model))
        return path
    if model.embedded:
        raise CheckpointError(f"{model.name} comes with voxtrace, but {path} is missing; reinstall voxtrace")
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _fetch(model, part, progress)
        _accept(model, part, path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error}") from error
    return path


def expected_hash(model: Registered) -> str:
    """The registry's hash, else the one recorded when the file was first pulled, else ""."""
    return model.sha256 or str(read_sidecar(model.path).get("sha256", ""))


def hash_note(model: Registered) -> str:
    """What is known of a pulled file's identity, in one sentence to be shown after `pull`."""
    found = sha256_of(model.path)
    if model.sha256 and found != model.sha256:
        return f"sha256 {found}, not the registered {model.sha256}: the file was exchanged or damaged."
    if model.sha256:
        return f"sha256 {found}, as registered."
    if model.embedded:
        return f"sha256 {found}; the file came with voxtrace."
    return (
        f"sha256 {found}. The registry knows no hash of {model.file}, so this says only what came; it is recorded in "
        f"{sidecar(model.path).name}. Compare it with the publisher's if you can."
    )


def _fetch(model: Registered, part: Path, progress: Progress | None) -> None:
    for attempt in range(ATTEMPTS):
        before = part.stat().st_size if part.is_file() else 0
        try:
            return _stream(model, part, progress)
        except httpx.TransportError as error:
            if isinstance(error, httpx.ConnectError) or attempt == ATTEMPTS - 1:
                raise CheckpointError(_unreachable(model, part, error)) from error
            after = part.stat().st_size if part.is_file() else 0
            time.sleep(0 if after > before else 2**attempt)


def _stream(model: Registered, part: Path, progress: Progress | None) -> None:
    """One connection: ask for what is missing, append it."""
    tag = part.with_name(part.name + ".etag")  # a part of one version must not be continued with another's bytes
    done = part.stat().st_size if part.is_file() else 0
    headers = {"Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
        if tag.is_file() and (version := tag.read_text(encoding="utf-8")):
            headers["If-Range"] = version
    timeout = httpx.Timeout(TIMEOUT_S, connect=CONNECT_S)
    with httpx.stream("GET", model.url, headers=headers, follow_redirects=True, timeout=timeout) as response:
        if response.status_code == 416:  # nothing is missing, or the part is longer than the file: the hash will tell
            return
        if response.status_code not in (200, 206):
            raise CheckpointError(_refused(model, response.status_code))
        resumed = response.status_code == 206
        done = done if resumed else 0
        tag.write_text(_strong(response.headers.get("ETag", "")), encoding="utf-8")
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else None
        with part.open("ab" if resumed else "wb") as file:
            for chunk in response.iter_raw():  # unbuffered: what came before a cut is kept
                file.write(chunk)
                done += len(chunk)
                if progress:
                    progress(done, total)
        if total and done < total:
            raise httpx.RemoteProtocolError("the connection closed early")


def _strong(etag: str) -> str:
    """Weak tags do not promise the same bytes, so they cannot guard a range."""
    return "" if etag.startswith("W/") else etag


def _accept(model: Registered, part: Path, path: Path) -> None:
    found, expected = sha256_of(part), expected_hash(model)
    part.with_name(part.name + ".etag").unlink(missing_ok=True)
    if expected and found != expected:
        rejected = path.with_name(path.name + ".rejected")
        os.replace(part, rejected)
        raise CheckpointError(
            f"what came from {model.url} is not {model.name}: its sha256 is {found}, not {expected}. It is set aside "
            f"as {rejected}; pull again, or, if its publisher confirms that hash, give that file itself as the model"
        )
    os.replace(part, path)
    if not expected:
        known = {"name": model.name, "url": model.url, "sha256": found, "image_size": model.image_size}
        sidecar(path).write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


def _refuse_other(path: Path, expected: str) -> None:
    found = sha256_of(path) if expected else expected
    if found != expected:
        raise CheckpointError(
            f"{path} is there, but its sha256 is {found}, not {expected}; it is left as it is. Move it away and pull "
            "again, or give it as a file if it is yours"
        )


def _refused(model: Registered, status: int) -> str:
    what = "not found there" if status == 404 else f"refused with HTTP status {status}"
    return (
        f"{model.name} was {what}: {model.url}. The publisher may have moved it (see cards/{model.card}); download it "
        "by hand and give the file"
    )


def _unreachable(model: Registered, part: Path, error: Exception) -> str:
    host = urlsplit(model.url).hostname
    kept = f" {part.stat().st_size} bytes are kept; pulling again goes on from there." if part.is_file() else ""
    return (
        f"no connection to {host} for {model.name} ({error}).{kept} Without a network: download {model.url} elsewhere "
        f"and put it at {model.path}, or give the file"
    )
