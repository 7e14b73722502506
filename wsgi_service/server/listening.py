"""The listening socket, made before anything heavy is imported: clients can connect while the rest starts."""

import socket
import sys

BACKLOG = 1024


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens, so that clients can connect before anything heavy is imported.

    Raises:
        OSError: the address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            # SO_REUSEADDR would let another process take the same port there, and our clients with it.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
