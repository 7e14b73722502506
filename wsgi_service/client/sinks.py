"""Where the answers to chunks go: one file, in the format that its name says, which is there when it is whole."""

import csv
import io
import json
import os
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

#: How the name of a file ends -> the format in which answers are asked for.
FORMATS = {
    ".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson", ".json": "json",
    ".parquet": "arrow", ".arrow": "arrow", ".feather": "arrow",
}  # fmt: skip


DIFFER = (
    "The answers to two chunks have other columns, since no row of one of them is right. Give a larger --chunk."
)
#: What stands before the predictions in JSON.
HEAD = ("model", "version", "alias", "digest", "method", "classes")


class ChunksDiffer(Exception):
    """The answers to two chunks cannot stand in one table."""


class Sink(ABC):
    """Puts answers to chunks together.

    Args:
        file: that they go to.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._begun = False

    def add(self, answer: bytes) -> None:
        """The answer to the next chunk."""
        self._write(answer, first=not self._begun)
        self._begun = True

    @property
    def empty(self) -> bool:
        """Whether there was no chunk at all."""
        return not self._begun

    @abstractmethod
    def _write(self, answer: bytes, first: bool) -> None: ...

    def finish(self) -> None:
        """There are no further chunks."""
        self._file.flush()


class _Lines(Sink):
    def _write(self, answer: bytes, first: bool) -> None:  # noqa: ARG002
        self._file.write(answer)


class _Csv(Sink):
    _heading = b""

    def _write(self, answer: bytes, first: bool) -> None:
        if first:
            self._heading = _first_line(answer)
        elif not answer.startswith(self._heading):
            raise ChunksDiffer(DIFFER)
        self._file.write(answer if first else answer[len(self._heading) :])


def _first_line(content: bytes) -> bytes:
    """The heading of CSV as it was written; there may be line breaks in its names."""
    text = io.StringIO(newline="")
    csv.writer(text).writerow(next(csv.reader(io.StringIO(content.decode(), newline=""))))
    return text.getvalue().encode()


class _Json(Sink):
    """One object as a single answer would be, with the predictions and errors of all chunks."""

    _rows = 0

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self._errors: list[dict[str, Any]] = []
        self._labels: list[str | None] = []
        self._warnings: dict[str, None] = {}

    def _write(self, answer: bytes, first: bool) -> None:
        said: dict[str, Any] = json.loads(answer)
        if first:
            head = {key: said[key] for key in HEAD if key in said}
            self._file.write(json.dumps(head)[:-1].encode() + b', "predictions": [')
        entries = json.dumps(said["predictions"])[1:-1]
        self._file.write((b"" if first else b", ") + entries.encode())
        self._errors += [{**error, "row": error["row"] + self._rows} for error in said.get("errors", [])]
        self._rows += len(said["predictions"])
        self._labels += said.get("labels", [])
        self._warnings |= dict.fromkeys(said.get("warnings", []))

    def finish(self) -> None:
        tail = {"labels": self._labels, "errors": self._errors, "warnings": list(self._warnings)}
        said = "".join(f', "{key}": {json.dumps(value)}' for key, value in tail.items() if value)
        self._file.write(f"]{said}}}\n".encode())


class _Parquet(Sink):
    _writer: Any = None

    def _write(self, answer: bytes, first: bool) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        table = pa.ipc.open_stream(answer).read_all()
        if first:
            self._writer = parquet.ParquetWriter(self._file, table.schema)
        self._writer.write_table(_like(table, self._writer.schema))

    def finish(self) -> None:
        if self._writer is not None:
            self._writer.close()


class _Arrow(Sink):
    _writer: Any = None

    def _write(self, answer: bytes, first: bool) -> None:
        import pyarrow as pa

        table = pa.ipc.open_stream(answer).read_all()
        if first:
            self._writer = pa.ipc.new_file(self._file, table.schema)
            self._schema = table.schema
        self._writer.write_table(_like(table, self._schema))

    def finish(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _like(table: Any, schema: Any) -> Any:
    """A table with the columns that an earlier one had. Raises ChunksDiffer."""
    import pyarrow as pa

    try:
        return table.cast(schema)
    except (pa.ArrowException, ValueError):
        raise ChunksDiffer(DIFFER) from None


SINKS: dict[str, Callable[[BinaryIO], Sink]] = {
    ".csv": _Csv, ".ndjson": _Lines, ".jsonl": _Lines, ".json": _Json,
    ".parquet": _Parquet, ".arrow": _Arrow, ".feather": _Arrow,
}  # fmt: skip


def format_of(path: Path | None) -> str:
    """The format in which answers are asked for, so that they can go to a file of this name. Raises KeyError."""
    return FORMATS[path.suffix.lower()] if path else "csv"


@contextmanager
def opened(path: Path | None) -> Iterator[Sink]:
    """A sink for a file, or for standard output; a file that is not finished is not left behind."""
    if path is None:
        yield _Csv(sys.stdout.buffer)
        return
    with _beside(path) as file:
        part = Path(file.name)
        try:
            sink = SINKS[path.suffix.lower()](file)
            yield sink
            sink.finish()
        except BaseException:
            file.close()
            part.unlink()
            raise
    part.chmod(0o666 & ~_umask())
    part.replace(path)


def _beside(path: Path) -> Any:
    return tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, suffix=".part", delete=False)


def _umask() -> int:
    """What the rights of new files lack; temporary ones are for their owner alone."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
