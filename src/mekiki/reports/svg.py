"""Matplotlib's SVG made fit to stand inside a page: shapes only, colours from the page, names of its own, small.

Everything that is not on the list of known elements and attributes is left out, so text (matplotlib repeats it in
comments), scripts, style rules and addresses cannot get into a page through a figure.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from mekiki.reports.blocks import Drawing

_NAMESPACE = "http://www.w3.org/2000/svg"
_ELEMENTS = frozenset({"svg", "g", "defs", "path", "use", "clipPath", "rect", "circle", "line"})
_ATTRIBUTES = frozenset(
    {"d", "id", "x", "y", "width", "height", "r", "cx", "cy", "transform", "style", "clip-path", "href"}
)
_DEFAULT_STYLES = frozenset({"stroke-linecap: butt", "stroke-linejoin: miter", "stroke-miterlimit: 100000"})
_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def clean_svg(text: str, colors: Mapping[str, str]) -> Drawing:
    """Return the drawing in an SVG file of matplotlib's.

    Args:
        text: The file's content; trusted to be well-formed.
        colors: What to write in place of colours such as ``#010203``: CSS such as ``currentColor`` or ``var(--ink)``.

    Raises:
        ValueError: If the text is no SVG.
    """
    if "<!ENTITY" in text:
        raise ValueError("an SVG with entities is not one of matplotlib's")
    root = ElementTree.fromstring(text)  # our own figure; entities are refused above
    if root.tag != f"{{{_NAMESPACE}}}svg":
        raise ValueError(f"the root must be an SVG element, got {root.tag}")
    width_px, height_px = (round(float(side)) for side in root.attrib["viewBox"].split()[2:])
    prefix = "f" + hashlib.sha256(text.encode()).hexdigest()[:8]
    inside = "".join(_write(child, _Rewrite(root, prefix, colors)) for child in root)
    svg = f'<svg viewBox="0 0 {width_px} {height_px}" aria-hidden="true">{inside}</svg>'
    return Drawing(svg, width_px, height_px)


class _Rewrite:
    """How attributes are rewritten in one drawing: new names, new colours, fewer digits."""

    def __init__(self, root: ElementTree.Element, prefix: str, colors: Mapping[str, str]) -> None:
        used = set(_REFERENCE.findall(" ".join(value for node in root.iter() for value in node.attrib.values())))
        used |= {value[1:] for node in root.iter() for name, value in node.attrib.items() if name.endswith("href")}
        named = [name for node in root.iter() if (name := node.get("id")) in used]
        self.names = {name: f"{prefix}-{n}" for n, name in enumerate(dict.fromkeys(filter(None, named)))}
        self.colors = colors

    def attribute(self, name: str, value: str) -> str:
        """Return the new value, or nothing where the attribute can go."""
        if name == "id":
            return self.names.get(value, "")
        if name == "href":
            return f"#{self.names[value[1:]]}" if value[1:] in self.names else ""
        if name == "style":
            return self._style(value)
        value = _REFERENCE.sub(lambda match: f"url(#{self.names.get(match[1], '')})", value)
        if name == "d":
            digits = 0 if value.count(".") == 0 else 1
            value = re.sub(r"\s+", " ", _NUMBER.sub(lambda match: _shorter(match[0], digits), value)).strip()
            return re.sub(r" ?([A-Za-z]) ?", r"\1", value)
        if name == "transform":
            return _NUMBER.sub(lambda match: _shorter(match[0], 6), value)
        return _NUMBER.sub(lambda match: _shorter(match[0], 1), value)

    def _style(self, value: str) -> str:
        rules = [rule.strip() for rule in value.split(";")]
        rules = [rule for rule in rules if rule and rule not in _DEFAULT_STYLES and "url" not in rule]
        text = "; ".join(rules)
        for color, replacement in self.colors.items():
            text = text.replace(color, replacement)
        return text


def _write(node: ElementTree.Element, rewrite: _Rewrite) -> str:
    name = node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""
    if name not in _ELEMENTS:
        return ""
    attributes = ""
    for full_name, old in node.attrib.items():
        short = full_name.rpartition("}")[2]
        value = rewrite.attribute(short, old) if short in _ATTRIBUTES else ""
        if value:
            attributes += f" {short}={quoteattr(value)}"
    inside = "".join(_write(child, rewrite) for child in node)
    if name in ("g", "defs") and not attributes:
        return inside if name == "g" else (f"<defs>{inside}</defs>" if inside else "")
    return f"<{name}{attributes}>{inside}</{name}>" if inside else f"<{name}{attributes}/>"


def _shorter(number: str, digits: int) -> str:
    text = f"{float(number):.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text
