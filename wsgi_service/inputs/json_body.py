"""A JSON body: rows as lists, records, columns or as pandas writes them, or one record, and control keys."""

import codecs
import struct
from collections.abc import Callable, Collection
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, Raw, Struct, UnsetType
from numpy.typing import NDArray

from model_store.schema import Schema
from wsgi_service.at_once import QUICKLY_READ, elsewhere
from wsgi_service.inputs import json_numbers
from wsgi_service.inputs.control import EXACT, RETURN, WHO_AND_HOW
from wsgi_service.inputs.errors import InvalidRequest, MalformedBody, TooManyRows
from wsgi_service.inputs.rows import Misshapen, check_rows
from wsgi_service.inputs.sent import INSTANCES, Read, Reading, Sent
from wsgi_service.serving.tables import Table

#: How bodies begin that are most likely nothing but rows of numbers.
PLAIN = (b'{"instances": [[', b'{"instances":[[')
#: Numbers that are packed; more of them at once would take much memory meanwhile.
MOST_PACKED = 200_000
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Rows(Struct):
    """The JSON of a predict: rows in one of these forms, or one record whose keys are the columns.

    Attributes:
        instances: lists of values, records, or texts for a pipeline that takes them.
        inputs: column -> its values.
        dataframe_split: `columns` and `data`, as pandas writes them.
        dataframe_records: records.
        method: one of the version's methods.
        several: several methods, each with outputs of its own in the answer.
    """

    instances: list[Any] | UnsetType = UNSET
    inputs: dict[str, list[Any]] | UnsetType = UNSET
    dataframe_split: dict[str, Any] | UnsetType = UNSET
    dataframe_records: list[dict[str, Any]] | UnsetType = UNSET
    method: str | UnsetType = UNSET
    several: list[str] | UnsetType = msgspec.field(name="return", default=UNSET)


_object = msgspec.json.Decoder(dict[str, Raw])
_numbers = msgspec.json.Decoder(list[list[float]])
_numbers_or_null = msgspec.json.Decoder(list[list[float | None]])
#: Rows of plain numbers, with what may stand beside them unread.
_plain = msgspec.json.Decoder(
    msgspec.defstruct(
        "Plain",
        [
            (INSTANCES, list[list[float]]),
            *((f"key_{key}", Raw | UnsetType, UNSET) for key in WHO_AND_HOW),
        ],
        rename={f"key_{key}": key for key in WHO_AND_HOW},
        forbid_unknown_fields=True,
    )
)
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


def read_sent(body: bytes, keys: Collection[str]) -> Sent:
    """What a JSON body sends: rows in one of FORMS, or one flat record, with control keys beside them.

    Raises:
        MalformedBody, InvalidRequest: it is no JSON object.
    """
    return _read_plain(body, keys) or _read_any(body, keys)


def _read_plain(body: bytes, keys: Collection[str]) -> Sent | None:
    """The short way for rows of plain numbers, which are read in one pass; None if there is anything else."""
    if not body.startswith(PLAIN):
        return None
    if (matrix := json_numbers.read_matrix(body)) is not None:
        return _sent_matrix(body, keys, matrix)
    try:
        plain: Any = _plain.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    given = {key: value for key in WHO_AND_HOW if (value := getattr(plain, f"key_{key}")) is not UNSET}
    if not all(key in keys and _is_control(key, value) for key, value in given.items()):
        return None

    def read(schema: Schema, reading: Reading) -> Read:
        table = _plain_table(schema, plain.instances, reading.row_limit) if is_plain(schema) else None
        return Read(table.rows, table) if table else _read_any(body, keys).read(schema, reading)

    return Sent({key: decode_value(value) for key, value in given.items()}, read, flat=False)


def _sent_matrix(body: bytes, keys: Collection[str], matrix: NDArray[np.float64]) -> Sent:
    """Rows that were read before their schema was known; another schema has them read again."""

    def read(schema: Schema, reading: Reading) -> Read:
        if not is_plain(schema) or matrix.shape[1] != len(schema.inputs):
            return _read_any(body, keys).read(schema, reading)
        check_row_limit(len(matrix), reading.row_limit)
        return Read(len(matrix), Table(len(matrix), matrix=matrix))

    return Sent({}, read, flat=False)


def _read_any(body: bytes, keys: Collection[str]) -> Sent:
    given = parse_object(body)
    control = {key: decode_value(given.pop(key)) for key in keys if key in given and _is_control(key, given[key])}
    form = next((name for name in FORMS if name in given and _starts_with(given[name], b"[{")), None)
    if form is None and INSTANCES in given:
        form = INSTANCES

    def read(schema: Schema, reading: Reading) -> Read:
        if form is None:
            record = {name: decode_value(value) for name, value in given.items()}
            return check_rows(schema, [record], reading.row_by_row)
        if RETURN in given:
            raise InvalidRequest('"return" must be a list of methods.')
        if len(given) > 1:
            raise InvalidRequest(f'The body has keys beside "{form}" that are not known here.')
        return _read_form(schema, form, given[form], reading)

    return Sent(control, read, flat=form is None)


#: Control keys that may be names of columns as well -> how their values begin where they are control keys.
BEGINS = {RETURN: b"[", EXACT: b"tf"}


def _is_control(key: str, raw: Raw) -> bool:
    """Whether this is no column of that name: `return` is not where it is a list, `exact` where it is a flag."""
    return key not in BEGINS or _starts_with(raw, BEGINS[key])


def _starts_with(raw: Raw, one_of: bytes) -> bool:
    return bytes(memoryview(raw)[:1]) in one_of


def _read_form(schema: Schema, form: str, raw: Raw, reading: Reading) -> Read:
    table = _read_matrix(schema, raw, reading.row_limit) if form == INSTANCES else None
    if table is not None:
        return Read(table.rows, table)
    if len(memoryview(raw)) > QUICKLY_READ:
        elsewhere(lasting=False)
    rows = FORMS[form](decode_value(raw))
    if not isinstance(rows, list):
        raise InvalidRequest(f'"{form}" must be a list of rows: lists of values, or records.')
    if not rows:
        raise InvalidRequest(f'"{form}" has no rows.')
    check_row_limit(len(rows), reading.row_limit)
    return check_rows(schema, rows, reading.row_by_row)


def _as_they_are(rows: Any) -> Any:
    return rows


def _from_columns(columns: Any) -> Any:
    """Rows of an object with a list for each column; a list is one of rows."""
    if not isinstance(columns, dict):
        return columns
    lists = list(columns.values())
    if not all(isinstance(values, list) for values in lists) or len({len(values) for values in lists}) > 1:
        raise InvalidRequest('"inputs" must have a list for each column, all of the same length.')
    return [dict(zip(columns, values, strict=True)) for values in zip(*lists, strict=True)]


def _from_split(frame: Any) -> Any:
    """Rows of a DataFrame as pandas writes it with orient="split"."""
    if not isinstance(frame, dict) or not isinstance(frame.get("data"), list):
        raise InvalidRequest('"dataframe_split" must have "columns" and "data".')
    names = frame.get("columns")
    if names is None:
        return frame["data"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidRequest('The "columns" of "dataframe_split" must be a list of names.')
    if len(set(names)) < len(names):
        raise InvalidRequest('The "columns" of "dataframe_split" name a column twice.')
    return [_named(names, row) for row in frame["data"]]


def _named(names: list[str], row: Any) -> Any:
    if not isinstance(row, list) or len(row) != len(names):
        return Misshapen(f"expected a list of {len(names)} values, one for each of the columns")
    return dict(zip(names, row, strict=True))


#: Key -> how its value becomes rows.
FORMS: dict[str, Callable[[Any], Any]] = {
    INSTANCES: _as_they_are,
    "inputs": _from_columns,
    "dataframe_split": _from_split,
    "dataframe_records": _as_they_are,
}


def check_row_limit(rows: int, limit: int) -> None:
    """Raises TooManyRows."""
    if rows > limit:
        raise TooManyRows(f"The request has {rows} rows; at most {limit} are taken in one. Send them in parts.")


def _read_matrix(schema: Schema, raw: Raw, row_limit: int) -> Table | None:
    """The short way for numbers; None if they are anything else, for which there are good messages below."""
    if not is_plain(schema):
        return None
    nullable = [column.nullable for column in schema.inputs]
    try:
        rows: list[Any] = (_numbers_or_null if any(nullable) else _numbers).decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if set(map(len, rows)) != {len(nullable)}:
        return None
    check_row_limit(len(rows), row_limit)
    matrix = _matrix_with_gaps(rows) if any(nullable) else _matrix(rows)
    if any(nullable) and np.isnan(matrix[:, ~np.array(nullable)]).any():
        return None
    return Table(len(rows), matrix=matrix)


def is_plain(schema: Schema) -> bool:
    """Whether all columns are of numbers, and any number will do."""
    return not schema.text and all(column.type == "number" and not column.closed for column in schema.inputs)


def _plain_table(schema: Schema, rows: list[list[float]], row_limit: int) -> Table | None:
    if set(map(len, rows)) != {len(schema.inputs)}:
        return None
    check_row_limit(len(rows), row_limit)
    return Table(len(rows), matrix=_matrix(rows))


def _matrix_with_gaps(rows: list[list[float | None]]) -> NDArray[np.float64]:
    return np.array(rows, dtype=np.float64)  # which makes NaN of None


def _matrix(rows: list[list[float]]) -> NDArray[np.float64]:
    """Rows of equal length. To pack the numbers takes half the time of numpy's look at nested lists."""
    count, width = len(rows), len(rows[0])
    if count * width > MOST_PACKED:
        return np.array(rows, dtype=np.float64)
    packed = struct.pack(f"={count * width}d", *chain.from_iterable(rows))
    return np.frombuffer(bytearray(packed)).reshape(count, width)


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
