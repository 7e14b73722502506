"""The files of Swagger UI, from the package that ships them, so that no file comes from another machine."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from model_store.errors import MissingExtra

#: A distribution that carries Swagger UI's files; nothing of its own code is imported.
PACKAGE = "swagger_ui"
FILES = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}
MISSING = (
    'The server lacks the files of Swagger UI. Its operator can add them: pip install "wsgi-service[docs]". '
    "The document itself is at /openapi.json."
)


@cache
def folder() -> Path:
    """Where the files are. Raises MissingExtra."""
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise MissingExtra(MISSING, extra="docs")
    return Path(found.origin).parent / "static"


def content(name: str) -> tuple[bytes, str]:
    """A file and its media type. Raises KeyError for any other, and MissingExtra."""
    media_type = FILES[name]
    return (folder() / name).read_bytes(), media_type
