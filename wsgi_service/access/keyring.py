"""The tokens that there are, from memory: asked at every request, read from the registry when it has changed."""

from collections.abc import Mapping

from model_store.registry import Registry
from model_store.tokens import Token, id_of
from wsgi_service.at_once import elsewhere
from wsgi_service.serving.revision import Revision


class Keyring:
    """A memory of the registry's tokens.

    Args:
        registry: the truth.
        revision: says when to read it anew.
    """

    def __init__(self, registry: Registry, revision: Revision) -> None:
        self._registry = registry
        self._revision = revision
        self._known: tuple[int, Mapping[str, Token]] = (-1, {})

    def __bool__(self) -> bool:
        """Whether there ever was a token: one that was revoked keeps the server from being open to everybody."""
        return bool(self._tokens())

    def find(self, secret: str) -> Token | None:
        """The token with this secret, even if it has ended."""
        token = self.get(id_of(secret) or "")
        return token if token is not None and token.is_secret(secret) else None

    def get(self, identity: str) -> Token | None:
        """The token with this id, even if it has ended."""
        return self._tokens().get(identity)

    def _tokens(self) -> Mapping[str, Token]:
        generation = self._revision.generation()
        known, tokens = self._known
        if known != generation:
            elsewhere(lasting=False)
            tokens = {token.id: token for token in self._registry.tokens()}
            self._known = generation, tokens
        return tokens
