"""`voxtrace export`: a model as a folder of graphs and weights, written as a whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from voxtrace.checkpoints.loading import loaded, located_config
from voxtrace.checkpoints.locate import resolve
from voxtrace.checkpoints.reader import read_header, read_weights
from voxtrace.checkpoints.registered import Registered, by_file, lookup
from voxtrace.checkpoints.saving import save
from voxtrace.errors import ModelError, OutputError
from voxtrace.export import sam1_verbs, verbs
from voxtrace.export.binding import bind
from voxtrace.export.folder import DESCRIPTION, describe, write_graph
from voxtrace.export.tracing import OPSET, tools, traced
from voxtrace.export.verbs import Verb
from voxtrace.model.sam1 import Sam1
from voxtrace.model.sam2 import Sam2

CARD = "CARD.md"
CARRIED = ("card", "licence", "data_sha256", "data_sets")  # of what a weights file says of itself

Advance = Callable[[int, "int | None"], None]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written. sizes: bytes of each file by name. note: what had to be guessed of the model's file, or ""."""

    folder: Path
    model: str
    licence: str
    sizes: dict[str, int]
    note: str


def export(
    model: str | Path,
    out: Path,
    image_size: int | None = None,
    half: bool = False,
    overwrite: bool = False,
    advance: Advance = lambda done, total: None,
) -> Exported:
    """Write a registered model or weights file as graphs to the folder `out`.

    image_size: overrules what the file says. half: store weights in float16, as files that are so already stay anyway.
    overwrite: replace `out` if it is an exported model. advance(done, total) is called after each graph.
    Raises ModelError, CheckpointError, MissingDependencyError; OutputError for a folder that is there or cannot be
    written, and nothing is left of it then.
    """
    tools()
    _check_folder(out, overwrite)
    located = resolve(model, image_size)
    header, weights = read_header(located.path), read_weights(located.path)
    net = loaded(located_config(located), weights.state, located.path)
    known = lookup(located.name) or by_file(located.path)
    metadata = {key: weights.metadata[key] for key in CARRIED if key in weights.metadata}
    if known and "licence" not in metadata:
        metadata["licence"] = known.licence
    half = half or not {kind for kind in header.dtypes.values() if kind.lower() in ("f32", "f64", "float32", "float64")}
    part = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        part.mkdir(parents=True)
        write(part, net, located.name, metadata, half, advance)
        if metadata.get("card") or known:
            (part / CARD).write_text(metadata.get("card") or _card(known), encoding="utf-8")
        _put(part, out)
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    sizes = {path.name: path.stat().st_size for path in sorted(out.iterdir())}
    return Exported(out, located.name, metadata.get("licence", ""), sizes, located.note)


def write(
    folder: Path,
    net: nn.Module,
    name: str,
    metadata: Mapping[str, str],
    half: bool,
    advance: Advance = lambda done, total: None,
) -> None:
    """Write a net's weights, graphs and description to a folder that is there. Raises OSError, ModelError."""
    wanted = verbs_of(net)
    assert isinstance(net, Sam1 | Sam2)
    weights = folder / f"{name}.safetensors"
    save(weights, net, net.config, metadata, half)
    weights.chmod(0o644)  # safetensors writes files that only their owner may read
    names = set(net.state_dict())
    for done, verb in enumerate(wanted):
        advance(done, len(wanted))
        graph = traced(verb)
        bind(graph, weights, names)
        write_graph(folder, graph)
    describe(folder, name, net, weights, tuple(verb.name for verb in wanted), OPSET)
    advance(len(wanted), len(wanted))


def verbs_of(net: nn.Module) -> list[Verb]:
    """The graphs that a net is exported as. Raises ModelError for what is no net of ours."""
    if not isinstance(net, Sam1 | Sam2):
        raise ModelError(f"a {type(net).__name__} cannot be exported: only nets of the SAM 2 and SAM 1 families can")
    kinds = sam1_verbs.VERBS if isinstance(net, Sam1) else verbs.VERBS
    return [kind(net.eval()) for kind in kinds]


def _check_folder(out: Path, overwrite: bool) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise OutputError(f"{out} is a file; give a folder that is not there yet")
    if not overwrite:
        raise OutputError(f"{out} is there already; give another folder, or --overwrite to replace it")
    if any(out.iterdir()) and not (out / DESCRIPTION).is_file():
        raise OutputError(f"{out} holds no {DESCRIPTION}, so it is no exported model and is not replaced")


def _put(part: Path, out: Path) -> None:
    """Rename `part` to `out`; what is there gives way and is deleted only then."""
    if not out.exists():
        os.replace(part, out)
        return
    old = out.with_name(part.name + ".old")
    os.replace(out, old)
    os.replace(part, out)
    shutil.rmtree(old, ignore_errors=True)


def _card(known: Registered | None) -> str:
    assert known is not None
    return (
        f"# {known.name}\n\n- Licence: {known.licence}\n- Published at: {known.url}\n"
        f"- Card: cards/{known.card} in voxtrace's repository\n- Exported by voxtrace.\n"
    )
