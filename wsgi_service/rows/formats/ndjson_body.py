"""An NDJSON body: one JSON row on each line, as a list, a record or a text."""

from collections.abc import Collection, Iterator
from typing import Any

import msgspec
from msgspec import Raw

from model_store.schema import Schema
from wsgi_service.errors import InvalidRequest, MalformedBody, TooManyRows
from wsgi_service.http.budget import UNCOUNTED, Claim
from wsgi_service.rows.checking import check_row_limit, check_rows
from wsgi_service.rows.formats.json_pieces import PIECE, RATIO, Decode, large_row
from wsgi_service.rows.unread import Read, Reading, Sent

_line = msgspec.json.Decoder()
_unread = msgspec.json.Decoder(Raw)
#: Bytes that an empty line becomes while a piece is split.
EMPTY = 64


def read_sent(body: bytes, control: dict[str, Any], claim: Claim = UNCOUNTED, _keys: Collection[str] = ()) -> Sent:
    """What an NDJSON body sends."""

    def read(schema: Schema, reading: Reading) -> Read:
        rows = _rows(body, reading.row_limit, claim, large_row(len(schema.inputs), claim))
        return check_rows(schema, rows, reading.row_by_row, claim=claim)

    return Sent(control, read, claim=claim)


def _rows(body: bytes, limit: int, claim: Claim, decode_large: Decode) -> Iterator[Any]:
    """The rows, read while they are asked for. Raises InvalidRequest, MalformedBody or TooManyRows."""
    count = 0
    for line in _lines(body, limit, claim):
        check_row_limit(count + 1, limit)
        if len(line) <= PIECE:
            yield _decode(count, line, _line.decode)
        else:
            before = claim.count
            row = _decode(count, line, lambda line: decode_large(_unread.decode(line)))
            taken = claim.count - before
            yield row
            claim.settle(claim.count - taken)
        count += 1
    if not count:
        raise InvalidRequest("The body has no rows.")


def _lines(body: bytes, limit: int, claim: Claim) -> Iterator[bytes]:
    """The lines that are not empty; a piece of the body is split at a time. Raises TooManyRows for empty ones."""
    begin, empty = len(b"\xef\xbb\xbf") if body.startswith(b"\xef\xbb\xbf") else 0, 0
    while begin < len(body):
        end = body.rfind(b"\n", begin, begin + PIECE) + 1
        end = end or body.find(b"\n", begin + PIECE) + 1 or len(body)
        piece = body[begin:end]
        with claim.briefly(
            EMPTY * min(len(piece), PIECE) + 3 * len(piece) if len(piece) > PIECE else RATIO * PIECE
        ):
            for line in piece.splitlines():
                if line.strip():
                    yield line
                else:
                    empty += 1
        if empty > limit:
            raise TooManyRows(f"The body has more than {limit} empty lines. Send rows only.")
        begin = end


def _decode(index: int, line: bytes, decode: Decode) -> Any:
    try:
        return decode(line)
    except msgspec.ValidationError:
        raise InvalidRequest(f"Row {index} of the body has a number that is out of range.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedBody(f"Row {index} of the body is not valid JSON.") from None
