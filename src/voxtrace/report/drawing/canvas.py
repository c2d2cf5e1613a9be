"""From matplotlib to an SVG that can stand in a page: text as text, no date, no random names, no address."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

WIDTH = 340  # pixels: three stand side by side on a screen, one fills a phone
SIZE, SMALL = 11.0, 9.5
INK, DIM, GRID = "#1f2328", "#5b6470", "#e3e6ea"
SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "voxtrace",
    "font.family": "DejaVu Sans",
    "font.size": SIZE,
    "text.parse_math": False,
    "text.usetex": False,
    "text.color": INK,
    "axes.edgecolor": "#9aa3ad",
    "axes.labelcolor": DIM,
    "axes.labelsize": SIZE,
    "axes.linewidth": 0.8,
    "axes.unicode_minus": True,
    "axes.formatter.use_mathtext": False,
    "xtick.color": "#9aa3ad",
    "ytick.color": "#9aa3ad",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": SIZE,
    "ytick.labelsize": SIZE,
    "path.simplify": False,
    "savefig.dpi": 72,
}


@dataclass(frozen=True, slots=True)
class Frame:
    """A drawing's size and the room around its axes, in pixels."""

    height: float
    left: float = 44
    right: float = 12
    top: float = 8
    bottom: float = 40
    width: float = WIDTH


def draw(frame: Frame, paint: Callable[[Axes], None]) -> str:
    """Axes of that frame, painted, as an <svg> element."""
    with _settled():
        figure = Figure(figsize=(frame.width / 72, frame.height / 72), dpi=72)
        figure.patch.set_visible(False)
        FigureCanvasSVG(figure)
        inner = (frame.width - frame.left - frame.right, frame.height - frame.top - frame.bottom)
        place = (frame.left / frame.width, frame.bottom / frame.height)
        axes = figure.add_axes((*place, inner[0] / frame.width, inner[1] / frame.height))
        axes.patch.set_visible(False)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.tick_params(length=3, width=0.8, pad=3)
        paint(axes)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return plain(text.getvalue(), frame)


def plain(svg: str, frame: Frame) -> str:
    """The element alone: no prolog, no metadata, no names but those that are referred to, two digits a number."""
    body = svg[svg.index(">", svg.index("<svg")) + 1 : svg.rindex("</svg>")]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r"<[^>]+>", lambda tag: _plain_tag(tag[0]), body)
    body = re.sub(r"\s*\n\s*", "\n", _named(body)).strip()
    size = f"{frame.width:g}", f"{frame.height:g}"
    head = f'<svg class="plot" width="{size[0]}" height="{size[1]}" viewBox="0 0 {size[0]} {size[1]}"'
    return f"{head}>\n{body}\n</svg>"


def _plain_tag(tag: str) -> str:
    """The page's own font; no reference to a name space; no turning by nothing."""
    tag = re.sub(r"font-family: [^;\"]*;? ?", "", tag)
    tag = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", tag)
    tag = re.sub(r' transform="rotate\(-?0 [^"]*"', "", tag).replace("xlink:href", "href")
    return re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), tag)


def _named(body: str) -> str:
    """Names in order of appearance, led by what the whole drawing is: alike in every run, and alone in a page."""
    used = dict.fromkeys(re.findall(r"(?:url\(|href=\")#([\w-]+)", body))
    new = {old: f"{number}" for number, old in enumerate(used)}
    body = re.sub(r' ?\bid="([^"]+)"', lambda name: f' id="{new[name[1]]}"' if name[1] in new else "", body)
    body = re.sub(r"(url\(|href=\")#([\w-]+)", lambda name: f"{name[1]}#{new[name[2]]}", body)
    own = "p" + hashlib.sha256(body.encode()).hexdigest()[:8]
    return re.sub(r"(\bid=\"|url\(#|href=\"#)(\d+)", rf"\g<1>{own}-\2", body)


@lru_cache(maxsize=4096)
def text_width(text: str, size: float = SIZE) -> float:
    """Pixels in the font that the drawing is laid out with; browsers' own are narrower."""
    with _settled():
        width, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(size=size), False)
    return float(width)


def fitted(text: str, room: float, size: float = SIZE) -> str:
    """The text, or its beginning and end around an ellipsis."""
    text = " ".join(text.split())
    if text_width(text, size) <= room:
        return text
    for left_out in range(1, len(text)):
        keep = len(text) - left_out
        tail = keep // 2
        shorter = f"{text[: keep - tail]}…{text[len(text) - tail :]}"
        if text_width(shorter, size) <= room:
            return shorter
    return "…"


@contextmanager
def _settled() -> Iterator[None]:
    with matplotlib.rc_context(SETTINGS), warnings.catch_warnings():  # type: ignore[arg-type]
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield
