"""How model hosts are kept apart: forked from one template, or spawned each for itself."""

import os
import sys
import tempfile
from pathlib import Path

from wsgi_service.hosts.spawning import Spawner
from wsgi_service.hosts.starting import Starter, Template

#: Bytes of the temporary folder's name: a socket's has at most 107 (unix(7)).
LONGEST = 60


def starter(isolation: str = "fork", template: str = "") -> Starter:
    """What starts hosts here.

    Args:
        isolation: `fork` or `spawn`; where they cannot be forked they are spawned in any case.
        template: the socket of a template that somebody else looks after; without one it gets its own.
    """
    if isolation == "fork" and sys.platform == "linux" and _fits():
        from wsgi_service.hosts.forking import Forker, TemplateProcess

        return Forker(Path(template) if template else TemplateProcess())
    return Spawner()


def template_of(isolation: str) -> Template | None:
    """A template for several server processes, not yet started; None where hosts are spawned."""
    if isolation == "fork" and sys.platform == "linux" and _fits():
        from wsgi_service.hosts.forking import TemplateProcess

        return TemplateProcess()
    return None


def _fits() -> bool:
    """Whether the name of a socket in the temporary folder is not too long."""
    return len(os.fsencode(tempfile.gettempdir())) <= LONGEST
