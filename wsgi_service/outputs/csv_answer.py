"""An answer in CSV (RFC 4180)."""

import csv
import io
from typing import Any

from wsgi_service.inputs.csv_body import text_of
from wsgi_service.outputs.answer import Answer
from wsgi_service.outputs.columns import columns_of


def write(answer: Answer, row_by_row: bool) -> bytes:
    """The lines of an answer, in UTF-8 with CRLF; see `columns_of` for its columns."""
    columns = columns_of(answer, row_by_row)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in zip(*columns.values(), strict=True))
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    return "" if value is None else text_of(value)
