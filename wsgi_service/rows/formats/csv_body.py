"""A CSV body: rows of texts under the names in its first line, or by position where it has none."""

import csv
import io
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, cast

import msgspec
import numpy as np
from msgspec import Struct

from model_store.schema import Schema
from wsgi_service.errors import InvalidRequest, InvalidRows, MalformedBody, RowError, TooLargeDecoded, TooManyRows
from wsgi_service.http.budget import UNCOUNTED, Claim
from wsgi_service.rows.cells import BOOLEANS, NUMBER, read_decimal_comma, read_text_cell
from wsgi_service.rows.checking import PLACES, Misshapen, check_row_limit, check_rows
from wsgi_service.rows.formats.csv_numbers import LINE_END, delimiter_of, numbers_of
from wsgi_service.rows.formats.json_body import UTF16
from wsgi_service.rows.formats.json_pieces import MOST_NAMES
from wsgi_service.rows.unread import Read, Reading, Sent

#: The columns of outputs, in examples that come as CSV as in answers that go as CSV.
PREDICTION, PROBABILITY = "prediction", "probability_"

# How long bodies may be is decided elsewhere; a document to classify may be longer than the reader's 131,072.
csv.field_size_limit(2**31 - 1)

#: Characters of a row that nobody counts; then what a byte becomes at most as part of a long line, a character as
#: part of a long row, and a field of one.
USUAL_ROW, LINE_RATIO, FIELD_RATIO, FIELD = 1 << 16, 6, 12, 60
#: Bytes that a row takes beside its values, and after how many what passes through is counted.
ROW, COUNTED_AT_ONCE = 400, 1 << 16
#: Bytes that are searched for ends of lines at a time.
SEARCHED = 1 << 20

EMPTY_LINES = "The CSV has more than {} empty lines. Send rows only."

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


def read_sent(
    body: bytes,
    control: dict[str, Any],
    claim: Claim = UNCOUNTED,
    _keys: Collection[str] = (),
    delimiter: str = "",
) -> Sent:
    """What a CSV body sends; columns that the version does not have pass through.

    What stands between fields is found out if it is not said.
    """

    def read(schema: Schema, reading: Reading) -> Read:
        before = claim.count
        if reading.decimal == ".":
            table = numbers_of(body, schema, reading.row_limit, claim, delimiter)
            if table is not None:
                return Read(table.rows, table)
            claim.settle(before)
        names = frozenset(schema.column_names)
        lines = read_lines(body, names, claim=claim, most=reading.row_limit, delimiter=delimiter)
        return read_table(schema, lines, reading, claim)

    return Sent(control, read, claim=claim)


def read_csv(
    body: bytes, names: Collection[str], also: Sequence[str] = (), claim: Claim = UNCOUNTED, delimiter: str = ""
) -> list[TextRow]:
    """The rows of a CSV body; see `read_lines`. Raises InvalidRequest if a row is not as long as the heading."""
    lines = read_lines(body, names, also, claim, delimiter=delimiter)
    heading = lines.heading
    rows: list[TextRow] = []
    for index, (_, row) in enumerate(lines.rows):
        claim.grow(sum(map(sys.getsizeof, row)) + ROW + 2 * PLACES * len(row))
        rows.append(row if heading is None else _by_name(heading, index, row))
    return rows


def read_lines(
    body: bytes,
    names: Collection[str],
    also: Sequence[str] = (),
    claim: Claim = UNCOUNTED,
    most: int = sys.maxsize,
    delimiter: str = "",
) -> Lines:
    """The rows of a CSV body, and its heading if it has one.

    Args:
        body: in UTF-8 (with or without a byte order mark) or UTF-16 with one; `,`, `;` or tab between fields.
        names: of the columns; a first line with one of them is a heading.
        also: prefixes of further columns that may be there, which make a heading as well.
        claim: takes what rows become that are longer than most.
        most: lines that may be empty.
        delimiter: between fields; found out if it is not said.

    Raises:
        MalformedBody: it is not text, or a quote is left open (also later, while the rows are read).
        InvalidRequest: it has no rows, or names a column twice.
    """
    rows = _split(body, claim, most, delimiter)
    first = next(rows, None)
    if first is None:
        raise InvalidRequest("The CSV has no rows.")
    if not is_heading(first[1], names, also):
        return Lines(None, chain([first], rows))
    second = next(rows, None)
    if second is None:
        raise InvalidRequest("The CSV has a heading and no rows.")
    if len(first[1]) > MOST_NAMES:
        raise TooLargeDecoded(f"The heading of the CSV has more than {MOST_NAMES} names. Send fewer columns.")
    heading = [name.strip() for name in first[1]]
    if len(set(heading)) < len(heading):
        raise InvalidRequest("The heading of the CSV names a column twice.")
    return Lines(heading, chain([second], rows))


def read_table(schema: Schema, lines: Lines, reading: Reading, claim: Claim = UNCOUNTED) -> Read:
    """The rows held against a schema. Raises InvalidRows, with the lines, and TooManyRows."""
    numbers: list[int] = []
    known = frozenset(schema.column_names)
    others = [(place, name) for place, name in enumerate(lines.heading or ()) if name not in known]
    passing: dict[str, Sequence[str]] = {name: [] for _, name in others}

    def noted() -> Iterator[list[str]]:
        """The rows, while their numbers and the columns that pass through are kept."""
        taken = 0
        for number, row in lines.rows:
            numbers.append(number)
            check_row_limit(len(numbers), reading.row_limit)
            for place, name in others:
                value = row[place] if place < len(row) else ""
                taken += sys.getsizeof(value) + PLACES
                cast("list[str]", passing[name]).append(value)
            if taken > COUNTED_AT_ONCE:
                claim.grow(taken)
                taken = 0
            yield row

    rows: Iterator[Any] = noted()
    cell = read_decimal_comma if reading.decimal == "," else read_text_cell
    try:
        ordered = rows if lines.heading is None else _in_order(schema, rows, lines.heading)
        found = check_rows(schema, ordered, reading.row_by_row, cell, claim)
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


def _split(body: bytes, claim: Claim, most: int, delimiter: str) -> Iterator[NumberedRow]:
    """The rows that are not empty. The text is decoded piece by piece: as a whole it would take several bodies."""
    begin, empty = 1, 0
    try:
        with claim.briefly(LINE_RATIO * longest_line(body)):
            text = _text(body)
            delimiter = delimiter or delimiter_of(*first_lines(text, most))
            text.seek(0)
            lines = _Counted(text, delimiter, claim)
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            for row in reader:
                if row:
                    yield begin, row
                else:
                    empty += 1
                    if empty > most:
                        raise TooManyRows(EMPTY_LINES.format(most))
                lines.forget()
                begin = reader.line_num + 1
    except UnicodeDecodeError:
        raise MalformedBody("The CSV is not in UTF-8. In Excel, save it as CSV UTF-8.") from None
    except csv.Error as error:
        raise MalformedBody(f"The CSV cannot be read: {error}.") from None


def first_lines(text: Iterable[str], most: int) -> list[str]:
    """The first two lines that are not empty, if there are so many. Raises TooManyRows for too many empty ones."""
    found: list[str] = []
    for number, line in enumerate(text):
        if line.strip("\r\n"):
            found.append(line)
        if len(found) == 2 or (found and number >= most):  # noqa: PLR2004 - empty lines may stand in a quoted text
            break
        if number >= most:
            raise TooManyRows(EMPTY_LINES.format(most))
    return found or [""]


def _text(body: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(body), "utf-16" if body.startswith(UTF16) else "utf-8-sig", newline="")


class _Counted:
    """The lines of a text for who makes rows of them; what a row takes that is longer than most is claimed before.

    Args:
        text: the lines.
        delimiter: between fields.
        claim: takes what a row becomes, until it is forgotten.
    """

    def __init__(self, text: Iterable[str], delimiter: str, claim: Claim) -> None:
        self._lines = iter(text)
        self._delimiter = delimiter
        self._claim = claim
        self._characters = self._taken = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """The next line. Raises TooLargeDecoded or Busy."""
        line = next(self._lines)
        self._characters += len(line)
        if self._characters > USUAL_ROW:
            count = FIELD_RATIO * len(line) + FIELD * line.count(self._delimiter)
            self._claim.grow(count)
            self._taken += count
        return line

    def forget(self) -> None:
        """The row is done with."""
        self._characters = 0
        if self._taken:
            self._claim.settle(self._claim.count - self._taken)
            self._taken = 0


def longest_line(body: bytes) -> int:
    """Bytes of the longest line, if that is longer than most; 0 if none is."""
    longest = begin = place = 0
    while place < len(body):
        ends = np.flatnonzero(np.frombuffer(body[place : place + SEARCHED], dtype=np.uint8) == LINE_END)
        if len(ends):
            longest = max(longest, place + int(ends[0]) - begin, int(np.diff(ends).max(initial=0)))
            begin = place + int(ends[-1])
        place += SEARCHED
    longest = max(longest, len(body) - begin)
    return longest if longest > USUAL_ROW else 0


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
