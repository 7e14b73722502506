"""The formats of rows, one line for each: what reads a body, writes an answer, splits a file and joins answers.

Requests, answers, OpenAPI, the command line and the client know no other list. To add a format: write its modules
in `formats/`, and a line here.
"""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from msgspec import Struct, structs

from wsgi_service.http.budget import Claim
from wsgi_service.rows.answer import Answer
from wsgi_service.rows.chunks import Joined, Split
from wsgi_service.rows.formats import (
    arrow_answer,
    arrow_file,
    columnar_body,
    csv_answer,
    csv_body,
    csv_file,
    json_answer,
    json_body,
    json_file,
    ndjson_answer,
    ndjson_body,
    ndjson_file,
    npy_answer,
    npy_body,
)
from wsgi_service.rows.formats.csv_numbers import TAB
from wsgi_service.rows.unread import Sent

#: From a body, what is said beside it, and what decoding takes, with the keys that may stand in it, to what it
#: sends. Raises MalformedBody, InvalidRequest or TooLargeDecoded.
ReadBody = Callable[[bytes, dict[str, Any], Claim, Collection[str]], Sent]
#: The bytes of an answer; whether there is a column for what was wrong, and whether texts are kept from being
#: formulas. Raises NotAcceptable for an answer that the format cannot hold, and MissingExtra.
WriteAnswer = Callable[[Answer, bool, bool], bytes]


class Format(Struct, frozen=True, kw_only=True):
    """One format.

    Attributes:
        name: in `?format=`.
        media_type: of bodies and answers.
        endings: of files' names.
        read, write: a body, an answer.
        split, join: a file into chunks, answers to one file; None where that is not done.
        chunks: the name of the format of chunks and their answers, if it is another one.
        named: the rows of a body of texts, for examples and comparisons; None where it is not one.
        table: whether an answer is a table of named columns.
        packed: whether a body may become thousands of times as large.
        in_place: whether a body is read where it lies.
    """

    name: str
    media_type: str
    endings: tuple[str, ...]
    read: ReadBody
    write: WriteAnswer
    split: Split | None = None
    join: Callable[[Any], Joined] | None = None
    chunks: str = ""
    named: Callable[..., list[csv_body.TextRow]] | None = None
    table: bool = False
    packed: bool = False
    in_place: bool = False


JSON = Format(
    name="json", media_type="application/json", endings=(".json",),
    read=json_body.read_beside, write=json_answer.write, split=json_file.split, join=json_file.JoinedObjects,
)  # fmt: skip
CSV = Format(
    name="csv", media_type="text/csv", endings=(".csv",), table=True,
    read=csv_body.read_sent, write=csv_answer.write, named=csv_body.read_csv,
    split=csv_file.split, join=csv_file.JoinedTables,
)  # fmt: skip
TSV = Format(
    name="tsv", media_type="text/tab-separated-values", endings=(".tsv", ".tab"), table=True,
    read=partial(csv_body.read_sent, delimiter=TAB), write=partial(csv_answer.write, delimiter=TAB),
    named=partial(csv_body.read_csv, delimiter=TAB), split=csv_file.split_at_tabs, join=csv_file.JoinedAtTabs,
)  # fmt: skip
NDJSON = Format(
    name="ndjson", media_type="application/x-ndjson", endings=(".ndjson", ".jsonl"),
    read=ndjson_body.read_sent, write=ndjson_answer.write, split=ndjson_file.split, join=ndjson_file.JoinedLines,
)  # fmt: skip
NPY = Format(
    name="npy", media_type="application/x-npy", endings=(".npy",), in_place=True,
    read=npy_body.read_sent, write=npy_answer.write,
)  # fmt: skip
PARQUET = Format(
    name="parquet", media_type="application/vnd.apache.parquet", endings=(".parquet",), table=True, packed=True,
    read=columnar_body.read_parquet, write=arrow_answer.write_parquet,
    split=arrow_file.split_parquet, join=arrow_file.JoinedParquet, chunks="arrow",
)  # fmt: skip
ARROW = Format(
    name="arrow", media_type="application/vnd.apache.arrow.stream", endings=(".arrow", ".feather", ".arrows"),
    table=True, packed=True, read=columnar_body.read_arrow, write=arrow_answer.write_arrow,
    split=arrow_file.split_arrow, join=arrow_file.JoinedRows,
)  # fmt: skip
#: The first one is for whoever takes anything.
FORMATS = (JSON, CSV, TSV, NDJSON, NPY, PARQUET, ARROW)
BY_NAME = {format_.name: format_ for format_ in FORMATS}
BY_TYPE = {format_.media_type: format_ for format_ in FORMATS}
BY_ENDING = {ending: format_ for format_ in FORMATS for ending in format_.endings}
BY_ENDING[".arrows"] = structs.replace(ARROW, join=arrow_file.JoinedStream)
#: Those whose rows are texts by name, in which examples and rows to compare come as well.
TEXTS = tuple(format_ for format_ in FORMATS if format_.named)
