"""The embedded weights' graphs, which lie beside them: tied anew when weights change, traced anew when the net does.

python -m voxtrace.export.embed            after new weights of the same net: seconds, without PyTorch's tracer; their
                                           hash is written into checkpoints.toml
python -m voxtrace.export.embed --trace    after a change of the net's code: a minute
"""

from __future__ import annotations

import argparse
import re
from importlib import resources
from pathlib import Path

from voxtrace.checkpoints.loading import loaded, located_config
from voxtrace.checkpoints.locate import resolve
from voxtrace.checkpoints.reader import read_weights
from voxtrace.checkpoints.registered import find, registry
from voxtrace.export.binding import bind
from voxtrace.export.folder import describe, write_graph
from voxtrace.export.tracing import OPSET, tools, traced
from voxtrace.export.writing import verbs_of
from voxtrace.hashing import sha256_of
from voxtrace.model.sam2 import Sam2

NAME = "voxtrace-small"


def embed(weights: Path | None = None, trace: bool = False) -> Path:
    """Write the graphs of the weights file (by default the embedded one) beside it, and voxtrace.json; the folder.

    trace: trace them anew; without, those that lie there are tied to the file as it is now. Raises CheckpointError if
    they do not fit it: another net needs `trace`.
    """
    tools()
    import onnx

    located = resolve(weights or find(NAME).path)
    net = loaded(located_config(located), read_weights(located.path).state, located.path)
    assert isinstance(net, Sam2)
    folder, names = located.path.parent, set(net.state_dict())
    verbs, graphs = verbs_of(net), []
    for verb in verbs:
        there = folder / f"{verb.name}.onnx"
        graphs.append(traced(verb) if trace else onnx.load(there, load_external_data=False))
        bind(graphs[-1], located.path, names)
    for graph in graphs:  # none before all fit
        write_graph(folder, graph)
    describe(folder, NAME, net, located.path, tuple(verb.name for verb in verbs), OPSET)
    return folder


def register(table: Path, sha256: str) -> None:
    """Put the embedded file's hash into a table of models like checkpoints.toml, in place of the one it has there."""
    text = table.read_text(encoding="utf-8")
    head, entry = text.split(f'["{NAME}"]\n', 1)
    own, *rest = entry.split("\n[", 1)
    own = re.sub(r'^sha256 = ".*"$', f'sha256 = "{sha256}"', own, count=1, flags=re.MULTILINE)
    table.write_text("\n[".join([f'{head}["{NAME}"]\n{own}', *rest]), encoding="utf-8")
    registry.cache_clear()


def main() -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser(description="Write the graphs of the embedded weights.")
    parser.add_argument("weights", type=Path, nargs="?", help="the weights file; by default the embedded one")
    parser.add_argument("--trace", action="store_true", help="trace the net anew")
    args = parser.parse_args()
    if args.weights is None:
        table = Path(str(resources.files("voxtrace").joinpath("checkpoints.toml")))
        register(table, sha256_of(find(NAME).path))
    print(embed(args.weights, args.trace))


if __name__ == "__main__":
    main()
