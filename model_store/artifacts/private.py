"""Files and folders of the store are their user's alone. On Windows the folder's access list decides, not this."""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

#: What others than the owner might do.
OTHERS = stat.S_IRWXG | stat.S_IRWXO
FILE, FOLDER = 0o600, 0o700


def make_folder(folder: Path) -> None:
    """Make a folder if it is not there, whatever the umask; one that is there stays as it is."""
    folder.mkdir(FOLDER, parents=True, exist_ok=True)


def make_file(path: Path) -> None:
    """Make an empty file if it is not there, for whoever writes to it without a word about its mode."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, FILE))


def open_new(path: str, flags: int) -> int:
    """An `opener` for `open`, for a file that is made."""
    return os.open(path, flags, FILE)


def loose(places: Iterable[Path]) -> Iterator[Path]:
    """Of some places and what lies in them, what others may look at; a folder comes after its contents.

    What lies in a folder that is its owner's alone is not looked at: nobody else gets there. Nor are links.
    """
    if os.name == "nt":
        return
    for place in places:
        try:
            mode = place.lstat().st_mode
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(mode) or not mode & OTHERS:
            continue
        if stat.S_ISDIR(mode):
            yield from loose(sorted(place.iterdir()))
        yield place


def tighten(path: Path) -> None:
    """Take from others what they may do with a file or folder. Raises OSError."""
    path.chmod(stat.S_IMODE(path.lstat().st_mode) & ~OTHERS)
