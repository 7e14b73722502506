"""A record whose values are all text: from a query string or an HTML form."""

from typing import Any
from urllib.parse import parse_qsl

from model_store.schema import Schema
from wsgi_service.inputs.cells import read_decimal_comma, read_text_cell
from wsgi_service.inputs.errors import MalformedBody
from wsgi_service.inputs.rows import check_rows
from wsgi_service.inputs.sent import Read, Reading, Sent

#: Fields of a form; the widest that people fill in has far fewer.
MOST_FIELDS = 100_000


def parse(body: bytes) -> dict[str, str]:
    """The fields of an urlencoded form; of a name that stands twice, the last one counts. Raises MalformedBody."""
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"))
    except ValueError:
        raise MalformedBody("The form is not in UTF-8, or has too many fields.") from None


def read_sent(record: dict[str, str], control: dict[str, Any]) -> Sent:
    """What such a record sends."""

    def read(schema: Schema, reading: Reading) -> Read:
        cell = read_decimal_comma if reading.decimal == "," else read_text_cell
        return check_rows(schema, [record], reading.row_by_row, cell)

    return Sent(control, read, flat=True)
