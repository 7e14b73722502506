"""Signed cookies for people who gave a token to a page, so that a browser can send it along.

Nothing is stored but a key in the data folder. A cookie says whose it is and until when it holds, signed with that
key and with what is known of the token, so that it ends with the token.
"""

import hashlib
import hmac
import logging
import os
import time
from functools import cached_property
from pathlib import Path

from werkzeug.http import parse_cookie
from werkzeug.wrappers import Response

from wsgi_service.at_once import elsewhere

log = logging.getLogger(__name__)

COOKIE = "wsgi_service_session"
#: Seconds that a session lasts.
LIFETIME = 12 * 3600
KEY_BYTES = 32


class Sessions:
    """Makes cookies and reads them.

    Args:
        path: the file of the key, which is made when it is first needed. It is in no backup.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def cookie(self, holder: str, proof: str) -> str:
        """The value for a holder's cookie; `proof` is what must still be so when it is read."""
        claim = f"{holder}.{int(time.time()) + LIFETIME}"
        return f"{claim}.{self._signature(claim, proof)}"

    def holders(self, cookies: str) -> "list[tuple[str, str]]":
        """Who a Cookie header claims to be, each with the value to verify."""
        try:
            found = parse_cookie(cookies).getlist(COOKIE)
        except UnicodeError:  # what we set is ASCII
            return []
        return [(value.partition(".")[0], value) for value in found]

    def verify(self, value: str, proof: str) -> bool:
        """Whether we made this value, for a holder of whom the same is so as then, and it has not ended."""
        claim, _, signature = value.rpartition(".")
        signed = hmac.compare_digest(signature.encode("utf-8", "replace"), self._signature(claim, proof).encode())
        return signed and int(claim.rpartition(".")[2]) > time.time()

    def _signature(self, claim: str, proof: str) -> str:
        key = hashlib.sha256(b"session of a page\0" + self._key + proof.encode()).digest()
        return hmac.new(key, claim.encode("utf-8", "replace"), hashlib.sha256).hexdigest()

    @cached_property
    def _key(self) -> bytes:
        elsewhere(lasting=False)
        key = self._read_key()
        while key is None or len(key) != KEY_BYTES:  # a full disk may have left a part of one
            self._make_key(instead=key is not None)
            key = self._read_key()
        return key

    def _read_key(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None

    def _make_key(self, instead: bool) -> None:
        """Put a whole key in its place, so that nobody reads a part of one; the first that is there stays."""
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(os.urandom(KEY_BYTES))
        try:
            if instead:
                fresh.replace(self._path)
            else:
                os.link(fresh, self._path)
        except FileExistsError:
            log.debug("another process was first")
        except OSError:  # a file system without links, where the last one stays instead
            fresh.replace(self._path)
        finally:
            fresh.unlink(missing_ok=True)


def begin(response: Response, value: str, secure: bool) -> None:
    """Let whoever gets this response act as the holder of this cookie."""
    response.set_cookie(COOKIE, value, LIFETIME, secure=secure, httponly=True, samesite="Strict")


def end(response: Response) -> None:
    """Forget the session."""
    response.delete_cookie(COOKIE, httponly=True, samesite="Strict")
