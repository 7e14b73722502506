"""What whoever asks may do, as it goes along with a request: which models there are for them."""

from msgspec import Struct
from werkzeug.wrappers import Request

from model_store.errors import ModelNotFound
from model_store.tokens import ALL_MODELS, Token
from wsgi_service.http.problems import Problem

#: Where dispatch leaves the grant in the WSGI environment, if it is not for all models.
GRANT = "wsgi_service.grant"
ANONYMOUS = "anonymous"
TOKEN_HOLDER = "token"  # noqa: S105 - a name, not a secret


class Grant(Struct, frozen=True):
    """Who asks, and what they may.

    Attributes:
        actor: what they are called in histories and logs.
        scope: of their token; see `model_store.tokens`.
        token: theirs, if it is not the server's own.
    """

    actor: str
    scope: str
    token: Token | None = None

    @property
    def restricted(self) -> bool:
        """Whether there are models that are none for them."""
        return self.token is not None and self.token.models != ALL_MODELS


#: Whoever needs no token: everything that a server without tokens lets do.
NOBODY = Grant(ANONYMOUS, "admin")
#: Whoever has the token that the server was started with.
OWNER = Grant(TOKEN_HOLDER, "admin")


def is_restricted(request: Request) -> bool:
    """Whether there are models that are none for whoever asks."""
    return GRANT in request.environ


def sees(request: Request, model: str) -> bool:
    """Whether there is such a model for whoever asks."""
    grant = request.environ.get(GRANT)
    return grant is None or grant.token.covers(model)


def check_model(request: Request, model: str) -> None:
    """Raises ModelNotFound for a model that is none for whoever asks, in the words for one that is not there."""
    if not sees(request, model):
        raise ModelNotFound.named(model)


def check_new_model(request: Request, model: str) -> None:
    """Raises a 403 Problem if whoever asks could not see the model that they are about to make."""
    if not sees(request, model):
        raise Problem(403, "outside-token", "The token is not for models of that name.")


def check_unrestricted(request: Request) -> None:
    """Raises a 403 Problem if there are models that are none for whoever asks."""
    if is_restricted(request):
        raise Problem(403, "outside-token", "This needs a token for all models.")
