"""Tokens: who may do what with which models, and until when. Of the secret itself only a digest is kept."""

import hashlib
import hmac
import re
import secrets
from fnmatch import fnmatchcase
from typing import Literal, get_args

from msgspec import Struct

from model_store.entities import now

#: What a token is for; each includes those before it.
TokenScope = Literal["read", "predict", "write", "admin"]
SCOPES: tuple[TokenScope, ...] = get_args(TokenScope)
ALL_MODELS = "*"
#: Bytes of a secret, and what tells a token from other strings, to whoever looks for secrets in files.
SECRET_BYTES, MARK = 32, "wst"
ID_BYTES = 4
FORM = re.compile(rf"{MARK}_([0-9a-f]{{{2 * ID_BYTES}}})_[A-Za-z0-9_-]{{43}}")
GLOB = re.compile(r"[a-z0-9._*?\[\]!-]{1,64}")
GLOB_RULE = "a model's name, in which * stands for any characters, ? for one, and [abc] for one of these"


class Token(Struct, frozen=True, kw_only=True):
    """What is known of a token.

    Attributes:
        id: what it is called by; it stands in the secret as well, and is no secret.
        name: what its holder is called in the histories.
        digest: SHA-256 of the secret, as hexadecimal digits.
        models: a pattern of the names of the models that there are for it.
        expires_at, revoked_at: RFC 3339; None for never, and not yet.
    """

    id: str
    name: str
    scope: TokenScope
    models: str = ALL_MODELS
    digest: str
    created_at: str = ""
    expires_at: str | None = None
    revoked_at: str | None = None

    def covers(self, model: str) -> bool:
        """Whether there is such a model for its holder."""
        return fnmatchcase(model, self.models)

    def is_secret(self, secret: str) -> bool:
        """Whether this is the secret, found out in a time that says nothing about it."""
        return hmac.compare_digest(_digest(secret), self.digest.encode())

    @property
    def ended(self) -> bool:
        """Whether it was revoked or has expired."""
        return self.revoked_at is not None or (self.expires_at is not None and self.expires_at <= now())


def issue(
    name: str, scope: TokenScope, models: str = ALL_MODELS, expires_at: str | None = None
) -> tuple[Token, str]:
    """A new token and its secret, which nobody can find out afterwards. Without a name, its id is that."""
    identity = secrets.token_hex(ID_BYTES)
    secret = f"{MARK}_{identity}_{secrets.token_urlsafe(SECRET_BYTES)}"
    token = Token(
        id=identity, name=name or identity, scope=scope, models=models, digest=_digest(secret).decode(),
        created_at=now(), expires_at=expires_at,
    )  # fmt: skip
    return token, secret


def id_of(secret: str) -> str | None:
    """The id of the token that a secret claims to be; None if it has not the form of one."""
    match = FORM.fullmatch(secret)
    return match[1] if match else None


def includes(scope: str, needed: str) -> bool:
    """Whether a scope is enough where another one is needed."""
    return SCOPES.index(scope) >= SCOPES.index(needed)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest().encode()
