"""What a server keeps in its data folder is its user's alone, also what earlier releases made."""

import logging
from collections.abc import Iterator
from pathlib import Path

from model_store.artifacts import private
from model_store.opening import REGISTRY
from wsgi_service.access.sessions import ENDED, KEY
from wsgi_service.monitoring.prediction_log import FOLDER as PREDICTIONS

log = logging.getLogger(__name__)

FOLDERS = ("blobs", "tmp", PREDICTIONS, ENDED)


def loose(folder: Path) -> Iterator[Path]:
    """What the server keeps in a data folder and others may look at. Raises OSError."""
    files = [path for name in (REGISTRY, KEY) for path in folder.glob(f"{name}*")]
    return private.loose([*files, *(folder / name for name in FOLDERS)])


def tighten(folder: Path) -> None:
    """Take that from them, and say how much it was; whatever cannot be changed is said and stays."""
    count = 0
    try:
        for path in loose(folder):
            private.tighten(path)
            count += 1
    except OSError as error:
        log.warning("the data folder is not its user's alone: %s", error.strerror)
    if count:
        log.info("others could look at %d files and folders in the data folder, and cannot any more", count)
