"""The Engine on exported graphs, without PyTorch: numpy in, numpy out, whatever runtime runs the graphs.

A net of the SAM 2 family is five graphs: one a verb, and one for masks that are given. Around them is what PyTorch's
engine does as well: frames are resized, objects of equal layout batched, corrections kept local, and in sets the looks
of an object drawn. A graph is opened when its verb is first asked for: a picture needs two of five.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from voxtrace.engine import Entry, Recalled
from voxtrace.engines.batching import in_batches, memory_layout, net_masks, net_points, prompt_layout
from voxtrace.engines.correcting import clicks, near_clicks
from voxtrace.engines.graph_files import GraphFiles
from voxtrace.engines.graph_values import (
    MASK_BIAS,
    MASK_SCALE,
    GraphDecoded,
    GraphEntry,
    GraphFeatures,
    Heads,
)
from voxtrace.engines.looks import looks
from voxtrace.engines.on_graphs import OnGraphs, own_maps
from voxtrace.engines.resizing import resize
from voxtrace.engines.runtime import Runtime
from voxtrace.errors import ModelError
from voxtrace.prompts import FramePrompt

SHARPENING = 2.0  # of masks shown again; the graph does it, and what is drawn by looks is sharp as it is
NO_PLACE_IN_TIME = -1


class GraphEngine(OnGraphs):
    """An exported net of the SAM 2 family on a runtime. It keeps nothing between calls."""

    follows = True

    def __init__(self, files: GraphFiles, runtime: Runtime) -> None:
        super().__init__(files, runtime)
        self.zoom: float | None = self._zoom()
        self._hint_size = self.pixels("hint_size")
        self._hinted = bool(self.configured("hinted"))
        self._few, self._many = self._ambiguous()

    def encode(self, frames: Sequence[np.ndarray]) -> list[GraphFeatures]:
        """Encode (H, W, 3) uint8 frames, squashed to the net's square."""
        size = (self.image_size, self.image_size)
        images = (resize(frame.transpose(2, 0, 1), size, antialias=True) for frame in frames)
        maps = [self._run("encode", {"images": np.ascontiguousarray(image[None])}) for image in images]
        return [GraphFeatures(frame.shape[:2], one) for frame, one in zip(frames, maps, strict=True)]

    def begin(self, features: GraphFeatures, prompts: Sequence[FramePrompt]) -> GraphDecoded:
        """Decode N objects from their prompts; a mask without clicks is taken as the answer."""
        maps = own_maps(features)
        heads = in_batches(prompts, prompt_layout, lambda group: self._begin(features.shape, maps, group), _joined)
        given = {i: p.mask for i, p in enumerate(prompts) if p.mask is not None and not len(p.labels)}
        return GraphDecoded(features.shape, heads, given)

    def follow(self, features: GraphFeatures, recalled: Sequence[Recalled]) -> GraphDecoded:
        """Decode N objects from what is remembered of them."""
        maps = own_maps(features)
        heads = in_batches(recalled, memory_layout, lambda group: self._follow(maps, group), _joined)
        return GraphDecoded(features.shape, heads)

    def remember(self, features: GraphFeatures, decoded: GraphDecoded, frame: int, prompted: bool) -> list[GraphEntry]:
        """One entry for each of decoded's objects."""
        maps = own_maps(features)
        if not isinstance(decoded, GraphDecoded):
            raise ModelError(f"this engine cannot remember a {type(decoded).__name__}: another engine decoded it")
        heads = decoded.heads
        seen = {"logits": heads.logits, "object_score": heads.object_score, "certain": np.array(prompted)}
        memory = self._run("remember", maps | seen)["memory"]
        embedding, image = maps["embedding"], maps.get("image")
        rows = zip(decoded.object_score, heads.iou, memory, heads.pointer, heads.logits, strict=True)
        return [
            GraphEntry(frame, prompted, float(score), float(iou), kept, pointer, logits, embedding, image)
            for score, iou, kept, pointer, logits in rows
        ]

    def _zoom(self) -> float | None:
        zoom = self.configured("zoom")
        if zoom is not None and (type(zoom) not in (int, float) or zoom < 1):
            self.refuse("zoom")
        return zoom

    def _ambiguous(self) -> tuple[int, int]:
        """Of so few to so many clicks the best of three masks is taken."""
        counts = self.configured("multimask")
        if not isinstance(counts, list | tuple) or [type(one) for one in counts] != [int, int]:
            self.refuse("multimask")
        return counts[0], counts[1]

    def _begin(self, shape: tuple[int, int], maps: dict[str, np.ndarray], prompts: list[FramePrompt]) -> Heads:
        size, count = self.image_size, len(prompts)
        masks = None if prompts[0].mask is None else net_masks(prompts, size)
        if not len(prompts[0].labels):
            if masks is None:
                raise ModelError("a prompt without a click, box or mask cannot be decoded")
            return self._heads("given", maps | {"masks": (masks >= 0.5).astype(np.float32)})
        points = np.stack([net_points(prompt, shape, size) for prompt in prompts])
        labels = np.stack([prompt.labels for prompt in prompts]).astype(np.int32)
        hint = np.zeros((count, 1, self._hint_size, self._hint_size), np.float32)
        if masks is not None:
            hint = resize(masks, hint.shape[-2:], antialias=True) * np.float32(MASK_SCALE) + np.float32(MASK_BIAS)
        asked = {"points": points, "labels": labels, "hint": hint, "hinted": _one(masks is not None)}
        ambiguous = np.array(self._few <= points.shape[1] <= self._many)
        heads = self._heads("begin", maps | asked | {"ambiguous": ambiguous})
        if masks is None or not self._hinted:
            return heads
        clicked = clicks(points, labels, size, self._hint_size)
        return heads._replace(logits=near_clicks(heads.logits, hint, clicked))

    def _follow(self, maps: dict[str, np.ndarray], recalled: list[Recalled]) -> Heads:
        known = laid_out(recalled)
        if not self._hinted:
            return self._heads("follow", maps | known)
        shown = _shown(recalled, maps["image"])
        heads = self._heads("follow", maps | known | shown)
        if shown["placed"]:
            return heads
        logits = np.clip(SHARPENING * shown["shown_logits"], MASK_BIAS, -MASK_BIAS)
        pairs = zip(np.moveaxis(logits, 1, 0), np.moveaxis(shown["shown_images"], 1, 0), strict=True)
        drawn, reliable = looks(maps["image"], list(pairs))
        rows = np.flatnonzero(reliable)
        if not len(rows):
            return heads
        known |= {name: known[name][rows] for name in ("memories", "pointers")}
        return _put(heads, rows, self._heads("follow", maps | known | _alone(drawn[rows] / SHARPENING, maps["image"])))

    def _heads(self, verb: str, inputs: Mapping[str, np.ndarray]) -> Heads:
        found = self._run(verb, inputs)
        return Heads(*(found[name] for name in Heads._fields))

    def _run(self, verb: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return self._verbs[verb](inputs)


def laid_out(recalled: Sequence[Recalled]) -> dict[str, np.ndarray]:
    """What N objects of one `memory_layout` are followed with, as `follow` takes it."""
    first = recalled[0]
    memories = [np.stack([_own(entry).memory for entry, _ in r.memories]) for r in recalled]
    pointers = [[_own(entry).pointer for entry, _ in r.pointers] for r in recalled]
    dim = len(_own(first.memories[0][0]).pointer)
    return {
        "memories": np.stack(memories),
        "memory_times": np.array([NO_PLACE_IN_TIME if time is None else time for _, time in first.memories], np.int64),
        "pointers": np.array(pointers, np.float32).reshape(len(recalled), len(first.pointers), dim),
        "pointer_times": np.array([time for _, time in first.pointers], np.float32) / max(first.pointer_span, 1),
    }


def _shown(recalled: Sequence[Recalled], image: np.ndarray) -> dict[str, np.ndarray]:
    """Earlier frames with their masks, for nets that look at them; all objects have equally many."""
    first = recalled[0]
    if not first.shown:
        side = image.shape[-1]
        return _alone(np.zeros((len(recalled), 1, side, side), np.float32), image)
    logits = [np.stack([_own(entry).logits for entry, _ in r.shown]) for r in recalled]
    images = [np.concatenate([_image(_own(entry)) for entry, _ in r.shown]) for r in recalled]
    weights = np.array([weight for _, weight in first.shown], np.float32)
    return {
        "shown_logits": np.stack(logits),
        "shown_images": np.stack(images),
        "shown_weights": weights,
        "placed": _one(first.placed),
    }


def _alone(logits: np.ndarray, image: np.ndarray) -> dict[str, np.ndarray]:
    """N masks (N, 1, S, S) on the frame's own image (1, 3, S, S), and no other frame."""
    images = np.broadcast_to(image, (len(logits), *image.shape))
    weight = np.ones(1, np.float32)
    return {"shown_logits": logits[:, None], "shown_images": images, "shown_weights": weight, "placed": _one(True)}


def _one(truth: bool) -> np.ndarray:
    """1 or 0, as graphs take a number."""
    return np.array(truth, np.float32)


def _joined(parts: list[Heads], rows: list[int]) -> Heads:
    """Parts in a row, then the rows asked for."""
    return Heads(*(np.concatenate(fields)[rows] for fields in zip(*parts, strict=True)))


def _put(heads: Heads, rows: np.ndarray, other: Heads) -> Heads:
    """The same with some objects' answers replaced, each as a whole."""
    whole = Heads(*(field.copy() for field in heads))
    for field_, new in zip(whole, other, strict=True):
        field_[rows] = new
    return whole


def _own(entry: Entry) -> GraphEntry:
    if not isinstance(entry, GraphEntry):
        raise ModelError(f"this engine cannot recall a {type(entry).__name__}: it was remembered by another engine")
    return entry


def _image(entry: GraphEntry) -> np.ndarray:
    assert entry.image is not None  # hinted nets keep it
    return entry.image
