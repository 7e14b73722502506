"""A CSV body: rows of texts under the names in its first line, or by position where it has none."""

import csv
import io
from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from typing import Any, cast

import msgspec
from msgspec import Struct

from model_store.schema import Schema
from wsgi_service.inputs.cells import BOOLEANS, NUMBER, read_decimal_comma, read_text_cell
from wsgi_service.inputs.csv_numbers import delimiter_of, numbers_of
from wsgi_service.inputs.errors import InvalidRequest, InvalidRows, MalformedBody, RowError
from wsgi_service.inputs.json_body import UTF16, check_row_limit
from wsgi_service.inputs.rows import Misshapen, check_rows
from wsgi_service.inputs.sent import Read, Reading, Sent

#: The columns of outputs, in examples that come as CSV as in answers that go as CSV.
PREDICTION, PROBABILITY = "prediction", "probability_"

# How long bodies may be is decided elsewhere; a document to classify may be longer than the reader's 131,072.
csv.field_size_limit(2**31 - 1)

#: A row by name, or by position.
TextRow = dict[str, str] | list[str]


#: On which line of the body a row begins, counted from 1, and its fields.
NumberedRow = tuple[int, list[str]]


class Lines(Struct, frozen=True):
    """The fields of a CSV body.

    Attributes:
        heading: the names in the first line, None if there are none.
        rows: without the heading; they are read while they are asked for, since they take several times the body.
    """

    heading: list[str] | None
    rows: Iterator[NumberedRow]


def read_sent(body: bytes, control: dict[str, Any]) -> Sent:
    """What a CSV body sends; columns that the version does not have pass through."""

    def read(schema: Schema, reading: Reading) -> Read:
        if reading.decimal == "." and (table := numbers_of(body, schema)) is not None:
            check_row_limit(table.rows, reading.row_limit)
            return Read(table.rows, table)
        return read_table(schema, read_lines(body, frozenset(schema.column_names)), reading)

    return Sent(control, read)


def read_csv(body: bytes, names: Collection[str], also: Sequence[str] = ()) -> list[TextRow]:
    """The rows of a CSV body; see `read_lines`. Raises InvalidRequest if a row is not as long as the heading."""
    lines = read_lines(body, names, also)
    heading = lines.heading
    if heading is None:
        return [row for _, row in lines.rows]
    return [_by_name(heading, index, row) for index, (_, row) in enumerate(lines.rows)]


def read_lines(body: bytes, names: Collection[str], also: Sequence[str] = ()) -> Lines:
    """The rows of a CSV body, and its heading if it has one.

    Args:
        body: in UTF-8 (with or without a byte order mark) or UTF-16 with one; `,`, `;` or tab between fields.
        names: of the columns; a first line with one of them is a heading.
        also: prefixes of further columns that may be there, which make a heading as well.

    Raises:
        MalformedBody: it is not text, or a quote is left open (also later, while the rows are read).
        InvalidRequest: it has no rows, or names a column twice.
    """
    rows = _split(body)
    first = next(rows, None)
    if first is None:
        raise InvalidRequest("The CSV has no rows.")
    if not is_heading(first[1], names, also):
        return Lines(None, chain([first], rows))
    second = next(rows, None)
    if second is None:
        raise InvalidRequest("The CSV has a heading and no rows.")
    heading = [name.strip() for name in first[1]]
    if len(set(heading)) < len(heading):
        raise InvalidRequest("The heading of the CSV names a column twice.")
    return Lines(heading, chain([second], rows))


def read_table(schema: Schema, lines: Lines, reading: Reading) -> Read:
    """The rows held against a schema. Raises InvalidRows, with the lines, and TooManyRows."""
    numbers: list[int] = []
    known = frozenset(schema.column_names)
    others = [(place, name) for place, name in enumerate(lines.heading or ()) if name not in known]
    passing: dict[str, Sequence[str]] = {name: [] for _, name in others}

    def noted() -> Iterator[list[str]]:
        """The rows, while their numbers and the columns that pass through are kept."""
        for number, row in lines.rows:
            numbers.append(number)
            check_row_limit(len(numbers), reading.row_limit)
            for place, name in others:
                cast("list[str]", passing[name]).append(row[place] if place < len(row) else "")
            yield row

    rows: Iterator[Any] = noted()
    cell = read_decimal_comma if reading.decimal == "," else read_text_cell
    try:
        ordered = rows if lines.heading is None else _in_order(schema, rows, lines.heading)
        found = check_rows(schema, ordered, reading.row_by_row, cell)
    except InvalidRows as error:
        raise InvalidRows(_with_lines(error.errors, numbers)) from None
    found.errors, found.passing = _with_lines(found.errors, numbers), passing
    return found


def _in_order(schema: Schema, rows: Iterator[list[str]], heading: list[str]) -> Iterator[Any]:
    """Rows with the columns of the version in their order. Raises InvalidRows if one is missing."""
    place_of = {name: place for place, name in enumerate(heading)}
    missing = [column.name for column in schema.inputs if column.name not in place_of and not column.optional]
    if missing:
        next(rows)  # it is the first row that has the number of a line
        raise InvalidRows([RowError(0, name, "is missing in the heading") for name in missing])
    places = [place_of.get(name) for name in schema.column_names]
    width = len(heading)
    wrong = Misshapen(f"expected {width} fields, as many as in the heading")
    return (
        [None if place is None else row[place] for place in places] if len(row) == width else wrong for row in rows
    )


def _with_lines(errors: list[RowError], numbers: list[int]) -> list[RowError]:
    return [msgspec.structs.replace(error, line=numbers[error.row]) for error in errors]


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


def _split(body: bytes) -> Iterator[NumberedRow]:
    """The rows that are not empty. The text is decoded piece by piece: as a whole it would take several bodies."""
    text = io.TextIOWrapper(io.BytesIO(body), "utf-16" if body.startswith(UTF16) else "utf-8-sig", newline="")
    begin = 1
    try:
        first = next((line for line in text if line.strip("\r\n")), "")
        text.seek(0)
        reader = csv.reader(text, delimiter=delimiter_of(first), strict=True)
        for row in reader:
            if row:
                yield begin, row
            begin = reader.line_num + 1
    except UnicodeDecodeError:
        raise MalformedBody("The CSV is not in UTF-8. In Excel, save it as CSV UTF-8.") from None
    except csv.Error as error:
        raise MalformedBody(f"The CSV cannot be read: {error}.") from None


def is_heading(line: list[str], names: Collection[str], also: Sequence[str] = ()) -> bool:
    """Whether a first line names columns: by a name that is known, or because nothing in it is a value."""
    cells = [cell.strip() for cell in line]
    if any(cell in names or cell.startswith(tuple(also)) for cell in cells):
        return True
    return len(cells) > 1 and not any(
        not cell or NUMBER.fullmatch(cell) or cell.lower() in BOOLEANS for cell in cells
    )


def _by_name(heading: list[str], index: int, line: list[str]) -> dict[str, str]:
    if len(line) != len(heading):
        raise InvalidRequest(f"row {index} of the CSV has {len(line)} fields, its heading {len(heading)}.")
    return dict(zip(heading, line, strict=True))
