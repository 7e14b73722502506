"""What predicts resolve against stays small, however large the descriptions are."""

from typing import Any

import models
import pytest
from conftest import StrictClient

from wsgi_service.serving import directory
from wsgi_service.serving.directory import Directory
from wsgi_service.serving.revision import Revision


def test_too_many_descriptions_are_forgotten_and_found_again(
    client: StrictClient, app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("one", "two", "three")
    for name in names:
        client.put_model(name, models.iris())
    monkeypatch.setattr(directory, "MOST_KNOWN", 1)
    known = Directory(app.catalog.registry, Revision(app.catalog.registry))
    assert [known.find(name, None, None).version.model for name in names * 2] == [*names, *names]
    assert len(known._known) == 1
