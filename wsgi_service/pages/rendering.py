"""Templates become responses, with headers that keep a page to itself."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from werkzeug.wrappers import Response

from wsgi_service import __version__

#: What a page may load: its own style, script and pictures, and nothing inline (https://www.w3.org/TR/CSP3/).
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
#: Swagger UI sets styles on its elements.
VIEWER_POLICY = POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
HEADERS = {
    # Not "no-referrer": with that, browsers say "Origin: null" in the posts of our own forms.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
BYTES_PER_UNIT = 1024


def page(template: str, status: int = 200, policy: str = POLICY, **context: Any) -> Response:
    """A page made of a template."""
    html = _environment().get_template(template).render(context)
    headers = {**HEADERS, "Content-Security-Policy": policy}
    return Response(html, status, headers, content_type="text/html; charset=utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("wsgi_service.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["size"] = size
    environment.globals["release"] = __version__
    return environment


def size(count: int) -> str:
    """A number of bytes for people."""
    value, unit = float(count), "bytes"
    for larger in ("KB", "MB", "GB"):
        if value < BYTES_PER_UNIT:
            break
        value, unit = value / BYTES_PER_UNIT, larger
    return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
