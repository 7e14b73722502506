"""An answer in the format that was asked for, and who gave it in headers."""

from collections.abc import Sequence

from werkzeug.exceptions import NotAcceptable

from wsgi_service.http.responses import Rendered, bytes_response
from wsgi_service.rows.answer import Answer
from wsgi_service.rows.row_formats import Format


def write(answer: Answer, formats: Sequence[Format], row_by_row: bool, spreadsheet: bool = False) -> Rendered:
    """The answer in the first of the formats that can hold this answer. Raises NotAcceptable."""
    for format_ in formats[:-1]:
        try:
            return _write(answer, format_, row_by_row, spreadsheet)
        except NotAcceptable:
            continue
    return _write(answer, formats[-1], row_by_row, spreadsheet)


def _write(answer: Answer, format_: Format, row_by_row: bool, spreadsheet: bool) -> Rendered:
    version = answer.version
    headers = {"X-Model": version.model, "X-Model-Version": str(version.version), "X-Model-Digest": version.digest}
    return bytes_response(format_.write(answer, row_by_row, spreadsheet), format_.media_type, headers)
