"""What a version answered, as a page shows it: one row with its probabilities, or a table."""

import base64
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from msgspec import UNSET, Struct

from model_store.proof.examples import PROBABILITIES
from wsgi_service.rows.answer import PREDICT, Answer
from wsgi_service.rows.columns import columns_of
from wsgi_service.rows.formats import csv_answer
from wsgi_service.rows.formats.csv_body import text_of

#: Rows of a table that a page shows, and bytes of it that it carries for the download.
MOST_ROWS = 100
LARGEST_DOWNLOAD = 1 << 20
#: Classes whose probabilities are shown, the most probable first.
MOST_BARS = 20


class Bar(Struct, frozen=True):
    """The probability of a class, from 0 to 1."""

    label: str
    share: float


class Outcome(Struct, frozen=True, kw_only=True):
    """The answer for one row.

    Attributes:
        headline: the prediction in words.
        outputs: name -> text, where there is more than one.
        bars: of the probabilities.
        warnings: what else is worth knowing.
    """

    headline: str
    outputs: dict[str, str]
    bars: list[Bar]
    finite: bool


class Table(Struct, frozen=True, kw_only=True):
    """The answer for many rows.

    Attributes:
        heading: names of the columns.
        rows: the first MOST_ROWS.
        count: how many there are.
        wrong: how many of them were wrong.
        download: all of them as CSV, in a data URL; None if that is too long.
    """

    heading: list[str]
    rows: list[list[str]]
    count: int
    wrong: int
    download: str | None


def methods_shown(methods: Sequence[str], usual: str) -> list[str]:
    """The methods whose outputs a page shows."""
    shown = [usual, *(name for name in (PROBABILITIES, "predict_std") if name in methods)]
    return list(dict.fromkeys(shown))


def outcome_of(answer: Answer) -> Outcome:
    """The answer for the only row."""
    columns = {
        name: _text(values[0]) for name, values in columns_of(_without_probabilities(answer), False).items()
    }
    headline = next(iter(columns.values())) if PREDICT in answer.outputs and len(columns) == 1 else ""
    return Outcome(
        headline=headline, outputs={} if headline else columns, bars=_bars(answer), finite=answer.finite
    )


def table_of(answer: Answer) -> Table:
    """The answer for all rows."""
    columns = columns_of(answer, row_by_row=True)
    shown = [values[:MOST_ROWS] for values in columns.values()]
    return Table(
        heading=list(columns),
        rows=[[_text(value) for value in row] for row in zip(*shown, strict=True)],
        count=answer.rows,
        wrong=len(answer.first_errors),
        download=_download(answer),
    )


def _download(answer: Answer) -> str | None:
    content = csv_answer.write(answer, row_by_row=True)
    if len(content) > LARGEST_DOWNLOAD:
        return None
    return f"data:text/csv;base64,{base64.b64encode(content).decode()}"


def _bars(answer: Answer) -> list[Bar]:
    """The probabilities of a single output with classes, the largest first."""
    classes = answer.version.schema.classes
    row = answer.outputs.get(PROBABILITIES, [None])[0]
    if classes is UNSET or row is None or isinstance(row[0], list):
        return []
    labels = classes if answer.version.class_names is UNSET else answer.version.class_names
    bars = [Bar(text_of(label), share) for label, share in zip(labels, row, strict=True) if share is not None]
    return sorted(bars, key=lambda bar: -bar.share)[:MOST_BARS]


def _without_probabilities(answer: Answer) -> Answer:
    """The same answer, without what is shown as bars."""
    if not _bars(answer) or len(answer.outputs) == 1:
        return answer
    results = {method: result for method, result in answer.results.items() if method != PROBABILITIES}
    return replace(answer, results=results)


def _text(value: Any) -> str:
    return "" if value is None else text_of(value)
