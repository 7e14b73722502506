"""An NDJSON body: one JSON row on each line, as a list, a record or a text."""

from typing import Any

import msgspec

from model_store.schema import Schema
from wsgi_service.inputs.errors import InvalidRequest, MalformedBody
from wsgi_service.inputs.json_body import check_row_limit
from wsgi_service.inputs.rows import check_rows
from wsgi_service.inputs.sent import Read, Reading, Sent

_line = msgspec.json.Decoder()


def read_sent(body: bytes, control: dict[str, Any]) -> Sent:
    """What an NDJSON body sends."""

    def read(schema: Schema, reading: Reading) -> Read:
        lines = [line for line in body.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip()]
        if not lines:
            raise InvalidRequest("The body has no rows.")
        check_row_limit(len(lines), reading.row_limit)
        rows = [_decode(index, line) for index, line in enumerate(lines)]
        return check_rows(schema, rows, reading.row_by_row)

    return Sent(control, read)


def _decode(index: int, line: bytes) -> Any:
    try:
        return _line.decode(line)
    except msgspec.ValidationError:
        raise InvalidRequest(f"Row {index} of the body has a number that is out of range.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedBody(f"Row {index} of the body is not valid JSON.") from None
