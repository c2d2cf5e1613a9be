"""Graphs and a weights file: each weight is ONNX external data that lies in the safetensors file itself.

A graph knows its weights by name, place, shape and stored type only. New values of the same net need no new graphs:
`bind` again writes the places anew.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from voxtrace.errors import CheckpointError

if TYPE_CHECKING:
    import onnx

TYPES = {"F32": "FLOAT", "F16": "FLOAT16", "BF16": "BFLOAT16"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor's bytes lie in a file, counted from the file's start."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    length: int


def places(weights: Path) -> dict[str, Place]:
    """The tensors of a safetensors file. Raises CheckpointError for a file that is cut short or of another kind."""
    try:
        with weights.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            head = json.loads(file.read(size))
        total = weights.stat().st_size
        found = {}
        for name, entry in head.items():
            if name != "__metadata__":
                start, stop = (8 + size + int(place) for place in entry["data_offsets"])
                found[name] = Place(entry["dtype"], tuple(entry["shape"]), start, stop - start)
    except (OSError, ValueError, KeyError, TypeError, struct.error, MemoryError, OverflowError) as error:
        raise CheckpointError(f"{weights} is no readable safetensors file: {error}") from None
    if any(place.offset + place.length > total for place in found.values()):
        raise CheckpointError(f"{weights} is cut short; write or download it again")
    return found


def bind(graph: onnx.ModelProto, weights: Path, names: set[str]) -> None:
    """Tie a graph to the weights file that will lie beside it; also one that was tied to another before.

    names: of all weights that a graph of this net may ask for. Raises CheckpointError where one is missing, of another
    shape or of a type that is no floating one.
    """
    import onnx

    found = places(weights)
    wanted = _wanted(graph, names)
    untied = {value.name: value for value in graph.graph.input if value.name in wanted}
    kept = [tensor for tensor in graph.graph.initializer if tensor.name not in wanted]
    tied = []
    for name, shape in wanted.items():
        place = found.get(name)
        if place is None or place.shape != shape or place.dtype not in TYPES:
            what = "lacks it" if place is None else f"has it as {place.dtype} {place.shape}"
            raise CheckpointError(f"the graph {graph.graph.name} needs {name} {shape}; {weights.name} {what}")
        tied.append(_external(name, place, weights.name))
    del graph.graph.initializer[:]
    graph.graph.initializer.extend([*kept, *tied])
    if untied:
        for value in untied.values():
            graph.graph.input.remove(value)
        inside = {name: f"w{number}" for number, name in enumerate(untied)}
        for node in graph.graph.node:
            node.input[:] = [inside.get(name, name) for name in node.input]
        casts = [onnx.helper.make_node("Cast", [n], [w], to=onnx.TensorProto.FLOAT) for n, w in inside.items()]
        nodes = [*casts, *graph.graph.node]
        del graph.graph.node[:]
        graph.graph.node.extend(nodes)


def _wanted(graph: onnx.ModelProto, names: set[str]) -> dict[str, tuple[int, ...]]:
    """The weights that a graph uses, tied or not, with their shapes."""
    untied = {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in graph.graph.input
        if value.name in names
    }
    tied = {tensor.name: tuple(tensor.dims) for tensor in graph.graph.initializer if tensor.name in names}
    return dict(sorted({**tied, **untied}.items()))


def _external(name: str, place: Place, file: str) -> onnx.TensorProto:
    import onnx

    tensor = onnx.TensorProto(
        name=name,
        dims=place.shape,
        data_type=onnx.TensorProto.DataType.Value(TYPES[place.dtype]),
        data_location=onnx.TensorProto.EXTERNAL,
    )
    for key, value in (("location", file), ("offset", place.offset), ("length", place.length)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor
