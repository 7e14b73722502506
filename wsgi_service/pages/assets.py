"""The style, the scripts and the icon of the pages."""

from functools import cache
from importlib.resources import files

#: Name -> media type.
FILES = {
    "pages.css": "text/css; charset=utf-8",
    "pages.js": "text/javascript; charset=utf-8",
    "viewer.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


@cache
def content(name: str) -> tuple[bytes, str]:
    """A file and its media type. Raises KeyError for any other."""
    return files("wsgi_service.pages").joinpath("static", name).read_bytes(), FILES[name]
