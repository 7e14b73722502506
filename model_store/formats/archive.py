"""The zip archives that artifacts come in: plain, bounded, and nothing in them but what their format writes."""

import re
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from model_store.formats.arrays import fault
from model_store.formats.rules import Found, Rule

MAX_ENTRIES = 200_000
#: What an archive may grow to: its own size times RATIO, plus a little for small files.
RATIO = 40
ALLOWANCE = 32 << 20
ENCRYPTED = 0x1
LOCAL_HEADER = 30
#: What reading a damaged archive raises.
DAMAGE = (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, zlib.error)


class Archive:
    """An opened zip archive, as the rules see it.

    Args:
        file: the archive.
        size: its size in bytes.
        names: what the names of its entries must match, wholly.
    """

    def __init__(self, file: zipfile.ZipFile, size: int, names: re.Pattern[str]) -> None:
        self.file = file
        self.size = size
        self.names = names
        self.entries = file.infolist()

    def names_of_entries(self) -> set[str]:
        """The names of all entries."""
        return {entry.filename for entry in self.entries}


def entries_are_few(archive: Archive) -> Iterator[Found]:
    """Millions of empty entries cost time and memory and hold nothing."""
    if len(archive.entries) > MAX_ENTRIES:
        yield Found("", f"The archive has more than {MAX_ENTRIES} entries.")


def entries_are_named_as_the_format_names_them(archive: Archive) -> Iterator[Found]:
    """Names with paths, devices or other files have no use but a bad one."""
    for entry in archive.entries:
        if not archive.names.fullmatch(entry.filename) or entry.orig_filename != entry.filename:
            yield Found("", "The archive has an entry that the format does not write.")


def entries_are_plain(archive: Archive) -> Iterator[Found]:
    """Encryption, links and rare compressions are ways around the other rules."""
    for entry in archive.entries:
        if entry.flag_bits & ENCRYPTED:
            yield Found(entry.filename, "The archive has an encrypted entry.")
        if stat.S_ISLNK(entry.external_attr >> 16):
            yield Found(entry.filename, "The archive has an entry that is a link.")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            yield Found(entry.filename, "The archive uses a compression other than deflate.")


def entries_are_unique(archive: Archive) -> Iterator[Found]:
    """Of two entries with one name, two readers may choose different ones."""
    counts = Counter(entry.filename for entry in archive.entries)
    for name, count in counts.items():
        if count > 1:
            yield Found(name, "The archive has two entries of one name.")


def entries_do_not_overlap(archive: Archive) -> Iterator[Found]:
    """Overlapping entries unpack the same bytes again, and data before them makes a file two things at once."""
    ordered = sorted(archive.entries, key=lambda entry: entry.header_offset)
    if ordered and ordered[0].header_offset != 0:
        yield Found("", "The archive has other data before its entries.")
    for entry, following in pairwise(ordered):
        if following.header_offset < entry.header_offset + _least_length(entry):
            yield Found(following.filename, "The archive's entries overlap.")


def unpacked_size_is_bounded(archive: Archive) -> Iterator[Found]:
    """A bomb claims, or turns out, to be thousands of times its size."""
    if sum(entry.file_size for entry in archive.entries) > archive.size * RATIO + ALLOWANCE:
        yield Found("", "The archive claims to unpack to many times its size, as a zip bomb does.")


def arrays_are_plain(archive: Archive) -> Iterator[Found]:
    """What a header claims is allocated, and arrays of objects are unpickled."""
    for entry in archive.entries:
        with archive.file.open(entry) as opened:
            if wrong := fault(opened, entry.file_size):
                yield Found(entry.filename, wrong)


def _least_length(entry: zipfile.ZipInfo) -> int:
    return LOCAL_HEADER + len(entry.filename) + entry.compress_size


#: In their order, for each archive and for each archive in an archive.
RULES = (
    Rule(entries_are_few),
    Rule(entries_are_named_as_the_format_names_them),
    Rule(entries_are_plain),
    Rule(entries_are_unique),
    Rule(entries_do_not_overlap),
    Rule(unpacked_size_is_bounded),
)
#: For archives that hold nothing but arrays.
ARRAY_RULES = (*RULES, Rule(arrays_are_plain))
