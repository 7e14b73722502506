"""In which format a request wants its answer: by `?format=`, or by Accept (RFC 9110, section 12.5.1)."""

from werkzeug.exceptions import NotAcceptable
from werkzeug.wrappers import Request

from wsgi_service.errors import InvalidRequest
from wsgi_service.http.requests import query
from wsgi_service.rows.row_formats import BY_NAME, BY_TYPE, FORMATS, JSON, Format

ANYTHING = "*/*"


def wanted_formats(request: Request, named_there: bool = True) -> list[Format]:
    """The formats that would do, the best one first.

    Args:
        request: whose answer it is.
        named_there: whether the format may be named in the query string.

    Raises:
        InvalidRequest: there is no format of that name.
        NotAcceptable: none of ours would do.
    """
    given = query(request) if named_there else None
    named = given.get("format") if given else None  # Werkzeug takes its time to find nothing
    if named is not None:
        if named not in BY_NAME:
            raise InvalidRequest(f"format must be one of {', '.join(BY_NAME)}.")
        return [BY_NAME[named]]
    if request.environ.get("HTTP_ACCEPT", ANYTHING) in {ANYTHING, JSON.media_type}:
        return [JSON]  # what nearly all clients send, and weighing types takes time
    qualities = [(request.accept_mimetypes[format_.media_type], format_) for format_ in FORMATS]
    accepted = [(quality, format_) for quality, format_ in qualities if quality > 0]
    if not accepted:
        raise NotAcceptable(f"Predictions are written as {', '.join(BY_TYPE)}.")
    return [format_ for _, format_ in sorted(accepted, key=lambda pair: -pair[0])]
