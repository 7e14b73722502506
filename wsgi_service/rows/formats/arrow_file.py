"""Parquet and Arrow files in chunks, which are Arrow streams, and answers that are such streams in one file."""

import os
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO

from model_store.errors import MissingExtra
from wsgi_service.errors import MalformedBody
from wsgi_service.rows.chunks import DIFFER, Chunk, ChunksDiffer, Joined

MISSING = 'Parquet and Arrow files need pyarrow: pip install "wsgi-service[arrow]"'


def split_parquet(file: BinaryIO, _names: Collection[str], rows: int) -> Iterator[Chunk]:
    """See `Split`."""
    pa = _library()
    from pyarrow import parquet

    try:
        opened = parquet.ParquetFile(file)
        yield from _batches(file, opened.iter_batches(batch_size=rows), opened.metadata.num_rows)
    except (pa.ArrowException, OSError) as error:
        raise MalformedBody(f"The Parquet file cannot be read: {error}.") from None


def split_arrow(file: BinaryIO, _names: Collection[str], rows: int) -> Iterator[Chunk]:
    """See `Split`: of a file, or of a stream in one."""
    pa = _library()
    is_file = file.read(6) == b"ARROW1"
    file.seek(0)
    try:
        table = pa.ipc.open_file(file).read_all() if is_file else pa.ipc.open_stream(file).read_all()
        yield from _batches(file, table.to_batches(max_chunksize=rows), table.num_rows)
    except (pa.ArrowException, OSError) as error:
        raise MalformedBody(f"The Arrow file cannot be read: {error}.") from None


def _batches(file: BinaryIO, batches: Any, count: int) -> Iterator[Chunk]:
    pa = _library()
    size, first = os.fstat(file.fileno()).st_size, 0
    for batch in batches:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as stream:
            stream.write_batch(batch)
        done = size * (first + batch.num_rows) // max(1, count)
        yield Chunk(body=sink.getvalue().to_pybytes(), first=first, done=done)
        first += batch.num_rows


def _library() -> Any:
    try:
        import pyarrow as pa
    except ImportError:
        raise MissingExtra(MISSING, extra="arrow") from None
    return pa


class JoinedRows(Joined):
    """Answers that are Arrow streams, in a file of another kind.

    Args:
        file: that they go to.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self._writer: Any = None
        self._schema: Any = None

    def _open(self, schema: Any) -> Any:
        """What writes tables to the file."""
        import pyarrow as pa

        return pa.ipc.new_file(self._file, schema)

    def _write(self, answer: bytes, first: bool) -> None:
        import pyarrow as pa

        table = pa.ipc.open_stream(answer).read_all()
        if first:
            self._writer, self._schema = self._open(table.schema), table.schema
        try:
            self._writer.write_table(table.cast(self._schema))
        except (pa.ArrowException, ValueError):
            raise ChunksDiffer(DIFFER) from None

    def finish(self) -> None:
        """See `Joined`."""
        if self._writer is not None:
            self._writer.close()


class JoinedStream(JoinedRows):
    """The same in an Arrow stream."""

    def _open(self, schema: Any) -> Any:
        import pyarrow as pa

        return pa.ipc.new_stream(self._file, schema)


class JoinedParquet(JoinedRows):
    """The same in a Parquet file."""

    def _open(self, schema: Any) -> Any:
        from pyarrow import parquet

        return parquet.ParquetWriter(self._file, schema)
