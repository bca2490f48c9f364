"""Matplotlib figures as pieces of a page: inline SVG in the page's own colours and font.

A figure is drawn in stand-in colours, and each becomes a CSS variable in the SVG; so one picture
fits light and dark. Text stays text: it can be read aloud, searched and selected.
"""

# ruff: noqa: PLC0415 - matplotlib is an extra, and slow to load

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, FAINT, PAPER = "#0a0b01", "#0a0b02", "#0a0b03"
FIRST, SECOND, THIRD = "#0a0b04", "#0a0b05", "#0a0b06"
VARIABLES = {
    INK: "--ink",
    FAINT: "--faint",
    PAPER: "--paper",
    FIRST: "--first",
    SECOND: "--second",
    THIRD: "--third",
}
"""Stand-in colours, and the CSS variables that take their place."""

WIDTH = 5.0
"""Inches of a figure, 360 units of the SVG: about a phone's width, so that its letters are not
smaller than the page's there."""

DPI = 110
"""Of pictures within a figure: as wide as a card on a desktop."""

_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "evaluation",
    "text.parse_math": False,
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid.axis": "y",
    "grid.color": FAINT,
    "grid.alpha": 0.35,
    "grid.linewidth": 0.6,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.6,
}
_SVG, _LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
_FONT = re.compile(r"font(?:-family)?: [^;]*;?\s*")
_SIZE = re.compile(r"font: (?:[a-z]+ )*([\d.]+)px")


def inline(draw: Callable[[Figure], None], height: float, identity: str, label: str) -> str:
    """An `<svg>` element of what `draw` puts into an empty figure; no pyplot, no files.

    Args:
        height: inches.
        identity: different for every figure of a page; what it refers to within itself has it in
            its name.
        label: what is to be seen, for those who do not see it.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(WIDTH, height), layout="constrained", facecolor="none")
        draw(figure)
        for axes in figure.axes:
            axes.set_facecolor("none")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", transparent=True, dpi=DPI)
    return _for_page(buffer.getvalue(), identity, label)


def _for_page(drawn: bytes, identity: str, label: str) -> str:
    """Without namespaces, metadata and names that nothing refers to; scaled to its place."""
    root = ElementTree.fromstring(drawn)  # noqa: S314 - matplotlib's, written a moment ago
    for element in list(root):
        # Metadata is an address and a date; the style sheet would be the whole page's.
        if element.tag == _SVG + "metadata" or element.find(_SVG + "style") is not None:
            root.remove(element)
    text = ElementTree.tostring(root, encoding="unicode")
    used = set(re.findall(r"#([\w-]+)", text))
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        _rename(element.attrib, used, identity)
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.attrib |= {"role": "img", "aria-label": label}
    text = ElementTree.tostring(root, encoding="unicode")
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return text


def _rename(attributes: dict[str, str], used: set[str], identity: str) -> None:
    name = attributes.pop("id", None)
    if name in used:
        attributes["id"] = f"{identity}-{name}"
    link = attributes.pop(_LINK, None)
    if link is not None:
        attributes["href"] = f"#{identity}-{link[1:]}" if link.startswith("#") else link
    for key, value in attributes.items():
        if "url(#" in value:
            attributes[key] = value.replace("url(#", f"url(#{identity}-")
    if "font" in attributes.get("style", ""):
        size = _SIZE.search(attributes["style"])
        rest = _FONT.sub("", attributes["style"])
        attributes["style"] = rest + (f"; font-size: {size[1]}px" if size else "")
