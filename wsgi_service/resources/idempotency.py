"""Idempotency-Key: an upload that is sent again gets the answer that it had.

Source: the IETF draft `idempotency-key-header`.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from werkzeug.wrappers import Request

from wsgi_service.http.problems import Problem

KEY = re.compile(r"[\x21-\x7e]{1,255}")

#: Models and keys.
_under_way: set[tuple[str, str]] = set()
_lock = threading.Lock()


def idempotency_key(request: Request) -> str | None:
    """The key of a request, with or without the double quotes of the draft. Raises a 400 Problem."""
    given = request.headers.get("Idempotency-Key")
    if given is None:
        return None
    key = given[1:-1] if len(given) > 1 and given[0] == given[-1] == '"' else given
    if not KEY.fullmatch(key):
        raise Problem(400, "bad-request", "Idempotency-Key must have 1 to 255 visible ASCII characters.")
    return key


@contextmanager
def turn(model: str, key: str | None) -> Iterator[None]:
    """The time in which the first upload with a key is under way. Raises a 409 Problem for another one in it."""
    if key is None:
        yield
        return
    upload = (model, key)
    with _lock:
        if upload in _under_way:
            raise Problem(409, "upload-under-way", "An upload with this Idempotency-Key is still under way.")
        _under_way.add(upload)
    try:
        yield
    finally:
        with _lock:
            _under_way.discard(upload)
