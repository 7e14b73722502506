"""A program answers here only after a model host has made a session of it and answered with it."""

import logging
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from model_store.entities import ONNX, Attribution, Version
from model_store.errors import StoreError
from wsgi_service.errors import Busy, ServingError
from wsgi_service.rows.tables import Table
from wsgi_service.serving.host_calls import HostRequest
from wsgi_service.serving.programs import Programs
from wsgi_service.serving.recent import Recent
from wsgi_service.serving.runnable import Runnable

log = logging.getLogger(__name__)

#: What a program's first output is called in a host, whatever it stands for.
PREDICT = "predict"


class Proving:
    """Has hosts answer with programs.

    Args:
        programs: that may run here.
        ask: a host, for one request alone.
    """

    def __init__(self, programs: Programs, ask: Callable[[HostRequest], Any]) -> None:
        self._programs = programs
        self._ask = ask
        #: Digests of programs that no host could compute with.
        self._hopeless: Recent[str, bool] = Recent()

    def prove(self, version: Version, found: Runnable, by: Attribution) -> None:
        """Have a host answer with a program before this process does; a version that is one has just done so."""
        if self._programs.trusts(found):
            return
        if not found.methods:
            self._programs.answered(found.digest)
        elif found.digest not in self._hopeless:
            self._try(version, found, by)

    def _try(self, version: Version, found: Runnable, by: Attribution) -> None:
        try:
            self.compute_once(version, found, by)
        except Busy:
            return
        except (StoreError, ServingError) as error:
            self._hopeless.put(found.digest, value=True)
            log.warning("%s version %d answers without its program: %s", version.model, version.version, error)

    def compute_once(self, version: Version, found: Runnable, by: Attribution) -> None:
        """Have a host make a session of the program of a version and compute a row of zeros with it.

        Then this process may do so as well. Raises StoreError or ServingError.
        """
        as_version = msgspec.structs.replace(
            version, digest=found.digest, size=found.size, format=ONNX, fitted={}, environment={}
        )
        table = Table(1, matrix=np.zeros((1, len(version.schema.inputs))))
        self._ask(HostRequest(as_version, [PREDICT], table, by))
        self._programs.answered(found.digest)

    def give_up(self, found: Runnable) -> None:
        """A program must not answer in this process any more."""
        self._hopeless.put(found.digest, value=True)
        self._programs.distrust(found.digest)
