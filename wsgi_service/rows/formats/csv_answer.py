"""An answer in CSV (RFC 4180), as it is or so that no spreadsheet takes a text for a formula."""

import csv
import io
import re
from typing import Any

from wsgi_service.rows.answer import Answer
from wsgi_service.rows.columns import columns_of
from wsgi_service.rows.formats.csv_body import text_of

#: Where a spreadsheet may see a formula (https://owasp.org/www-community/attacks/CSV_Injection): at the beginning
#: of a text, and behind what ends a cell where another character stands between cells. Wide signs count as well,
#: and so do signs behind what some programs leave out before they look: blanks, NUL and marks of the byte order.
SIGN = r"[ \0\xa0\u200b\ufeff]*[=+\-@\uff0b\uff0d\uff1d\uff20]"
FORMULA = re.compile(rf"^(?=[\t\r\n]|{SIGN})|(?<=[;\t\r\n])(?={SIGN})")
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
    cell = _harmless_cell if spreadsheet else _cell
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(map(cell, columns))
    writer.writerows(map(cell, row) for row in zip(*columns.values(), strict=True))
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    return "" if value is None else text_of(value)


def _harmless_cell(value: Any) -> str:
    """A cell that is no formula; numbers stay, also those that were sent as texts."""
    if not isinstance(value, str) or NUMBER.fullmatch(value.strip(" ")):
        return _cell(value)
    return FORMULA.sub("'", value)
