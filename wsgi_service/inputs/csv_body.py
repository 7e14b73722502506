"""A CSV body: rows of texts under the names in its first line, or by position where it has none."""

import csv
import io
from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from model_store.schema import Schema
from wsgi_service.inputs.cells import NUMBER, read_decimal_comma, read_text_cell
from wsgi_service.inputs.errors import InvalidRequest, InvalidRows, MalformedBody, RowError
from wsgi_service.inputs.json_body import UTF16, check_row_limit
from wsgi_service.inputs.rows import Misshapen, check_rows
from wsgi_service.inputs.sent import Read, Reading, Sent
from wsgi_service.serving.tables import Table

DELIMITERS = ",;\t"
#: The columns of outputs, in examples that come as CSV as in answers that go as CSV.
PREDICTION, PROBABILITY = "prediction", "probability_"

#: A row by name, or by position.
TextRow = dict[str, str] | list[str]


class Lines(Struct, frozen=True):
    """The fields of a CSV body.

    Attributes:
        rows: fields of each row, without the heading.
        numbers: on which line of the body each row begins, counted from 1.
        heading: the names in the first line, None if there are none.
    """

    rows: list[list[str]]
    numbers: list[int]
    heading: list[str] | None


def read_sent(body: bytes, control: dict[str, Any]) -> Sent:
    """What a CSV body sends; columns that the version does not have pass through."""

    def read(schema: Schema, reading: Reading) -> Read:
        lines = read_lines(body, frozenset(schema.column_names))
        check_row_limit(len(lines.rows), reading.row_limit)
        try:
            found = _read_table(schema, lines, reading)
        except InvalidRows as error:
            raise InvalidRows(_with_lines(error.errors, lines)) from None
        found.errors = _with_lines(found.errors, lines)
        found.passing = _passing(schema, lines)
        return found

    return Sent(control, read)


def read_csv(body: bytes, names: Collection[str], also: Sequence[str] = ()) -> list[TextRow]:
    """The rows of a CSV body; see `read_lines`. Raises InvalidRequest if a row is not as long as the heading."""
    lines = read_lines(body, names, also)
    if lines.heading is None:
        return [list(row) for row in lines.rows]
    return [_by_name(lines.heading, index, row) for index, row in enumerate(lines.rows)]


def read_lines(body: bytes, names: Collection[str], also: Sequence[str] = ()) -> Lines:
    """The rows of a CSV body, and its heading if it has one.

    Args:
        body: in UTF-8 (with or without a byte order mark) or UTF-16 with one; `,`, `;` or tab between fields.
        names: of the columns; a first line with one of them is a heading.
        also: prefixes of further columns that may be there, which make a heading as well.

    Raises:
        MalformedBody: it is not text, or a quote is left open.
        InvalidRequest: it has no rows, or names a column twice.
    """
    rows, numbers = _split(_text(body))
    if not rows:
        raise InvalidRequest("The CSV has no rows.")
    if not is_heading(rows[0], names, also):
        return Lines(rows, numbers, None)
    if len(rows) == 1:
        raise InvalidRequest("The CSV has a heading and no rows.")
    heading = [name.strip() for name in rows[0]]
    if len(set(heading)) < len(heading):
        raise InvalidRequest("The heading of the CSV names a column twice.")
    return Lines(rows[1:], numbers[1:], heading)


def _read_table(schema: Schema, lines: Lines, reading: Reading) -> Read:
    ordered = lines.rows if lines.heading is None else _in_order(schema, lines.rows, lines.heading)
    table = _read_numbers(schema, ordered, reading)
    if table is not None:
        return Read(len(ordered), table)
    cell = read_decimal_comma if reading.decimal == "," else read_text_cell
    return check_rows(schema, ordered, reading.row_by_row, cell)


def _in_order(schema: Schema, rows: list[list[str]], heading: list[str]) -> list[Any]:
    """Rows with the columns of the version in their order. Raises InvalidRows if one is missing."""
    place_of = {name: place for place, name in enumerate(heading)}
    missing = [column.name for column in schema.inputs if column.name not in place_of and not column.optional]
    if missing:
        raise InvalidRows([RowError(0, name, "is missing in the heading") for name in missing])
    places = [place_of.get(name) for name in schema.column_names]
    width = len(heading)
    wrong = Misshapen(f"expected {width} fields, as many as in the heading")
    if places == list(range(width)):
        return [row if len(row) == width else wrong for row in rows]
    return [
        [None if place is None else row[place] for place in places] if len(row) == width else wrong for row in rows
    ]


def _read_numbers(schema: Schema, rows: list[Any], reading: Reading) -> Table | None:
    """The short way for plain numbers; None if there is anything else, for which the long way has messages."""
    if schema.text or reading.decimal != "." or any(c.type != "number" or c.closed for c in schema.inputs):
        return None
    try:
        matrix = np.array(rows, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    plain = matrix.ndim == 2 and matrix.shape[1] == len(schema.inputs) and np.isfinite(matrix).all()  # noqa: PLR2004
    if not plain or any("_" in field for row in rows for field in row):  # which Python reads as part of a number
        return None
    return Table(len(rows), matrix=matrix)


def _with_lines(errors: list[RowError], lines: Lines) -> list[RowError]:
    return [msgspec.structs.replace(error, line=lines.numbers[error.row]) for error in errors]


def _passing(schema: Schema, lines: Lines) -> dict[str, Sequence[str]]:
    """The columns that the version does not have; of a row that is too short, what there is."""
    known = frozenset(schema.column_names)
    others = [(place, name) for place, name in enumerate(lines.heading or ()) if name not in known]
    return {name: [row[place] if place < len(row) else "" for row in lines.rows] for place, name in others}


def text_of(value: Any) -> str:
    """A value as it stands in a field, or in the name of a column: texts as they are, others as in JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def looks_like_json(body: bytes) -> bool:
    """Whether a body without a media type begins as a JSON object or list does."""
    if body.startswith(UTF16):
        begin = body[: len(body[:200]) // 2 * 2].decode("utf-16", "replace")
    else:
        begin = body[:200].decode("utf-8-sig", "replace")
    return begin.lstrip()[:1] in {"{", "["}


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-16" if body.startswith(UTF16) else "utf-8-sig")
    except UnicodeDecodeError:
        raise MalformedBody("The CSV is not in UTF-8. In Excel, save it as CSV UTF-8.") from None


def _split(text: str) -> tuple[list[list[str]], list[int]]:
    """The fields of each row that is not empty, and the line on which it begins."""
    first = text.lstrip("\r\n").partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(first), strict=True)
    rows: list[list[str]] = []
    numbers: list[int] = []
    begin = 1
    try:
        for row in reader:
            if row:
                rows.append(row)
                numbers.append(begin)
            begin = reader.line_num + 1
    except csv.Error as error:
        raise MalformedBody(f"The CSV cannot be read: {error}.") from None
    return rows, numbers


def delimiter_of(line: str) -> str:
    """What stands between the fields of a line."""
    return max(DELIMITERS, key=line.count)


def is_heading(line: list[str], names: Collection[str], also: Sequence[str] = ()) -> bool:
    """Whether a first line names columns: by a name that is known, or because nothing in it is a number."""
    cells = [cell.strip() for cell in line]
    if any(cell in names or cell.startswith(tuple(also)) for cell in cells):
        return True
    return len(cells) > 1 and not any(not cell or NUMBER.fullmatch(cell) for cell in cells)


def _by_name(heading: list[str], index: int, line: list[str]) -> dict[str, str]:
    if len(line) != len(heading):
        raise InvalidRequest(f"row {index} of the CSV has {len(line)} fields, its heading {len(heading)}.")
    return dict(zip(heading, line, strict=True))
