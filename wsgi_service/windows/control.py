"""Installing, starting, stopping and removing the service, through Windows' service control manager (pywin32)."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

#: Seconds that a start, and a stop beyond its draining, may take.
PATIENCE = 120.0
#: Seconds for a removed service to be gone: Windows keeps it until its process has ended and nobody looks at it.
LEAVING = 30.0
#: Windows' errors for a service that is not there, and for one that is removed as soon as nobody looks at it.
MISSING, LEAVES = 1060, 1072
#: Windows' error -> what it means here, and what to do.
ERRORS = {
    5: "Windows does not allow it. Open a console with `Run as administrator`, and try again there.",
    1056: "The service '{name}' is running already.",
    MISSING: "There is no service '{name}'. Install it: wsgi-service service install",
    1062: "The service '{name}' is not running.",
    LEAVES: "The service '{name}' is being removed. Close the Services window, and try again.",
    1073: "There is a service '{name}' already. Remove it first: wsgi-service service remove",
}
STATES = {1: "stopped", 2: "starting", 3: "stopping", 4: "running", 5: "resuming", 6: "pausing", 7: "paused"}
#: By their security identifiers, since their names depend on the language.
SYSTEM, ADMINISTRATORS = "*S-1-5-18", "*S-1-5-32-544"
#: ERROR_INVALID_LEVEL: the system does not know of such a thing.
UNKNOWN_LEVEL = 124
DESCRIPTION = "Registers, checks and serves scikit-learn models over HTTP."
#: After how many milliseconds the service is started again when it has failed.
RESTART_AFTER = 5_000


class ServiceError(Exception):
    """What Windows, or this machine, does not let be done."""


class Status(Struct):
    """How a service is.

    Attributes:
        state: running, stopped and so on.
        pid: of its process; 0 if it has none.
        command: what the control manager starts.
        account: who it runs as.
    """

    state: str
    pid: int
    command: str
    account: str


def install(name: str, arguments: list[str], data: Path) -> None:
    """Install the service: it starts with Windows, a little later than others, and again when it has failed.

    It runs as a virtual account of its own, which gets the right to write in the data folder and nothing else.

    Args:
        name: of the service.
        arguments: of `wsgi-service service run`.
        data: the data folder, absolute; it is made.

    Raises:
        ServiceError: it cannot be installed.
    """
    import win32service

    check_python()
    command = subprocess.list2cmdline(
        [_python(), "-m", "wsgi_service", "service", "run", "--name", name, *arguments]
    )
    with _translated(name), _created(name, command) as handle:
        try:
            _equip(name, handle, data)
        except BaseException:
            win32service.DeleteService(handle)
            raise


def start(name: str) -> None:
    """Start it, and wait until it answers. Raises ServiceError."""
    import win32serviceutil

    with _translated(name):
        win32serviceutil.StartService(name)
    _wait(name, "running", PATIENCE)


def stop(name: str) -> None:
    """Stop it, and wait until what was under way is answered. Raises ServiceError."""
    import win32serviceutil

    with _translated(name):
        win32serviceutil.StopService(name)
    _wait(name, "stopped", PATIENCE)


def status(name: str) -> Status:
    """How it is. Raises ServiceError if there is no such service."""
    import win32service

    with (
        _translated(name),
        _service(name, win32service.SERVICE_QUERY_STATUS | win32service.SERVICE_QUERY_CONFIG) as handle,
    ):
        found = win32service.QueryServiceStatusEx(handle)
        configured = win32service.QueryServiceConfig(handle)
    state = STATES.get(found["CurrentState"], "unknown")
    return Status(state, int(found["ProcessId"]), str(configured[3]), str(configured[7]))


def remove(name: str) -> None:
    """Stop it if it runs, remove it, and wait until it is gone. The data folder stays. Raises ServiceError."""
    import win32evtlogutil
    import win32service

    if status(name).state != "stopped":
        stop(name)
    with _translated(name), _service(name, win32service.SERVICE_ALL_ACCESS) as handle:
        win32service.DeleteService(handle)
    with _translated(name):
        win32evtlogutil.RemoveSourceFromRegistry(name)
    _wait_until_gone(name)


def account_of(name: str) -> str:
    """The virtual account of a service: it has no password, and exists as long as the service."""
    return rf"NT SERVICE\{name}"


def check_python() -> None:
    """Raises ServiceError for a Python that the service's account could not read."""
    home = os.environ.get("USERPROFILE", "")
    unreadable = [one for one in (sys.base_prefix, sys.prefix) if home and Path(one).is_relative_to(home)]
    if unreadable:
        raise ServiceError(
            f"This Python is in a user's folder ({unreadable[0]}), which the service's account cannot read. "
            "Install Python for all users, and the project into that one or an environment outside of your folder."
        )


def _python() -> str:
    """What is started: an environment's python.exe only starts the other one, of which Windows would not know."""
    return str(getattr(sys, "_base_executable", sys.executable))


def _equip(name: str, handle: Any, data: Path) -> None:
    """Everything that an installed service needs beside its command."""
    import win32service

    again = [(win32service.SC_ACTION_RESTART, RESTART_AFTER)] * 3
    failing = {"ResetPeriod": 86_400, "RebootMsg": "", "Command": "", "Actions": again}
    _configure(handle, win32service.SERVICE_CONFIG_DESCRIPTION, DESCRIPTION)
    _configure(handle, win32service.SERVICE_CONFIG_DELAYED_AUTO_START_INFO, True)
    _configure(handle, win32service.SERVICE_CONFIG_FAILURE_ACTIONS, failing)
    _configure(handle, win32service.SERVICE_CONFIG_FAILURE_ACTIONS_FLAG, True)  # if it says that it failed as well
    _remember_environment(name)
    _add_event_source(name)
    data.mkdir(parents=True, exist_ok=True)
    _grant(name, data)


def _configure(handle: Any, level: int, value: Any) -> None:
    """Set one thing, where the system knows of it."""
    import pywintypes
    import win32service

    try:
        win32service.ChangeServiceConfig2(handle, level, value)
    except pywintypes.error as error:
        if error.winerror != UNKNOWN_LEVEL:
            raise


if sys.platform == "win32":

    def _remember_environment(name: str) -> None:
        """Let the process find the packages of the environment that it is installed from."""
        import winreg

        if sys.prefix == sys.base_prefix:
            return
        path = rf"SYSTEM\CurrentControlSet\Services\{name}"
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, path, 0, winreg.KEY_SET_VALUE) as key:
            variables = [f"__PYVENV_LAUNCHER__={sys.executable}"]
            winreg.SetValueEx(key, "Environment", 0, winreg.REG_MULTI_SZ, variables)

else:

    def _remember_environment(_name: str) -> None:
        """Nothing: there are no services of this kind."""


def _add_event_source(name: str) -> None:
    import servicemanager
    import win32evtlogutil

    win32evtlogutil.AddSourceToRegistry(name, servicemanager.__file__, "Application")


def _grant(name: str, data: Path) -> None:
    """Let the service's account change what is in the data folder, and nobody but administrators see any of it."""
    rights = [f"{SYSTEM}:(OI)(CI)F", f"{ADMINISTRATORS}:(OI)(CI)F", f"{account_of(name)}:(OI)(CI)M"]
    line = ["icacls", str(data), "/inheritance:r", "/grant:r", *rights]
    done = subprocess.run(line, capture_output=True, check=False)
    if done.returncode:
        raise ServiceError(f"The service may not write in {data}: {done.stderr.decode(errors='replace').strip()}")


def _wait(name: str, state: str, seconds: float) -> None:
    last = time.monotonic() + seconds
    while (now := status(name).state) != state:
        if now == "stopped":
            raise ServiceError(
                "The service has stopped again. The event log has the cause: "
                f"Get-WinEvent -ProviderName {name} -MaxEvents 5"
            )
        if time.monotonic() > last:
            raise ServiceError(f"The service is still {now} after {seconds:g} seconds.")
        time.sleep(0.1)


def _wait_until_gone(name: str) -> None:
    last = time.monotonic() + LEAVING
    while _exists(name):
        if time.monotonic() > last:
            raise ServiceError(ERRORS[LEAVES].format(name=name))
        time.sleep(0.1)


def _exists(name: str) -> bool:
    import pywintypes
    import win32service

    try:
        with _service(name, win32service.SERVICE_QUERY_STATUS):
            return True
    except pywintypes.error as error:
        return bool(error.winerror != MISSING)


@contextmanager
def _created(name: str, command: str) -> Iterator[Any]:
    """A new service, which runs as an account of its own."""
    import win32service

    with _closed(win32service.OpenSCManager(None, None, win32service.SC_MANAGER_CREATE_SERVICE)) as manager:
        handle = win32service.CreateService(
            manager, name, name, win32service.SERVICE_ALL_ACCESS, win32service.SERVICE_WIN32_OWN_PROCESS,
            win32service.SERVICE_AUTO_START, win32service.SERVICE_ERROR_NORMAL, command, None, 0, None,
            account_of(name), None,
        )  # fmt: skip
        with _closed(handle):
            yield handle


@contextmanager
def _service(name: str, access: int) -> Iterator[Any]:
    import win32service

    with (
        _closed(win32service.OpenSCManager(None, None, win32service.SC_MANAGER_CONNECT)) as manager,
        _closed(win32service.OpenService(manager, name, access)) as handle,
    ):
        yield handle


@contextmanager
def _closed(handle: Any) -> Iterator[Any]:
    """A handle, closed in the end: a service that is removed stays as long as one is open."""
    import win32service

    try:
        yield handle
    finally:
        win32service.CloseServiceHandle(handle)


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """Windows' errors in words that say what to do."""
    import pywintypes

    try:
        yield
    except pywintypes.error as error:
        words = ERRORS.get(error.winerror, f"{error.strerror} (error {error.winerror}, {error.funcname})")
        raise ServiceError(words.format(name=name)) from None
