"""A JSON body: rows as lists, records, columns or as pandas writes them, or one record, and control keys."""

import codecs
import struct
from collections.abc import Callable, Collection
from functools import lru_cache
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, Raw, Struct, UnsetType
from numpy.typing import NDArray

from model_store.schema import Schema
from wsgi_service.at_once import QUICKLY_READ, elsewhere
from wsgi_service.errors import InvalidRequest
from wsgi_service.http.budget import UNCOUNTED, Claim
from wsgi_service.rows.checking import check_row_limit, check_rows
from wsgi_service.rows.control import EXACT, RETURN, WHO_AND_HOW
from wsgi_service.rows.formats import json_numbers
from wsgi_service.rows.formats.json_forms import FORMS, Elements, malformed, starts_with
from wsgi_service.rows.formats.json_pieces import COMMA, PIECE, decode_value, lists, members, scalar
from wsgi_service.rows.tables import Table
from wsgi_service.rows.unread import INSTANCES, Read, Reading, Sent

#: How bodies begin that are most likely nothing but rows of numbers.
PLAIN = (b'{"instances": [[', b'{"instances":[[')
#: Numbers that are packed; more of them at once would take much memory meanwhile.
MOST_PACKED = 200_000
#: Bytes of a body of plain rows that is read in one go, what a byte of it becomes at most, and what a row has.
PLAINLY_READ, PLAIN_RATIO, PLAIN_ROW = 1 << 20, 32, 8
#: Bytes that a number is on its way into an array, and in the array and its copy.
NUMBER, IN_ARRAYS = 40, 16
#: Bytes of the value of a control key.
MOST_CONTROL = 1 << 16
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
_skip = msgspec.json.Decoder(Raw)
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


def parse_object(
    body: bytes | memoryview, claim: Claim = UNCOUNTED, known: tuple[str, ...] = ()
) -> dict[str, Raw]:
    """The keys of a JSON object with their values unread. Of a key that stands twice, the last one counts.

    Args:
        body: in UTF-8 (with or without a byte order mark) or UTF-16 with one.
        claim: takes what the keys of a large body become.
        known: keys that need not be looked for; a large body that has others has only so many.

    Raises:
        MalformedBody: not JSON, or in another encoding.
        InvalidRequest: JSON, but not an object.
        TooLargeDecoded: an object with too many keys.
    """
    try:
        text = _as_utf8(body)
        if len(text) <= PIECE:
            return _object.decode(text)
        return _outline(text, known) or members(text, claim)
    except msgspec.ValidationError:
        _check_syntax(text)  # beyond its first character it may not be JSON at all
        raise InvalidRequest('The body must be a JSON object, such as {"instances": [[…]]}.') from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(error) from None


def _outline(text: bytes | memoryview, known: tuple[str, ...]) -> dict[str, Raw] | None:
    """The keys of an object that has no others than these; None of any other. Raises DecodeError."""
    try:
        found = _outliner(known).decode(text)
    except msgspec.ValidationError:
        return None
    given = {name: getattr(found, f"key_{place}") for place, name in enumerate(known)}
    return {name: raw for name, raw in given.items() if raw is not UNSET}


@lru_cache(maxsize=16)
def _outliner(known: tuple[str, ...]) -> Any:
    """A decoder of objects with these keys, which keeps nothing of others."""
    fields = [(f"key_{place}", Raw | UnsetType, UNSET) for place in range(len(known))]
    names = {f"key_{place}": name for place, name in enumerate(known)}
    return msgspec.json.Decoder(msgspec.defstruct("Outline", fields, rename=names, forbid_unknown_fields=True))


def _check_syntax(text: bytes | memoryview) -> None:
    """Raises MalformedBody for what is no JSON."""
    try:
        _skip.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise malformed(error) from None


def read_beside(
    body: bytes | memoryview, control: dict[str, Any], claim: Claim = UNCOUNTED, keys: Collection[str] = ()
) -> Sent:
    """What a JSON body sends, with the query's control keys. Raises InvalidRequest if a key is in both."""
    sent = read_sent(body, keys, claim)
    if twice := sent.control.keys() & control.keys():
        raise InvalidRequest(f"{', '.join(sorted(twice))} must be said in one place only.")
    return Sent(control | sent.control, sent.read, sent.flat, sent.claim)


def read_sent(body: bytes | memoryview, keys: Collection[str], claim: Claim = UNCOUNTED) -> Sent:
    """What a JSON body sends: rows in one of FORMS, or one flat record, with control keys beside them.

    Args:
        body: of which nothing is decoded yet.
        keys: that are control keys.
        claim: takes what is decoded.

    Raises:
        MalformedBody, InvalidRequest: it is no JSON object.
        TooLargeDecoded: it would be too large when it is decoded.
    """
    return _read_plain(body, keys, claim) or _read_any(body, keys, claim)


def _read_plain(body: bytes | memoryview, keys: Collection[str], claim: Claim) -> Sent | None:
    """The short way for rows of plain numbers, which are read in one pass; None if there is anything else."""
    if not isinstance(body, bytes) or not body.startswith(PLAIN):
        return None
    if (matrix := json_numbers.read_matrix(body, claim)) is not None:
        return _sent_matrix(body, keys, matrix, claim)
    if len(body) > PIECE and (len(body) > PLAINLY_READ or body.count(b"[") * PLAIN_ROW > len(body)):
        return None
    claim.grow(PLAIN_RATIO * len(body))
    try:
        plain: Any = _plain.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        claim.settle(claim.count - PLAIN_RATIO * len(body))
        return None
    given = {key: value for key in WHO_AND_HOW if (value := getattr(plain, f"key_{key}")) is not UNSET}
    if not all(key in keys and _is_control(key, value) for key, value in given.items()):
        return None

    def read(schema: Schema, reading: Reading) -> Read:
        rows, plain.instances = plain.instances, []  # which take more than the table
        table = _plain_table(schema, rows, reading.row_limit) if is_plain(schema) else None
        return Read(table.rows, table) if table else _read_any(body, keys, claim).read(schema, reading)

    return Sent({key: decode_value(value) for key, value in given.items()}, read, False, claim)


def _sent_matrix(body: bytes, keys: Collection[str], matrix: NDArray[np.float64], claim: Claim) -> Sent:
    """Rows that were read before their schema was known; another schema has them read again."""

    def read(schema: Schema, reading: Reading) -> Read:
        if not is_plain(schema) or matrix.shape[1] != len(schema.inputs):
            return _read_any(body, keys, claim).read(schema, reading)
        check_row_limit(len(matrix), reading.row_limit)
        return Read(len(matrix), Table(len(matrix), matrix=matrix))

    return Sent({}, read, False, claim)


def _read_any(body: bytes | memoryview, keys: Collection[str], claim: Claim = UNCOUNTED) -> Sent:
    given = parse_object(body, claim, (*FORMS, *WHO_AND_HOW))
    control = {key: _control(given.pop(key)) for key in keys if key in given and _is_control(key, given[key])}
    form = next((name for name in FORMS if name in given and starts_with(given[name], b"[{")), None)
    if form is None and INSTANCES in given:
        form = INSTANCES

    def read(schema: Schema, reading: Reading) -> Read:
        if form is None:
            record = {name: scalar(value, claim) for name, value in given.items()}
            return check_rows(schema, [record], reading.row_by_row)
        if RETURN in given:
            raise InvalidRequest('"return" must be a list of methods.')
        if len(given) > 1:
            raise InvalidRequest(f'The body has keys beside "{form}" that are not known here.')
        return _read_form(schema, form, given[form], reading, claim)

    return Sent(control, read, form is None, claim)


def _control(raw: Raw) -> Any:
    """The value of a control key. Raises InvalidRequest or MalformedBody."""
    if len(memoryview(raw)) > MOST_CONTROL:
        raise InvalidRequest("A key that says who answers how has a value that is too long.")
    return decode_value(raw)


#: Control keys that may be names of columns as well -> how their values begin where they are control keys.
BEGINS = {RETURN: b"[", EXACT: b"tf"}


def _is_control(key: str, raw: Raw) -> bool:
    """Whether this is no column of that name: `return` is not where it is a list, `exact` where it is a flag."""
    return key not in BEGINS or starts_with(raw, BEGINS[key])


def _read_form(schema: Schema, form: str, raw: Raw, reading: Reading, claim: Claim) -> Read:
    before = claim.count
    table = _read_matrix(schema, raw, reading.row_limit, claim) if form == INSTANCES else None
    if table is not None:
        return Read(table.rows, table)
    claim.settle(before)
    if len(memoryview(raw)) > QUICKLY_READ:
        elsewhere(lasting=False)
    rows = FORMS[form](raw, Elements(form, reading.row_limit, len(schema.inputs), claim))
    return check_rows(schema, rows, reading.row_by_row, claim=claim)


def _read_matrix(schema: Schema, raw: Raw, row_limit: int, claim: Claim) -> Table | None:
    """The short way for numbers; None if they are anything else, for which there are good messages above."""
    if not is_plain(schema) or not starts_with(raw, b"["):
        return None
    nullable = np.array([column.nullable for column in schema.inputs])
    decoder, make = (_numbers_or_null, _matrix_with_gaps) if nullable.any() else (_numbers, _matrix)
    blocks: list[NDArray[np.float64]] = []
    count = 0
    try:
        for rows in lists(raw, claim, decoder.decode, _large_numbers(decoder, len(nullable), claim)):
            if set(map(len, rows)) != {len(nullable)}:
                return None
            count += len(rows)
            check_row_limit(count, row_limit)
            claim.grow(IN_ARRAYS * len(rows) * len(nullable))
            blocks.append(make(rows))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not blocks:
        return None
    matrix = np.concatenate(blocks) if len(blocks) > 1 else blocks[0]
    if nullable.any() and np.isnan(matrix[:, ~nullable]).any():
        return None
    return Table(len(matrix), matrix=matrix)


def _large_numbers(decoder: Any, width: int, claim: Claim) -> Callable[[Raw], Any]:
    """Decodes a large row of as many numbers as the table is wide; raises DecodeError for any other."""

    def decode(raw: Raw) -> Any:
        row = bytes(raw)
        if row.count(COMMA) != width - 1:
            raise msgspec.DecodeError
        claim.grow(2 * len(row) + NUMBER * width)
        return decoder.decode(b"[%b]" % row)[0]

    return decode


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


def _as_utf8(body: bytes | memoryview) -> bytes | memoryview:
    if bytes(body[:2]) in UTF16:
        return bytes(body).decode("utf-16").encode("utf-8")
    return body[3:] if body[:3] == codecs.BOM_UTF8 else body
