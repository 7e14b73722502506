"""Who may ask: the Host allow-list, requests from other sites, and bearer tokens or a session in their place.

One object decides for every request. The server's parser asks it as soon as the headers are there, so that nothing
of a refused body is stored; dispatch asks it again, because other WSGI servers have no such parser.
"""

import hmac
import logging
import re
from collections.abc import Iterator

from werkzeug.datastructures import Headers

from model_store.tokens import Token, includes
from wsgi_service.access.attempts import Attempts
from wsgi_service.access.grants import NOBODY, OWNER, Grant
from wsgi_service.access.keyring import Keyring
from wsgi_service.access.sessions import Sessions
from wsgi_service.http.problems import Problem
from wsgi_service.routes import Route, Scope
from wsgi_service.settings import Settings, is_loopback

log = logging.getLogger(__name__)

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
#: Hosts that are remembered.
MOST_KNOWN = 100
NOT_OPEN = frozenset(Scope) - {Scope.OPEN}
REALM = 'Bearer realm="wsgi-service"'
WHAT_IS_NEEDED = (
    'This needs a token of this server. With curl, add: -H "Authorization: Bearer $WSGI_SERVICE_TOKEN". '
    "Its operator can make one: wsgi-service token create"
)


class Exposure:
    """Decides from the headers alone whether a request may go on.

    Args:
        settings: listen, allowed_hosts, token and token_for_reads are used.
        keyring: the tokens in the registry. As soon as there is one, everything but `OPEN` needs a token.
        sessions: cookies in the place of tokens.
    """

    def __init__(self, settings: Settings, keyring: Keyring, sessions: Sessions) -> None:
        self._hosts = _allowed_hosts(settings)
        #: Hosts that were found to be well-formed and ours.
        self._known: set[str] = set()
        self._token = settings.token
        self._keyring = keyring
        self._sessions = sessions
        self._attempts = Attempts()
        asked = {Scope.READ, Scope.PREDICT} if settings.token_for_reads else set()
        self._simply = frozenset({Scope.WRITE, Scope.ADMIN} | asked if self._token else ())

    def secured(self) -> frozenset[Scope]:
        """What a token is needed for."""
        return NOT_OPEN if self._keyring else self._simply

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

    def authenticate(self, route: Route, headers: Headers, address: str) -> Grant:
        """Who asks, and what they may.

        Args:
            route: what for.
            headers: of the request.
            address: where it came from.

        Raises:
            Problem: 401 without a token that this needs, 403 if its scope is too narrow, 429 for an address that
                has tried too many.
        """
        if route.scope is Scope.OPEN or route.scope not in self.secured():
            return NOBODY
        grant = self._grant_of(headers, address)
        if grant is None:
            raise Problem(401, "unauthorized", WHAT_IS_NEEDED, {"WWW-Authenticate": REALM})
        if not includes(grant.scope, route.scope.value):
            raise Problem(
                403,
                "insufficient-scope",
                f"This needs a token with the scope '{route.scope.value}'; this one has '{grant.scope}'.",
                {"WWW-Authenticate": f'{REALM}, error="insufficient_scope", scope="{route.scope.value}"'},
            )
        return grant

    def log_in(self, secret: str, address: str) -> str | None:
        """The cookie for whoever has a token, None for one that is none of ours. Raises Problem like above."""
        grant = self._holder(secret, address)
        if grant is None:
            return None
        return self._sessions.cookie(*_holder_and_proof(grant, self._token))

    def log_out(self, cookies: str) -> None:
        """End the sessions that a Cookie header has, and no others of their holders. Raises StorageError."""
        for grant, value in self._sessions_in(cookies):
            log.info("a session of %s was ended", grant.actor)
            self._sessions.end(value)

    def _grant_of(self, headers: Headers, address: str) -> Grant | None:
        scheme, _, secret = headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._holder(secret, address)
        return None if scheme else self._session(headers.get("Cookie", ""))

    def _holder(self, secret: str, address: str) -> Grant | None:
        """Whose token this is; None if it is nobody's, which is held against the address."""
        self._attempts.check(address)
        grant = self._owner(secret) or self._token_holder(secret)
        if grant is None:
            self._attempts.failed(address)
            log.warning("%s gave a token that is none of this server's, or has ended", address)
        else:
            self._attempts.succeeded(address)
        return grant

    def _owner(self, secret: str) -> Grant | None:
        given, own = secret.encode("utf-8", "surrogateescape"), self._token.encode()
        return OWNER if own and hmac.compare_digest(given, own) else None

    def _token_holder(self, secret: str) -> Grant | None:
        return _grant(self._keyring.find(secret))

    def _session(self, cookies: str) -> Grant | None:
        return next((grant for grant, _ in self._sessions_in(cookies)), None)

    def _sessions_in(self, cookies: str) -> Iterator[tuple[Grant, str]]:
        """Who has the sessions of a Cookie header that hold, each with its cookie."""
        for holder, value in self._sessions.holders(cookies):
            token = self._keyring.get(holder)
            grant = OWNER if self._token and holder == OWNER.actor else _grant(token)
            if grant is not None and self._sessions.verify(value, _holder_and_proof(grant, self._token)[1]):
                yield grant, value

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


def _grant(token: Token | None) -> Grant | None:
    """What a token gives; nothing if it has ended."""
    return Grant(token.name, token.scope, token) if token is not None and not token.ended else None


def _holder_and_proof(grant: Grant, own: str) -> tuple[str, str]:
    """Who a session is of, and what makes it end if that changes."""
    return (grant.token.id, grant.token.digest) if grant.token is not None else (grant.actor, own)
