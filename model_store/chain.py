"""The chain of a model's history: each event carries the hash of the one before, so that a change shows."""

import hashlib
from collections.abc import Iterable

import msgspec

from model_store.entities import Event

#: What a hash is not of: itself, and the number that the database gave.
LEFT_OUT = frozenset({"hash", "id"})


def hash_of(event: Event) -> str:
    """The hash of an event: SHA-256 over its fields as JSON in UTF-8, keys sorted, without spaces.

    Its id is left out, and so are fields that are null, so that a later release may add some.
    """
    given = {name: value for name, value in msgspec.structs.asdict(event).items() if value is not None}
    fields = {name: value for name, value in given.items() if name not in LEFT_OUT}
    return f"sha256:{hashlib.sha256(msgspec.json.encode(fields, order='sorted')).hexdigest()}"


def first_break(events: Iterable[Event]) -> Event | None:
    """The first event of one model's whole history that does not fit to what is before it; None if all do."""
    previous = None
    for event in events:
        if event.previous != previous or event.hash != hash_of(event):
            return event
        previous = event.hash
    return None
