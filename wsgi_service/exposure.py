"""Who may ask: the Host allow-list, requests from other sites, and the bearer token or a session in its place.

One object decides for every request. The server's parser asks it as soon as the headers are there, so that nothing
of a refused body is stored; dispatch asks it again, because other WSGI servers have no such parser.
"""

import hmac
import re

from werkzeug.datastructures import Headers

from wsgi_service import sessions
from wsgi_service.problems import Problem
from wsgi_service.routes import Route, Scope
from wsgi_service.settings import Settings, is_loopback

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
#: Hosts that are remembered.
MOST_KNOWN = 100
ANONYMOUS = "anonymous"
TOKEN_HOLDER = "token"  # noqa: S105 - a name, not a secret


class Exposure:
    """Decides from the headers alone whether a request may go on.

    Args:
        settings: listen, allowed_hosts, token and token_for_reads are used.
    """

    def __init__(self, settings: Settings) -> None:
        self._hosts = _allowed_hosts(settings)
        #: Hosts that were found to be well-formed and ours.
        self._known: set[str] = set()
        self._token = settings.token.encode()
        wanted = {Scope.WRITE, Scope.READ} if settings.token_for_reads else {Scope.WRITE}
        #: What the token is needed for.
        self.secured = frozenset(wanted if self._token else ())

    def check_host(self, headers: Headers) -> None:
        """Raises a 400 Problem for a Host that is none, and a 421 one for a Host that is not ours."""
        host = headers.get("Host", "")
        if host in self._known:
            return
        match = HOST.fullmatch(host)
        if match is None:
            raise Problem(400, "bad-host", "The request needs exactly one well-formed Host header.")
        if self._hosts is not None and match[1].lower() not in self._hosts:
            raise Problem(
                421,
                "misdirected-request",
                "This server does not answer for that Host. Its operator can allow it: --allowed-hosts",
            )
        if len(self._known) < MOST_KNOWN:
            self._known.add(host)

    def authenticate(self, route: Route, headers: Headers) -> str:
        """Who asks. Raises a 401 Problem if the route needs the token and it was not given."""
        if route.scope not in self.secured:
            return ANONYMOUS
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        given = token.encode("utf-8", "surrogateescape")
        if scheme.lower() == "bearer" and hmac.compare_digest(given, self._token):
            return TOKEN_HOLDER
        if not scheme and sessions.holds(headers.get("Cookie", ""), self._token.decode()):
            return TOKEN_HOLDER
        raise Problem(
            401,
            "unauthorized",
            'This needs the server\'s token. With curl, add: -H "Authorization: Bearer $WSGI_SERVICE_TOKEN"',
            {"WWW-Authenticate": 'Bearer realm="wsgi-service"'},
        )

    def check_origin(self, method: str, headers: Headers) -> None:
        """Raises a 403 Problem for an unsafe request that a page of another site had a browser send."""
        if method in SAFE_METHODS:
            return
        origin = headers.get("Origin")
        foreign = origin is not None and origin.partition("://")[2] != headers.get("Host", "")
        if foreign or headers.get("Sec-Fetch-Site", "").lower() == "cross-site":
            raise Problem(403, "cross-site", "Changes and predicts from pages of other sites are not taken.")


def _allowed_hosts(settings: Settings) -> frozenset[str] | None:
    """The allowed names in lower case; None if any is."""
    names = {name.strip().lower() for name in settings.allowed_hosts.split(",") if name.strip()}
    if "*" in names:
        return None
    host = settings.address[0].lower()
    own = frozenset({f"[{host}]" if ":" in host else host})
    if names:
        return frozenset(names) | own | LOOPBACK_NAMES
    return own | LOOPBACK_NAMES if is_loopback(host) else None
