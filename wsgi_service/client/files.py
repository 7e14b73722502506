"""Files of rows: read in chunks, and written as the answers to chunks come, in the format that their name says."""

import os
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wsgi_service.rows.chunks import Chunk, Joined
from wsgi_service.rows.row_formats import BY_ENDING, CSV, Format

ROWS = 10_000


def format_of(path: Path | None) -> Format | None:
    """The format of a file by its name, CSV for standard output; None if its name says none that is split."""
    found = BY_ENDING.get(path.suffix.lower()) if path else CSV
    return found if found is None or found.split else None


def chunks_of(path: Path, names: Collection[str], rows: int = ROWS) -> Iterator[Chunk]:
    """The rows of a file, as it is named; a CSV otherwise. Raises like `Split`.

    Args:
        path: of the file.
        names: of the version's columns, by which the heading of a CSV is known.
        rows: in each chunk.
    """
    split = (format_of(path) or CSV).split
    assert split is not None  # noqa: S101 - `format_of` has looked
    with path.open("rb") as file:
        yield from split(file, names, rows)


@contextmanager
def opened(path: Path | None) -> Iterator[Joined]:
    """What puts answers together in a file, or on standard output; one that is not finished is not left behind."""
    join = (format_of(path) or CSV).join
    assert join is not None  # noqa: S101 - what is split is put together
    if path is None:
        yield join(sys.stdout.buffer)
        return
    with _beside(path) as file:
        part = Path(file.name)
        try:
            joined = join(file)
            yield joined
            joined.finish()
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
