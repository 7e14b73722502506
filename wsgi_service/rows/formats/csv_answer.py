"""An answer in CSV (RFC 4180), as it is or so that no spreadsheet takes a text for a formula."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from wsgi_service.rows.answer import Answer
from wsgi_service.rows.columns import columns_of
from wsgi_service.rows.formats.csv_body import text_of

#: Where a spreadsheet may see a formula (https://owasp.org/www-community/attacks/CSV_Injection): at the beginning
#: of a text, and behind what ends a cell where another character stands between cells. Wide signs count as well,
#: and so do signs behind what some programs leave out before they look: blanks, NUL and marks of the byte order.
SIGN = r"[ \0\xa0\u200b\ufeff]*[=+\-@\uff0b\uff0d\uff1d\uff20]"
FORMULAS = {
    ",": re.compile(rf"^(?=[\t\r\n]|{SIGN})|(?<=[;\t\r\n])(?={SIGN})"),
    "\t": re.compile(rf"^(?=[\t\r\n]|{SIGN})|(?<=[,;\t\r\n])(?={SIGN})"),
}
#: What JSON writes without a comma.
NUMBERS = {float, int, bool, None.__class__}
NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?([eE][+-]?[0-9]+)?")


def write(answer: Answer, row_by_row: bool, spreadsheet: bool = False, delimiter: str = ",") -> bytes:
    """The lines of an answer, in UTF-8 with CRLF; see `columns_of` for its columns.

    Args:
        answer: what to write.
        row_by_row: whether there is a column for what was wrong.
        spreadsheet: whether texts that a spreadsheet would take for formulas get an apostrophe.
        delimiter: between fields.
    """
    columns = columns_of(answer, row_by_row)
    special = re.compile(f'[{delimiter}"\r\n]')
    cell = partial(_harmless_cell, formula=FORMULAS[delimiter]) if spreadsheet else _cell
    heading = _fields(list(columns), special, cell)
    rows = zip(*(_fields(values, special, cell) for values in columns.values()), strict=True)
    lines = list(map(delimiter.join, (heading, *rows)))
    if len(columns) == 1:
        lines = [line or '""' for line in lines]  # an empty line would be none
    return "\r\n".join((*lines, "")).encode()


def _fields(values: Sequence[Any], special: re.Pattern[str], cell: Callable[[Any], str]) -> list[str]:
    """A column as it stands between delimiters. Numbers become texts all at once, in a fraction of the time."""
    kinds = set(map(type, values))
    if kinds and kinds <= NUMBERS:
        texts = msgspec.json.encode(list(values))[1:-1].decode().split(",")
        if None.__class__ not in kinds:
            return texts
        return ["" if value is None else text for value, text in zip(values, texts, strict=True)]
    return ['"' + text.replace('"', '""') + '"' if special.search(text) else text for text in map(cell, values)]


def _cell(value: Any) -> str:
    return "" if value is None else text_of(value)


def _harmless_cell(value: Any, formula: re.Pattern[str]) -> str:
    """A cell that is no formula; numbers stay, also those that were sent as texts."""
    if not isinstance(value, str) or NUMBER.fullmatch(value.strip(" ")):
        return _cell(value)
    return formula.sub("'", value)
