"""An answer in the format that was asked for, one module for each, and who gave it in headers."""

from collections.abc import Callable

from werkzeug.wrappers import Response

from wsgi_service.outputs import arrow_answer, csv_answer, json_answer, ndjson_answer, npy_answer
from wsgi_service.outputs.answer import Answer
from wsgi_service.outputs.negotiation import ARROW, CSV, JSON, MEDIA_TYPES, NDJSON, NPY, PARQUET
from wsgi_service.responses import bytes_response

#: Format -> what writes it; those that are tables are told whether they have a column for what was wrong.
WRITERS: dict[str, Callable[[Answer], bytes]] = {
    JSON: json_answer.write,
    NDJSON: ndjson_answer.write,
    NPY: npy_answer.write,
}
TABLES: dict[str, Callable[[Answer, bool], bytes]] = {
    CSV: csv_answer.write,
    PARQUET: arrow_answer.write_parquet,
    ARROW: arrow_answer.write_arrow,
}


def write(answer: Answer, format_: str, row_by_row: bool) -> Response:
    """The response. Raises NotAcceptable if the format cannot hold this answer."""
    version = answer.version
    content = TABLES[format_](answer, row_by_row) if format_ in TABLES else WRITERS[format_](answer)
    headers = {"X-Model": version.model, "X-Model-Version": str(version.version), "X-Model-Digest": version.digest}
    return bytes_response(content, MEDIA_TYPES[format_], headers)
