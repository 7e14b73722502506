"""Where the answers to chunks go: one file, in the format that its name says, which is there when it is whole."""

import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

#: How the name of a file ends -> the format in which answers are asked for.
FORMATS = {
    ".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson", ".json": "json",
    ".parquet": "arrow", ".arrow": "arrow", ".feather": "arrow",
}  # fmt: skip


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

    @abstractmethod
    def _write(self, answer: bytes, first: bool) -> None: ...

    def finish(self) -> None:
        """There are no further chunks."""
        self._file.flush()


class _Lines(Sink):
    def _write(self, answer: bytes, first: bool) -> None:  # noqa: ARG002
        self._file.write(answer)


class _Csv(Sink):
    def _write(self, answer: bytes, first: bool) -> None:
        self._file.write(answer if first else answer.partition(b"\r\n")[2])


class _Json(Sink):
    """One object as a single answer would be, with the predictions and errors of all chunks."""

    _rows = 0

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self._errors: list[dict[str, Any]] = []

    def _write(self, answer: bytes, first: bool) -> None:
        said: dict[str, Any] = json.loads(answer)
        if first:
            head = {key: said[key] for key in ("model", "version", "digest", "method") if key in said}
            self._file.write(json.dumps(head)[:-1].encode() + b', "predictions": [')
        entries = json.dumps(said["predictions"])[1:-1]
        self._file.write((b"" if first else b", ") + entries.encode())
        self._errors += [{**error, "row": error["row"] + self._rows} for error in said.get("errors", [])]
        self._rows += len(said["predictions"])

    def finish(self) -> None:
        errors = f', "errors": {json.dumps(self._errors)}' if self._errors else ""
        self._file.write(f"]{errors}}}\n".encode() if self._begun else b"{}\n")


class _Parquet(Sink):
    _writer: Any = None

    def _write(self, answer: bytes, first: bool) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        table = pa.ipc.open_stream(answer).read_all()
        if first:
            self._writer = parquet.ParquetWriter(self._file, table.schema)
        self._writer.write_table(table.cast(self._writer.schema))

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
        self._writer.write_table(table.cast(self._schema))

    def finish(self) -> None:
        if self._writer is not None:
            self._writer.close()


SINKS: dict[str, type[Sink]] = {
    ".ndjson": _Lines, ".jsonl": _Lines, ".json": _Json,
    ".parquet": _Parquet, ".arrow": _Arrow, ".feather": _Arrow,
}  # fmt: skip


def format_of(path: Path | None) -> str:
    """The format in which answers are asked for, so that they can go to a file of this name."""
    return FORMATS.get(path.suffix.lower(), "csv") if path else "csv"


@contextmanager
def opened(path: Path | None) -> Iterator[Sink]:
    """A sink for a file, or for standard output; a file that is not finished is not left behind."""
    if path is None:
        yield _Csv(sys.stdout.buffer)
        sys.stdout.flush()
        return
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            sink = SINKS.get(path.suffix.lower(), _Csv)(file)
            yield sink
            sink.finish()
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
