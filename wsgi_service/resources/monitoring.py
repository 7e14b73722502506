"""The metrics, for Prometheus and whatever reads its text format."""

from werkzeug.wrappers import Request, Response

from wsgi_service.access.grants import check_unrestricted
from wsgi_service.monitoring.metrics import CONTENT_TYPE, Metrics
from wsgi_service.openapi.operations import BYTES, operation


class Monitoring:
    """What the server says about itself to those who watch it.

    Args:
        metrics: what is counted.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    @operation({200: {"text/plain": BYTES}}, polled=True)
    def metrics(self, request: Request) -> Response:
        """Say what was counted and timed, in the text format of Prometheus."""
        check_unrestricted(request)
        return Response(self._metrics.exposition(), content_type=CONTENT_TYPE)
