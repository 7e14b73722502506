"""One of the processes of a server with several, started by `supervisor.py` as a module of its own."""

import os
import socket
import sys
from collections.abc import Callable

import msgspec

from wsgi_service.hosts.pipes import take_pipes
from wsgi_service.monitoring import logs
from wsgi_service.processes import launch
from wsgi_service.processes.worker_link import Siblings
from wsgi_service.processes.worker_process import Task, taken_over


def main() -> int:
    """Serve on the socket that was handed over until the supervisor says stop, or is gone."""
    pipes = take_pipes()
    incoming, outgoing = os.fdopen(pipes[0], "rb"), os.fdopen(pipes[1], "wb")
    task = msgspec.json.decode(incoming.readline(), type=Task)
    logs.start(task.settings, task.place)
    return _serve(task, taken_over(task), Siblings(incoming, outgoing))


def _serve(task: Task, listener: socket.socket, siblings: Siblings) -> int:
    from model_store.errors import StoreError
    from wsgi_service.app import create_app
    from wsgi_service.hosts.isolation import starter
    from wsgi_service.processes.memory import give_back
    from wsgi_service.server.run import serve

    give_back()
    try:
        starts = starter(task.settings.isolation, task.template)
        app = create_app(task.settings, first=task.place == 0, starts=starts)
        launch.check_exposure(app)
    except launch.CannotServe as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except (OSError, StoreError, RuntimeError) as error:
        sys.stderr.write(f"The data folder {task.settings.folder} cannot be used: {error}\n")
        return 1
    app.catalog.registry.subscribe(siblings.changed)
    app.metrics.others = siblings.counted

    def begin(stop: Callable[[], None], turns: Callable[[], int]) -> None:
        siblings.listen(app.background.forget, app.metrics.said, stop, turns)
        siblings.started(app.catalog.registry.count_models())

    serve(app, listener, begin)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
