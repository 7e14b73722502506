"""The process that the service control manager starts: a server that stops when the service is stopped.

Only imported there, since pywin32 is. See https://learn.microsoft.com/windows/win32/services/service-programs.
"""

import logging
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

import servicemanager
import win32service
import win32serviceutil

from wsgi_service.processes import launch
from wsgi_service.settings import InvalidSetting, Settings

log = logging.getLogger(__name__)

#: Milliseconds that a start may take before the control manager gives it up.
STARTING = 120_000
#: Beyond the time in which requests are finished.
STOPPING = 15_000
#: ERROR_SERVICE_SPECIFIC_ERROR: the code beside it is the service's own.
OWN_CODE = 1066


class Service(win32serviceutil.ServiceFramework):  # type: ignore[misc]
    """One server. `run` says which."""

    _svc_name_ = "wsgi-service"
    _svc_display_name_ = "wsgi-service"
    load: Callable[[], Settings]

    def __init__(self, args: Any) -> None:
        super().__init__(args)
        self._lock = threading.Lock()
        self._stop: Callable[[], None] | None = None
        self._stopping = False
        self._drain_deadline = 0.0

    def SvcRun(self) -> None:  # noqa: N802 - its name
        """Serve until stopped; the service runs as soon as the server answers."""
        # What the control manager gives in the place of a console is no file that model hosts could inherit.
        sys.stdout = sys.stderr = None
        self.ReportServiceStatus(win32service.SERVICE_START_PENDING, STARTING)
        try:
            chosen = type(self).load()
            self._drain_deadline = chosen.drain_deadline
            code = launch.serve(chosen, self._serves)
        except (launch.CannotServe, InvalidSetting) as error:
            self._fail(str(error))
            return
        except Exception:
            log.exception("the server failed")
            self._fail("The server failed. Its log has the cause.")
            return
        if code:
            self._fail("No server process could serve. The log has the cause.")
            return
        servicemanager.LogInfoMsg("The server has stopped.")
        self.ReportServiceStatus(win32service.SERVICE_STOP_PENDING)

    def SvcStop(self) -> None:  # noqa: N802 - its name
        """Take no more connections, and answer what has arrived."""
        wait = int(self._drain_deadline * 1000) + STOPPING
        self.ReportServiceStatus(win32service.SERVICE_STOP_PENDING, wait)
        with self._lock:
            self._stopping, stop = True, self._stop
        if stop is not None:
            stop()

    def SvcShutdown(self) -> None:  # noqa: N802 - its name
        """The same, since the system is being shut down."""
        self.SvcStop()

    def _serves(self, models: int, listener: socket.socket, stop: Callable[[], None]) -> None:
        with self._lock:
            self._stop, stopping = stop, self._stopping
        if stopping:
            stop()
            return
        self.ReportServiceStatus(win32service.SERVICE_RUNNING)
        host, port = listener.getsockname()[:2]
        servicemanager.LogInfoMsg(f"The server answers on {host}:{port}, with {models} models.")

    def _fail(self, words: str) -> None:
        servicemanager.LogErrorMsg(words)
        self.ReportServiceStatus(win32service.SERVICE_STOPPED, win32ExitCode=OWN_CODE, svcExitCode=1)


def run(name: str, load: Callable[[], Settings]) -> None:
    """Be the service of that name until it is stopped. Raises pywintypes.error unless a control manager asked.

    Args:
        name: of the service.
        load: gives its settings; what is wrong with them goes to the event log.
    """
    Service._svc_name_ = name
    Service.load = staticmethod(load)
    servicemanager.Initialize(name, servicemanager.__file__)
    servicemanager.PrepareToHostSingle(Service)
    servicemanager.StartServiceCtrlDispatcher()
