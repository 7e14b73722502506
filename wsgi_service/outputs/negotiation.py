"""In which format a request wants its answer: by `?format=`, or by Accept (RFC 9110, section 12.5.1)."""

from werkzeug.exceptions import NotAcceptable
from werkzeug.wrappers import Request

from wsgi_service.inputs.errors import InvalidRequest

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


def wanted_format(request: Request, named_there: bool = True) -> str:
    """The format of the answer; it may be named in the query string. Raises InvalidRequest or NotAcceptable."""
    named = request.args.get("format") if named_there else None
    if named is not None:
        if named not in MEDIA_TYPES:
            raise InvalidRequest(f"format must be one of {', '.join(MEDIA_TYPES)}.")
        return named
    if request.headers.get("Accept", ANYTHING) in {ANYTHING, MEDIA_TYPES[JSON]}:
        return JSON  # what nearly all clients send, and weighing types takes time
    best = request.accept_mimetypes.best_match(list(MEDIA_TYPES.values()))
    if best is None:
        raise NotAcceptable(f"Predictions are written as {', '.join(MEDIA_TYPES.values())}.")
    return next(name for name, media_type in MEDIA_TYPES.items() if media_type == best)
