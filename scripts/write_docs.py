"""Writes what is made from code: docs/settings.md and docs/openapi.json, and from the tests docs/estimators.md."""

import json
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from wsgi_service import __version__
from wsgi_service.app import create_app
from wsgi_service.openapi.document import document
from wsgi_service.settings import TABLE, Setting, Settings

ROOT = Path(__file__).resolve().parent.parent
HEAD = """# Settings

Every setting of `wsgi-service serve`. A flag comes before an environment variable, a variable before the default.
WSGI servers that have no flags of ours (gunicorn, mod_wsgi, uWSGI) read the variables.

This page is made from the table in `wsgi_service/settings.py` by `python3 scripts/dev.py docs`.

| flag | variable | default | meaning |
|---|---|---|---|
"""


def settings_page() -> str:
    """The text of docs/settings.md."""
    return HEAD + "".join(_row(setting) for setting in TABLE)


def _row(setting: Setting) -> str:
    flag = f"`{setting.flag}`" if setting.flag else "none: it is a secret"
    default = (
        f"`{setting.default}`"
        if setting.default not in ("", False)
        else "off"
        if setting.default is False
        else "none"
    )
    return f"| {flag} | `{setting.variable}` | {default} | {setting.help} |\n"


def openapi_document() -> str:
    """The text of docs/openapi.json: the OpenAPI document of a server with the default settings."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings(data=folder))
        described = document(app.url_map, __version__)
        app.catalog.registry.close()
    return json.dumps(described, indent=1) + "\n"


def main() -> None:
    """Write the pages."""
    (ROOT / "docs/openapi.json").write_text(openapi_document(), encoding="utf-8", newline="\n")
    (ROOT / "docs/settings.md").write_text(settings_page(), encoding="utf-8", newline="\n")
    sys.path.insert(0, str(ROOT / "tests"))
    zoo = import_module("zoo")
    (ROOT / "docs/estimators.md").write_text(zoo.page(), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
