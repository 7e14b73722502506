"""Where the log goes and how its lines look: text for people, or a JSON object in each line for programs."""

import contextlib
import logging
import sys
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import msgspec

from model_store.entities import rfc3339
from wsgi_service.settings import MEGABYTE, Settings

TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
#: A file is begun anew when it is so large; so many older ones are kept.
LARGEST_FILE, OLDER_FILES = 10 * MEGABYTE, 5


class JsonLines(logging.Formatter):
    """Each record as a JSON object: time, level, logger, message, and what the record carries as `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        line: dict[str, Any] = {
            "time": rfc3339(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


class _Lossy(logging.StreamHandler):  # type: ignore[type-arg]
    """Loses lines that cannot be written, without a word where they could not be said either, and counts them."""

    lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        before = self.lost
        super().emit(record)
        if before and self.lost == before:
            self.lost = 0
            words = "%d lines of the log could not be written before this one"
            self.emit(logging.LogRecord(__name__, logging.WARNING, __file__, 0, words, (before,), None))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - theirs
        """See `logging.Handler`: the disk is full, or whoever read the log has gone."""
        if isinstance(sys.exc_info()[1], OSError) or getattr(self.stream, "closed", False):
            self.lost += 1
        else:
            super().handleError(record)


class _LossyFile(_Lossy, RotatingFileHandler):
    """The same in a file, which is opened anew for the next line: what was not written would come before it."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - theirs
        """See `logging.Handler`."""
        super().handleError(record)
        stream, self.stream = self.stream, None
        with contextlib.suppress(OSError):
            if stream is not None:
                stream.close()


def start(settings: Settings, place: int = 0) -> None:
    """Let the log of this process go where the settings say.

    Args:
        settings: log_level, log_format and log_file are used.
        place: which of several server processes this is; each but the first has a file of its own.
    """
    handler = _handler(settings.log_file, place)
    handler.setFormatter(JsonLines() if settings.log_format == "json" else logging.Formatter(TEXT))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(settings.log_level.upper())
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


def _handler(file: str, place: int) -> logging.Handler:
    if file:
        path = file_of(Path(file), place)
        path.parent.mkdir(parents=True, exist_ok=True)
        return _LossyFile(path, "a", LARGEST_FILE, OLDER_FILES, "utf-8", delay=True)
    if sys.stderr is None:  # a Windows service has no console
        return logging.NullHandler()
    return _Lossy()


def file_of(path: Path, place: int) -> Path:
    """The file of one of several processes: no two of them may turn the same one over."""
    return path.with_name(f"{path.stem}.{place}{path.suffix}") if place else path
