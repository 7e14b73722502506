"""Hosts as processes of their own, each of which imports everything for itself: what every system can do."""

import ctypes
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from wsgi_service.hosts.lifeline import Job

#: What a host's environment keeps of ours: enough to start Python, and nothing secret.
KEPT = (
    "PATH", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "TEMP", "TMP", "TMPDIR", "LANG", "LC_ALL",
    "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "OPENBLAS_CORETYPE", "LD_LIBRARY_PATH",
    "WINEPREFIX", "WINEDEBUG", "WINEDLLOVERRIDES",
)  # fmt: skip
#: Set before numpy is imported: a limit that is set later does not reach every thread.
SINGLE_THREADED = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)
#: Arrow's own pool would reserve more memory than a host may take.
FRUGAL = {"ARROW_DEFAULT_MEMORY_POOL": "system"}
STOPPED = "the server is being stopped"


class Spawned(subprocess.Popen[bytes]):
    """A process that was spawned."""

    lost = False


class Spawner:
    """Spawns hosts. On Linux a host ends with the *thread* that spawned it."""

    quick = False

    def __init__(self) -> None:
        self._job = Job()
        self._folder = PrivateFolder()
        self._closed = False

    def prepare(self) -> None:
        """See `Starter`: there is nothing of the kind."""

    def start(self, memory: int) -> Spawned:
        """See `Starter`."""
        if self._closed:
            raise OSError(STOPPED)
        process = spawn("wsgi_service.hosts.host", str(memory), folder=self._folder.path, stdout=subprocess.PIPE)
        self._job.adopt(process)
        return process

    def memory(self) -> int:
        """See `Starter`: there is nothing of the kind."""
        return 0

    def rest(self) -> None:
        """See `Starter`: there is nothing of the kind."""

    def interrupt(self) -> None:
        """See `Starter`."""
        self._closed = True

    def close(self) -> None:
        """See `Starter`."""
        self._folder.remove()


class PrivateFolder:
    """A temporary folder for this user alone. Hosts run in an empty one: a model can name no file in it."""

    def __init__(self, prefix: str = "wsgi-service-host-") -> None:
        self._prefix = prefix
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def path(self) -> Path:
        """The folder, made again if it is gone: systems clean their temporary folders up."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix=self._prefix, ignore_cleanup_errors=True)
        path = Path(self._folder.name)
        path.mkdir(mode=0o700, exist_ok=True)
        if hasattr(os, "getuid") and path.lstat().st_uid != os.getuid():
            raise OSError("the temporary folder of the model hosts belongs to somebody else")
        return path

    def remove(self) -> None:
        """Remove the folder."""
        if self._folder is not None:
            self._folder.cleanup()


def spawn(module: str, *arguments: str, folder: Path, **options: Any) -> Spawned:
    """A Python process with pipes to it that runs a module without our environment, and out of Ctrl-C's reach."""
    if sys.platform == "win32":
        options["creationflags"] = _creation_flags()
    else:
        options["start_new_session"] = True  # Ctrl-C in the terminal is for the server, which ends its hosts
    return Spawned(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        bufsize=0,
        stderr=None if sys.stderr is not None else subprocess.DEVNULL,
        cwd=folder,
        env=_environment(),
        **options,
    )


if sys.platform == "win32":

    def _creation_flags() -> int:
        """A group of its own, since Ctrl-C is for the server, and no console that the server does not have.

        A console of its own would be a window, or at least one more process for each host.
        """
        has_console = ctypes.windll.kernel32.GetConsoleCP()
        return subprocess.CREATE_NEW_PROCESS_GROUP | (0 if has_console else subprocess.DETACHED_PROCESS)


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    return (
        kept
        | SINGLE_THREADED
        | FRUGAL
        | {"PYTHONPATH": path, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1"}
    )
