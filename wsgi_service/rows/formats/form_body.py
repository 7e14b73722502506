"""A record whose values are all text: from a query string or an HTML form."""

import re
from typing import Any

from model_store.schema import Schema
from wsgi_service.errors import MalformedBody, TooLargeDecoded
from wsgi_service.http.budget import UNCOUNTED, Claim
from wsgi_service.http.requests import take_turn
from wsgi_service.rows.cells import read_decimal_comma, read_text_cell
from wsgi_service.rows.checking import check_rows
from wsgi_service.rows.unread import Read, Reading, Sent

#: Fields of a form; the widest that people fill in has far fewer.
MOST_FIELDS = 20_000
#: Bytes that a byte of a form becomes at most while it is decoded.
RATIO = 40
BYTES = [bytes([value]) for value in range(256)]
ESCAPED = re.compile(b"%([0-9a-fA-F]{2})")


def parse(body: bytes, claim: Claim = UNCOUNTED) -> dict[str, str]:
    """The fields of an urlencoded form; of a name that stands twice, the last one counts.

    Raises:
        MalformedBody: it is not in UTF-8.
        TooLargeDecoded: it has too many fields.
        Busy: other bodies are being decoded.
    """
    take_turn(claim, len(body))
    if body.count(b"&") >= MOST_FIELDS:
        raise TooLargeDecoded(f"A form has at most {MOST_FIELDS} fields. Send wider rows as JSON.")
    pairs = (field.partition(b"=") for field in body.split(b"&") if field)
    try:
        with claim.briefly(RATIO * len(body)):
            return {_unquoted(name): _unquoted(value) for name, _, value in pairs}
    except UnicodeDecodeError:
        raise MalformedBody("The form is not in UTF-8.") from None


def _unquoted(text: bytes) -> str:
    """A name or a value (https://url.spec.whatwg.org/#concept-urlencoded-parser); what is no escape stays."""
    return ESCAPED.sub(_byte, text.replace(b"+", b" ")).decode()


def _byte(match: re.Match[bytes]) -> bytes:
    return BYTES[int(match[1], 16)]


def read_sent(record: dict[str, str], control: dict[str, Any]) -> Sent:
    """What such a record sends."""

    def read(schema: Schema, reading: Reading) -> Read:
        cell = read_decimal_comma if reading.decimal == "," else read_text_cell
        return check_rows(schema, [record], reading.row_by_row, cell)

    return Sent(control, read, flat=True)
