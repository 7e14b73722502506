"""A CSV body: rows of texts under the names in its first line, or by position where it has none."""

import codecs
import csv
import io
from collections.abc import Collection, Sequence

from wsgi_service.inputs.cells import NUMBER
from wsgi_service.inputs.errors import InvalidRequest, MalformedBody

UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
DELIMITERS = ",;\t"
#: Characters of one field; the csv module's own limit, said here because it is part of what we refuse.
LONGEST_FIELD = 131_072

#: A row by name, or by position.
TextRow = dict[str, str] | list[str]


def read_csv(body: bytes, names: Collection[str], also: Sequence[str] = ()) -> list[TextRow]:
    """The rows of a CSV body.

    Args:
        body: in UTF-8 (with or without a byte order mark) or UTF-16 with one; `,`, `;` or tab between fields.
        names: of the columns; a first line with one of them is a heading.
        also: prefixes of further columns that may be there, which make a heading as well.

    Raises:
        MalformedBody: it is not text, or a quote is left open.
        InvalidRequest: it has no rows, or a row of another length than the heading.
    """
    lines = _lines(_text(body))
    if not lines:
        raise InvalidRequest("The CSV has no rows.")
    if not _is_heading(lines[0], names, also):
        return [list(line) for line in lines]
    if len(lines) == 1:
        raise InvalidRequest("The CSV has a heading and no rows.")
    heading = [name.strip() for name in lines[0]]
    if len(set(heading)) < len(heading):
        raise InvalidRequest("The heading of the CSV names a column twice.")
    return [_by_name(heading, index, line) for index, line in enumerate(lines[1:])]


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


def _lines(text: str) -> list[list[str]]:
    first = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(DELIMITERS, key=first.count)
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        return [row for row in rows if row]
    except csv.Error as error:
        raise MalformedBody(f"The CSV cannot be read: {error}.") from None


def _is_heading(line: list[str], names: Collection[str], also: Sequence[str]) -> bool:
    """Whether a first line names columns: by a name that is known, or because nothing in it is a number."""
    cells = [cell.strip() for cell in line]
    if any(cell in names or cell.startswith(tuple(also)) for cell in cells):
        return True
    return len(cells) > 1 and not any(not cell or NUMBER.fullmatch(cell) for cell in cells)


def _by_name(heading: list[str], index: int, line: list[str]) -> dict[str, str]:
    if len(line) != len(heading):
        raise InvalidRequest(f"row {index} of the CSV has {len(line)} fields, its heading {len(heading)}.")
    return dict(zip(heading, line, strict=True))
