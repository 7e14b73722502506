"""Content-Digest and Repr-Digest (RFC 9530): checked on what comes in, sent with what goes out."""

import base64
import binascii
import hashlib
import re
from typing import Any

from werkzeug.datastructures import Headers

from wsgi_service.http.problems import Problem

HEADERS = ("Content-Digest", "Repr-Digest")
#: The algorithms that the RFC recommends; others are ignored.
ALGORITHMS = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
MEMBER = re.compile(r"\s*([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/=]*):(?:;[^,]*)?\s*")


class Verification:
    """Digests that a request claims, and what has arrived so far.

    Args:
        headers: of the request.

    Raises:
        Problem: 400 for a header that is not a dictionary of digests.
    """

    def __init__(self, headers: Headers) -> None:
        claims = [claim for name in HEADERS if name in headers for claim in _claims(name, headers[name])]
        self._claims: list[tuple[str, Any, bytes]] = claims

    def update(self, piece: bytes) -> None:
        """Take in the next piece of the body."""
        for _, algorithm, _ in self._claims:
            algorithm.update(piece)

    def finish(self) -> None:
        """Raises a 422 Problem unless the body has the digests that were claimed."""
        for name, algorithm, wanted in self._claims:
            if algorithm.digest() != wanted:
                raise Problem(
                    422,
                    "digest-mismatch",
                    f"The body that arrived does not have the digest in {name}. Send it again.",
                )


def repr_digest(digest: str) -> str:
    """The header's form of a digest like `sha256:…`."""
    raw = bytes.fromhex(digest.removeprefix("sha256:"))
    return f"sha-256=:{base64.b64encode(raw).decode()}:"


def _claims(name: str, header: str) -> list[tuple[str, Any, bytes]]:
    found = []
    for member in header.split(","):
        match = MEMBER.fullmatch(member)
        if match is None:
            raise _malformed(name)
        if match[1] in ALGORITHMS:
            found.append((name, ALGORITHMS[match[1]](), _decoded(name, match[2])))
    return found


def _decoded(name: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise _malformed(name) from None


def _malformed(name: str) -> Problem:
    return Problem(400, "bad-request", f"{name} must be like sha-256=:BASE64: (RFC 9530).")
