"""From a name or a path to a file, its net and its image size, with a note on whatever had to be guessed."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from voxtrace.checkpoints.reader import read_header
from voxtrace.checkpoints.registered import Registered, by_file, find, lookup, with_config
from voxtrace.checkpoints.sniff import sniff
from voxtrace.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class Located:
    """A weights file and the net it is for.

    config: the net's name. own_config: the config as JSON from the file itself, "" where it has none. image_size: side
    in pixels to run at. zoom: None leaves the config's. note: what was guessed or overruled, to be shown to the person;
    "" where nothing was.
    """

    path: Path
    name: str
    config: str
    image_size: int
    zoom: float | None = None
    own_config: str = ""
    note: str = ""


def resolve(name_or_path: str | Path, image_size: int | None = None) -> Located:
    """Find a model by registered name, alias or file.

    image_size overrules what registry, side-car (FILE.json) and file name say. A registered name goes before a file of
    the same name; write ./NAME for the file. Raises ModelError for an unknown name, with the near ones, and
    CheckpointError for a file that is missing, damaged, unsafe or no known net's.
    """
    registered = lookup(name_or_path) if isinstance(name_or_path, str) else None
    if registered:
        return _by_name(registered, image_size)
    path = Path(name_or_path).expanduser()
    if not path.exists() and not _is_path(str(name_or_path)):
        find(str(name_or_path))  # raises, naming the near ones
    return _by_file(path, image_size)


def sidecar(path: Path) -> Path:
    """Where what is known of a file but not in it is kept: {"image_size": 512, ...}."""
    return path.with_name(path.name + ".json")


def read_sidecar(path: Path) -> dict:
    """The side-car's fields, {} without one. Raises CheckpointError if it is no JSON object."""
    beside = sidecar(path)
    if not beside.is_file():
        return {}
    try:
        fields = json.loads(beside.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{beside} is not JSON ({error}); mend or remove it") from error
    size = fields.get("image_size") if isinstance(fields, dict) else ""
    if size is not None and not isinstance(size, int):
        raise CheckpointError(f'{beside} should be an object with a whole number, e.g. {{"image_size": 512}}')
    return fields


def _by_name(model: Registered, image_size: int | None) -> Located:
    path = model.path
    if not path.is_file():
        where = "is missing from this installation" if model.embedded else "has not been downloaded"
        way = "reinstall voxtrace" if model.embedded else f"run `voxtrace weights pull {model.name}`"
        raise CheckpointError(f"{model.name} {where} ({path}); {way}, or give a file")
    if path.suffix == ".safetensors" and (own := read_header(path).metadata.get("config", "")):
        return replace(_self_described(path, own, image_size), name=model.name)
    config = model.config or sniff(read_header(path).shapes, str(path))
    size, note = model.image_size, ""
    if image_size and image_size != size:
        size, note = image_size, f"{model.name} was trained at {size} px and runs at {image_size} px, as asked."
    return Located(path, model.name, config, size, model.zoom, note=note)


def _by_file(path: Path, image_size: int | None) -> Located:
    header = read_header(path)
    own = header.metadata.get("config", "")
    if own:
        return _self_described(path, own, image_size)
    config = sniff(header.shapes, str(path))
    fields = read_sidecar(path)
    size, zoom, note = _size(path, config, fields, image_size)
    return Located(path, path.stem, config, size, fields.get("zoom", zoom), note=note)


def _self_described(path: Path, own: str, image_size: int | None) -> Located:
    try:
        fields = json.loads(own)
        sized = fields if "image_size" in fields else fields["encoder"]  # of SAM 1's nets the encoder knows the size
        config, size = str(fields["name"]), int(sized["image_size"])
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path}: its own config cannot be read ({error}); it was not written by save()"
        ) from error
    note = (
        f"{path.name} says {size} px; it runs at {image_size} px, as asked." if image_size not in (None, size) else ""
    )
    return Located(path, path.stem, config, image_size or size, own_config=own, note=note)


def _size(path: Path, config: str, fields: dict, asked: int | None) -> tuple[int, float | None, str]:
    """Image size, zoom and note of a file that does not say its size itself."""
    models = with_config(config)
    same_file = by_file(path)
    if asked:
        return asked, None, ""
    if fields.get("image_size"):
        return fields["image_size"], None, f"{path.name}: {fields['image_size']} px, as {sidecar(path).name} says."
    if same_file and same_file.config in (config, ""):
        size = same_file.image_size
        note = f"{path.name}: taken for {same_file.name}, {size} px, by the file's name." if len(models) > 1 else ""
        return size, same_file.zoom, note
    size = models[0].image_size
    return size, None, _ambiguity(path, config, size, models)


def _ambiguity(path: Path, config: str, size: int, models: list[Registered]) -> str:
    others = [model for model in models if model.image_size != size]
    if not others:
        return ""
    names = ", ".join(model.name for model in others)
    other = others[0].image_size
    return (
        f"{path.name}: its tensors fit {config} ({size} px) and {names} ({other} px) alike; {size} px is taken. "
        f'If it is one of the latter, say --image-size {other} or write {{"image_size": {other}}} to '
        f"{sidecar(path).name}."
    )


def _is_path(text: str) -> bool:
    return "/" in text or "\\" in text or Path(text).suffix.lower() in {".pt", ".pth", ".safetensors", ".bin", ".ckpt"}
