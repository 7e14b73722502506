"""Errors on pages: what a problem document says, in HTML; and the way to a session where the token is needed."""

from http import HTTPStatus

from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.wrappers import Request, Response

from wsgi_service.http.problems import describe
from wsgi_service.pages.rendering import page

PLACES = ("/ui", "/docs")


def is_page(request: Request) -> bool:
    """Whether a browser asked for something that people look at."""
    return request.path.startswith(PLACES) and not request.path.startswith("/ui/static")


def error_page(error: Exception, request: Request, request_id: str) -> Response:
    """The page for an error."""
    status, _, detail, headers, _ = describe(error, request.path)
    if status == HTTPStatus.UNAUTHORIZED:
        onwards = request.path if request.method == "GET" and request.path.startswith("/ui") else "/ui"
        return page("login.html", status, failed=None, next=onwards)
    response = page(
        "error.html", status, title=HTTP_STATUS_CODES.get(status, "Error"), code=status, detail=detail,
        request_id=request_id,
    )  # fmt: skip
    response.headers.extend({name: value for name, value in headers.items() if name != "WWW-Authenticate"})
    return response
