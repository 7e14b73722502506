"""Answers in CSV: the bytes are those of Python's own writer, made in less time."""

import csv
import io
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgi_service.rows.formats import csv_answer
from wsgi_service.rows.formats.csv_body import text_of

NUMBERS = st.floats()  # one that is not finite may pass through
TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from('",;\t\r\n '), max_size=6)
CELLS = st.none() | NUMBERS | st.integers(-(2**70), 2**70) | st.booleans() | TEXTS | st.lists(NUMBERS, max_size=2)
COLUMNS = st.sampled_from([NUMBERS, st.integers(), st.none() | NUMBERS, TEXTS, CELLS])


@st.composite
def tables(draw: Any) -> dict[str, list[Any]]:
    rows = draw(st.integers(0, 4))
    names = draw(st.lists(TEXTS, min_size=1, max_size=4, unique=True))
    return {name: draw(st.lists(draw(COLUMNS), min_size=rows, max_size=rows)) for name in names}


@given(tables(), st.sampled_from(",\t"))
def test_a_table_is_written_as_python_writes_it(columns: dict[str, list[Any]], delimiter: str) -> None:
    target = io.StringIO(newline="")
    writer = csv.writer(target, delimiter=delimiter)
    writer.writerow(columns)
    writer.writerows(
        ["" if cell is None else text_of(cell) for cell in row] for row in zip(*columns.values(), strict=True)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_answer, "columns_of", lambda _answer, _row_by_row: columns)
        written = csv_answer.write(SimpleNamespace(), row_by_row=False, delimiter=delimiter)  # type: ignore[arg-type]
    assert written.decode() == target.getvalue()
