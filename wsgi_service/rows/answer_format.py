"""In which format a request wants its answer: by `?format=`, or by Accept (RFC 9110, section 12.5.1)."""

from werkzeug.exceptions import NotAcceptable
from werkzeug.wrappers import Request

from wsgi_service.errors import InvalidRequest
from wsgi_service.http.requests import query

ANYTHING = "*/*"
JSON, CSV, NDJSON, NPY, PARQUET, ARROW = "json", "csv", "ndjson", "npy", "parquet", "arrow"
#: Format -> media type; the first one is for whoever takes anything.
MEDIA_TYPES = {
    JSON: "application/json",
    CSV: "text/csv",
    NDJSON: "application/x-ndjson",
    NPY: "application/x-npy",
    PARQUET: "application/vnd.apache.parquet",
    ARROW: "application/vnd.apache.arrow.stream",
}
#: Those that are tables with named columns.
TABLES = frozenset({CSV, PARQUET, ARROW})


def wanted_formats(request: Request, named_there: bool = True) -> list[str]:
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
        if named not in MEDIA_TYPES:
            raise InvalidRequest(f"format must be one of {', '.join(MEDIA_TYPES)}.")
        return [named]
    if request.environ.get("HTTP_ACCEPT", ANYTHING) in {ANYTHING, MEDIA_TYPES[JSON]}:
        return [JSON]  # what nearly all clients send, and weighing types takes time
    qualities = {name: request.accept_mimetypes[media_type] for name, media_type in MEDIA_TYPES.items()}
    accepted = [name for name, quality in qualities.items() if quality > 0]
    if not accepted:
        raise NotAcceptable(f"Predictions are written as {', '.join(MEDIA_TYPES.values())}.")
    return sorted(accepted, key=lambda name: -qualities[name])
