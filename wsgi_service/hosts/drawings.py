"""Pictures of how well a version answers are drawn in the host that never has a model."""

from collections.abc import Sequence

from model_store.proof.quality import Quality
from wsgi_service.hosts import frames
from wsgi_service.hosts.limits import allowance_to_check
from wsgi_service.hosts.pool import HostPool
from wsgi_service.hosts.special_host import Role

#: Seconds that drawing may take, the first import of the library included, and that the host is waited for.
LIMIT, PATIENCE = 30.0, 0.5


class Drawings:
    """Has pictures drawn.

    Args:
        pool: the hosts.
    """

    def __init__(self, pool: HostPool) -> None:
        self._pool = pool

    def __call__(self, quality: Quality) -> Sequence[str]:
        """The SVG of each picture, in the order of `drawing.draw`.

        Raises:
            Busy: the host is at work for somebody else.
            MissingExtra: the library that draws is not installed.
            ServingError: it was not drawn.
        """
        with self._pool.apart(Role.READER, PATIENCE) as host:
            reply, _ = host.call(frames.Draw(quality), [], LIMIT, allowance_to_check(0))
        assert isinstance(reply, frames.Drawn)  # noqa: S101 - the only reply to Draw besides Failed
        return reply.pictures
