"""From an application and a socket to a server that has stopped."""

import gc
import socket
import sys

from wsgi_service.app import Application
from wsgi_service.server.loop import Announce, Server
from wsgi_service.server.stop_signals import on_stop_signals

#: After which a busy thread lets another one go on. With Python's 5 ms, threads that talk to hosts fall behind
#: the one that reads when it has many requests to refuse.
SWITCH_SECONDS = 0.0005


def serve(app: Application, listener: socket.socket, announce: Announce) -> None:
    """Start the application's hosts, serve, and stop cleanly on SIGINT, SIGTERM or SIGBREAK.

    Args:
        app: the application.
        listener: a bound socket.
        announce: is called when it serves.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    server = Server(app, listener)
    on_stop_signals(server.stop, app.draining.is_set)
    app.start()
    gc.freeze()  # collections need not look at the modules and at what was made from settings, ever
    try:
        announce(server.stop, server.turns)
        server.run()
    finally:
        app.close()
