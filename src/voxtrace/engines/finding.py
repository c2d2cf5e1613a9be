"""From what a person calls a model to its weights file and its graphs, whichever of them there are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voxtrace import checkpoints
from voxtrace.checkpoints import Located
from voxtrace.engines.graph_files import GraphFiles, find_graphs, read_description, read_graphs
from voxtrace.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class FoundModel:
    """weights: a name or file, as `checkpoints.resolve` takes it. folder: of its graphs. why_no_graphs: in words, where
    there are none that could be run as asked; else "". damaged: whether there is a description that cannot be used."""

    weights: str | Path
    image_size: int | None
    folder: Path | None
    why_no_graphs: str
    damaged: bool = False

    def located(self) -> Located:
        """The weights, for PyTorch. Raises ModelError, CheckpointError."""
        return checkpoints.resolve(self.weights, self.image_size)

    def graphs(self) -> GraphFiles:
        """The graphs, every hash checked. Raises CheckpointError."""
        assert self.folder is not None  # else why_no_graphs says so
        return read_graphs(self.folder)


def find_model(model: str, image_size: int | None = None) -> FoundModel:
    """A registered name, a weights file or a folder of graphs. Raises ModelError, CheckpointError."""
    folder = Path(model).expanduser()
    if folder.is_dir() and checkpoints.lookup(model) is None:
        fields = read_description(folder)
        return _found(folder / fields.weights, image_size, folder)
    located = checkpoints.resolve(model, image_size)
    try:
        graphs = find_graphs(located.path)
    except CheckpointError as error:  # the weights do not need what lies beside them
        return FoundModel(model, image_size, None, str(error), damaged=True)
    if graphs is None:
        return FoundModel(model, image_size, None, f"{located.name} has no exported graphs")
    return _found(model, located.image_size, graphs)


def _found(weights: str | Path, image_size: int | None, folder: Path) -> FoundModel:
    own = read_description(folder).image_size
    same = image_size in (None, own)
    return FoundModel(weights, image_size, folder, "" if same else f"the graphs in {folder} are for {own} px")
