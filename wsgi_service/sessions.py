"""Signed cookies for people who gave the server's token to a page, so that a browser can send it along.

Nothing is stored: the cookie says until when it holds, signed with a key that is made of the token.
"""

import hashlib
import hmac
import time

from werkzeug.http import parse_cookie
from werkzeug.wrappers import Response

COOKIE = "wsgi_service_session"
#: Seconds that a session lasts.
LIFETIME = 12 * 3600


def begin(response: Response, token: str, secure: bool) -> None:
    """Let whoever gets this response act as somebody who has the token."""
    until = str(int(time.time()) + LIFETIME)
    value = f"{until}.{_signature(token, until)}"
    response.set_cookie(COOKIE, value, LIFETIME, secure=secure, httponly=True, samesite="Strict")


def end(response: Response) -> None:
    """Forget the session."""
    response.delete_cookie(COOKIE, httponly=True, samesite="Strict")


def holds(cookies: str, token: str) -> bool:
    """Whether a Cookie header has a session of this token that has not ended."""
    try:
        found = parse_cookie(cookies).getlist(COOKIE)
    except UnicodeError:  # what we set is ASCII
        return False
    return any(_is_signed(value, token) for value in found)


def _is_signed(value: str, token: str) -> bool:
    until, _, signature = value.partition(".")
    signed = hmac.compare_digest(signature.encode("utf-8", "replace"), _signature(token, until).encode())
    return signed and int(until) > time.time()


def _signature(token: str, until: str) -> str:
    key = hashlib.sha256(b"session of a page\0" + token.encode()).digest()
    return hmac.new(key, until.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
