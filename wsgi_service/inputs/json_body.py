"""A JSON body: instances as lists or records, or one flat record, with a few control keys beside them."""

import codecs
from typing import Any

import msgspec
import numpy as np
from msgspec import Raw

from model_store.schema import Schema
from wsgi_service.inputs.errors import InvalidRequest, MalformedBody, TooManyRows
from wsgi_service.inputs.rows import tabulate
from wsgi_service.serving.tables import Table

INSTANCES = "instances"
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

_object = msgspec.json.Decoder(dict[str, Raw])
_numbers = msgspec.json.Decoder(list[list[float]])
_numbers_or_null = msgspec.json.Decoder(list[list[float | None]])
_anything = msgspec.json.Decoder()


def parse_object(body: bytes) -> dict[str, Raw]:
    """The keys of a JSON object with their values unread. Of a key that stands twice, the last one counts.

    Raises:
        MalformedBody: not JSON, or not in UTF-8 (with or without a byte order mark) or UTF-16 with one.
        InvalidRequest: JSON, but not an object.
    """
    try:
        return _object.decode(_as_utf8(body))
    except msgspec.ValidationError:
        decode_value(Raw(_as_utf8(body)))  # beyond its first character it may not be JSON at all
        raise InvalidRequest('The body must be a JSON object, such as {"instances": [[…]]}.') from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(error) from None


def decode_value(raw: Raw) -> Any:
    """One value, read. Raises MalformedBody or InvalidRequest."""
    try:
        return _anything.decode(raw)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The body has a number that is out of range ({error}).") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(error) from None


def read_instances(schema: Schema, raw: Raw, row_limit: int) -> Table:
    """The table of `instances`. Raises InvalidRows, InvalidRequest, TooManyRows or MalformedBody."""
    table = _read_matrix(schema, raw, row_limit)
    if table is not None:
        return table
    rows = decode_value(raw)
    if not isinstance(rows, list):
        raise InvalidRequest('"instances" must be a list of rows: lists of values, or records.')
    if not rows:
        raise InvalidRequest('"instances" has no rows.')
    check_row_limit(len(rows), row_limit)
    return tabulate(schema, rows)


def read_record(schema: Schema, record: dict[str, Raw]) -> Table:
    """The table of one flat record. Raises like `read_instances`."""
    return tabulate(schema, [{name: decode_value(value) for name, value in record.items()}])


def check_row_limit(rows: int, limit: int) -> None:
    """Raises TooManyRows."""
    if rows > limit:
        raise TooManyRows(f"The request has {rows} rows; at most {limit} are taken in one. Send them in parts.")


def _read_matrix(schema: Schema, raw: Raw, row_limit: int) -> Table | None:
    """The short way for plain numbers; None if they are anything else, for which there are good messages below."""
    if schema.text or any(column.type != "number" or column.closed for column in schema.inputs):
        return None
    nullable = [column.nullable for column in schema.inputs]
    try:
        rows: list[Any] = (_numbers_or_null if any(nullable) else _numbers).decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not rows or any(len(row) != len(nullable) for row in rows):
        return None
    check_row_limit(len(rows), row_limit)
    matrix = np.array(rows, dtype=np.float64)
    if any(nullable) and np.isnan(matrix[:, ~np.array(nullable)]).any():
        return None
    return Table(len(rows), matrix=matrix)


def _as_utf8(body: bytes) -> bytes:
    if body.startswith(UTF16):
        return body.decode("utf-16").encode("utf-8")
    return body.removeprefix(codecs.BOM_UTF8)


def _malformed(error: Exception) -> MalformedBody:
    if isinstance(error, RecursionError):
        return MalformedBody("The body is nested too deeply.")
    if isinstance(error, UnicodeDecodeError):
        return MalformedBody("The body is not in UTF-8.")
    return MalformedBody(f"The body is not valid JSON ({error}).")
