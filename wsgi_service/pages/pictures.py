"""SVG that a host drew becomes part of a page: nothing but shapes and words, and no style of its own.

The host is not believed: what is not on the list is left out. Styles become attributes, which a strict
Content-Security-Policy lets through, and black becomes the colour of the page's text.
"""

import re
from xml.etree import ElementTree as ET

SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
ELEMENTS = frozenset({"svg", "g", "path", "rect", "text", "tspan", "use", "defs", "clipPath", "line", "circle"})
GEOMETRY = frozenset({
    "id", "d", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height", "viewBox", "transform",
    "clip-path",
})  # fmt: skip
PAINT = frozenset({
    "fill", "stroke", "stroke-width", "stroke-linejoin", "stroke-linecap", "stroke-dasharray", "opacity",
    "fill-opacity", "stroke-opacity", "fill-rule", "text-anchor", "font-size",
})  # fmt: skip
#: Numbers, names, colours, paths and transforms; no references and nothing escaped.
PLAIN = re.compile(r"(?!.*(?i:url))[\w\s#.,%()+-]*", re.ASCII)
#: Elements inside one another.
DEEPEST = 30
FONT_SIZE = re.compile(r"([0-9.]+px)")
#: Characters of a picture; an honest one of a thousand points has far fewer.
LARGEST = 2_000_000


def cleaned(text: str, title: str, prefix: str) -> str:
    """A picture as it may stand in a page; empty if it is none.

    Args:
        text: SVG as matplotlib writes it.
        title: what it shows, for those who do not see it.
        prefix: of ids, so that several pictures can stand in one page.
    """
    if len(text) > LARGEST:
        return ""
    try:
        root = ET.fromstring(text)  # noqa: S314 - bounded, and expat refuses entities that multiply
    except ET.ParseError:
        return ""
    clean = _copy(root, prefix)
    if clean is None or clean.tag != "svg":
        return ""
    clean.attrib = {"viewBox": clean.get("viewBox", ""), "role": "img", "aria-label": title, "class": "picture"}
    return ET.tostring(clean, encoding="unicode")


def _copy(element: ET.Element, prefix: str, depth: int = 0) -> ET.Element | None:
    name = element.tag.removeprefix(SVG) if isinstance(element.tag, str) else ""
    if name not in ELEMENTS or depth > DEEPEST:
        return None
    copy = ET.Element(name, _attributes(element, prefix))
    copy.text = element.text if name in ("text", "tspan") else None
    copy.extend(child for child in (_copy(child, prefix, depth + 1) for child in element) if child is not None)
    return copy


def _attributes(element: ET.Element, prefix: str) -> dict[str, str]:
    styled = [part.partition(":") for part in element.get("style", "").split(";")]
    found = {name.strip(): value.strip() for name, _, value in styled}
    if size := FONT_SIZE.search(found.pop("font", "")):
        found["font-size"] = size[1]
    attributes = {name: value for name, value in found.items() if name in PAINT}
    attributes |= {name: value for name, value in element.attrib.items() if name in GEOMETRY | PAINT}
    if reference := re.fullmatch(r"#([\w.-]+)", element.get(XLINK, "")):
        attributes["href"] = f"#{prefix}{reference[1]}"
    if "id" in attributes:
        attributes["id"] = prefix + attributes["id"]
    return {name: _value(value, prefix) for name, value in attributes.items()} | _default_fill(element, attributes)


def _value(value: str, prefix: str) -> str:
    if reference := re.fullmatch(r"url\(#([\w.-]+)\)", value):
        return f"url(#{prefix}{reference[1]})"
    if not PLAIN.fullmatch(value):
        return "none"
    return "currentColor" if value in ("#000000", "black") else value


def _default_fill(element: ET.Element, attributes: dict[str, str]) -> dict[str, str]:
    """Text that says no colour is black, and so is as the page's text."""
    return {"fill": "currentColor"} if element.tag == f"{SVG}text" and "fill" not in attributes else {}
