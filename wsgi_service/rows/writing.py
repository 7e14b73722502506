"""An answer in the format that was asked for, one module for each, and who gave it in headers."""

from collections.abc import Callable, Sequence

from werkzeug.exceptions import NotAcceptable

from wsgi_service.http.responses import Rendered, bytes_response
from wsgi_service.rows.answer import Answer
from wsgi_service.rows.answer_format import ARROW, CSV, JSON, MEDIA_TYPES, NDJSON, NPY, PARQUET
from wsgi_service.rows.formats import arrow_answer, csv_answer, json_answer, ndjson_answer, npy_answer

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


def write(answer: Answer, formats: Sequence[str], row_by_row: bool, spreadsheet: bool = False) -> Rendered:
    """The answer in the first of the formats that can hold this answer. Raises NotAcceptable."""
    for format_ in formats[:-1]:
        try:
            return _write(answer, format_, row_by_row, spreadsheet)
        except NotAcceptable:
            continue
    return _write(answer, formats[-1], row_by_row, spreadsheet)


def content_of(answer: Answer, format_: str, row_by_row: bool) -> bytes:
    """The bytes of an answer. Raises NotAcceptable if the format cannot hold it."""
    return TABLES[format_](answer, row_by_row) if format_ in TABLES else WRITERS[format_](answer)


def _write(answer: Answer, format_: str, row_by_row: bool, spreadsheet: bool) -> Rendered:
    version = answer.version
    if spreadsheet and format_ == CSV:
        content = csv_answer.write(answer, row_by_row, spreadsheet)
    else:
        content = content_of(answer, format_, row_by_row)
    headers = {"X-Model": version.model, "X-Model-Version": str(version.version), "X-Model-Digest": version.digest}
    return bytes_response(content, MEDIA_TYPES[format_], headers)
