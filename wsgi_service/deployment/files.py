"""The files themselves, from templates: a systemd unit, a web.config for IIS, a site for nginx."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

_environment = Environment(
    loader=PackageLoader("wsgi_service.deployment"),
    autoescape=select_autoescape(["config"]),  # which is XML
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def write(template: str, **values: Any) -> str:
    """A file from its template, `unit.service`, `web.config` or `nginx.conf`."""
    return _environment.get_template(template).render(**values)
