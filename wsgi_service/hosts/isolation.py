"""How model hosts are kept apart: forked from one template, or spawned each for itself."""

import sys
from pathlib import Path

from wsgi_service.hosts.spawning import Spawner
from wsgi_service.hosts.starting import Starter, Template


def starter(isolation: str = "fork", template: str = "") -> Starter:
    """What starts hosts here.

    Args:
        isolation: `fork` or `spawn`; elsewhere than on Linux they are spawned in any case.
        template: the socket of a template that somebody else looks after; without one it gets its own.
    """
    if isolation == "fork" and sys.platform == "linux":
        from wsgi_service.hosts.forking import Forker, TemplateProcess

        return Forker(Path(template) if template else TemplateProcess())
    return Spawner()


def template_of(isolation: str) -> Template | None:
    """A template for several server processes, not yet started; None where hosts are spawned."""
    if isolation == "fork" and sys.platform == "linux":
        from wsgi_service.hosts.forking import TemplateProcess

        return TemplateProcess()
    return None
