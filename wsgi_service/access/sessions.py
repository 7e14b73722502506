"""Signed cookies for people who gave a token to a page, so that a browser can send it along.

A cookie says whose it is and until when it holds, signed with a key in the data folder and with what is known of
the token, so that it ends with the token. Besides the key, only the sessions that were ended early are stored: an
empty file for each, which all processes see, for as long as the session would have lasted.
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

from model_store.artifacts.local import disk_error
from model_store.artifacts.private import FILE, make_folder, open_new
from wsgi_service.at_once import elsewhere

log = logging.getLogger(__name__)

COOKIE = "wsgi_service_session"
#: The file of the key, in the data folder.
KEY = "session.key"
#: Seconds that a session lasts.
LIFETIME = 12 * 3600
KEY_BYTES = 32
#: Sessions of one holder that begin in the same second differ in so many bytes.
SALT_BYTES = 8
#: Seconds that the record of an ended session is kept beyond its time: a clock may go back.
MARGIN = 24 * 3600
#: Records that are kept of one holder; beyond them all sessions of that holder are ended, so that none that was
#: ended is forgotten.
MOST_ENDED = 1_000
#: The folder of the records.
ENDED = "sessions"
#: How a record begins that all sessions of a holder are ended that would last until the time in it.
ALL = "all"


class Sessions:
    """Makes cookies and reads them.

    Args:
        path: the file of the key, which is made when it is first needed. Beside it lie the records of what was
            ended. Neither is in a backup.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ended = path.with_name(ENDED)

    def cookie(self, holder: str, proof: str) -> str:
        """The value for a holder's cookie; `proof` is what must still be so when it is read."""
        claim = f"{holder}.{os.urandom(SALT_BYTES).hex()}.{int(time.time()) + LIFETIME}"
        return f"{claim}.{self._signature(claim, proof)}"

    def holders(self, cookies: str) -> "list[tuple[str, str]]":
        """Who a Cookie header claims to be, each with the value to verify."""
        try:
            found = parse_cookie(cookies).getlist(COOKIE)
        except UnicodeError:  # what we set is ASCII
            return []
        return [(value.partition(".")[0], value) for value in found]

    def verify(self, value: str, proof: str) -> bool:
        """Whether we made this value, for a holder of whom the same is so as then, and it has not ended.

        One that would last for longer than a session does was made when the clock was ahead, and is none.
        """
        claim, _, signature = value.rpartition(".")
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), self._signature(claim, proof).encode()):
            return False
        until = int(claim.rpartition(".")[2])
        return 0 < until - time.time() <= LIFETIME and not self._was_ended(_holder(claim), until, signature)

    def end(self, value: str) -> None:
        """End a session that was verified, in all processes and for good. Raises StorageError."""
        claim, _, signature = value.rpartition(".")
        holder = _holder(claim)
        try:
            make_folder(self._ended)
            (self._ended / _record(holder, int(claim.rpartition(".")[2]), signature)).touch(FILE)
            if sum(1 for _ in self._ended.glob(f"*-{holder}-*")) > MOST_ENDED:
                self._end_all(holder)
        except OSError as error:
            raise disk_error(error) from error

    def sweep(self) -> None:
        """Remove the records of sessions whose time is over. Raises OSError."""
        over = int(time.time()) - MARGIN
        self._forget("*", over)
        for path in self._ended.glob(f"{ALL}-*"):
            if "." not in path.name and _until(path) <= over:  # one with a dot is still being written
                path.unlink(missing_ok=True)

    def _was_ended(self, holder: str, until: int, signature: str) -> bool:
        record = self._ended / _record(holder, until, signature)
        return record.exists() or until <= _until(self._ended / f"{ALL}-{holder}")

    def _end_all(self, holder: str) -> None:
        log.warning("a holder ended more than %d sessions in a day, so all of that holder end", MOST_ENDED)
        until = int(time.time()) + LIFETIME
        write_whole(self._ended / f"{ALL}-{holder}", b"%d" % until)
        self._forget(holder, until)

    def _forget(self, holder: str, until: int) -> None:
        """Remove the records of sessions of a holder (`*`: of all) that would have lasted until then."""
        for path in self._ended.glob(f"[0-9]*-{holder}-*"):
            if int(path.name.partition("-")[0]) <= until:
                path.unlink(missing_ok=True)

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
        write_whole(self._path, os.urandom(KEY_BYTES), instead)


def write_whole(path: Path, content: bytes, instead: bool = True) -> None:
    """Put a whole file in its place, `instead` of one that is there or not; nobody reads a part of one."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    with open(fresh, "xb", opener=open_new) as file:
        file.write(content)
    try:
        if instead:
            fresh.replace(path)
        else:
            os.link(fresh, path)
    except FileExistsError:
        log.debug("another process was first")
    except OSError:  # a file system without links, where the last one stays instead
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _holder(claim: str) -> str:
    """Who a claim is about, as part of a file's name."""
    return hashlib.sha256(claim.partition(".")[0].encode("utf-8", "replace")).hexdigest()[:16]


def _record(holder: str, until: int, signature: str) -> str:
    """The name of the file that says that a session was ended; until when it would last comes first."""
    return f"{until}-{holder}-{signature[:32]}"


def _until(path: Path) -> int:
    """Until when sessions would last that were all ended, as a record says; 0 if there is none."""
    try:
        return int(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return 0


def begin(response: Response, value: str, secure: bool) -> None:
    """Let whoever gets this response act as the holder of this cookie."""
    response.set_cookie(COOKIE, value, LIFETIME, secure=secure, httponly=True, samesite="Strict")


def end(response: Response) -> None:
    """Have the browser forget the session."""
    response.delete_cookie(COOKIE, httponly=True, samesite="Strict")
