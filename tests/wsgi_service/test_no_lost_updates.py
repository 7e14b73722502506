"""With If-Match no change of an alias is ever lost, whatever happens in between."""

import tempfile
import threading
from typing import Any

import pytest
import trials
from conftest import StrictClient
from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from wsgi_service.app import Application, create_app
from wsgi_service.settings import Settings

pytestmark = pytest.mark.system

ADDRESS = "/models/m/aliases/test"
VERSIONS = 4


def service(folder: str, versions: int) -> Application:
    """A service with everything but hosts, and a model with so many versions."""
    app = create_app(Settings(data=folder), trials.NoHosts(), trials.Trusting(), trials.Willing())  # type: ignore[arg-type]
    client = StrictClient(app)
    for number in range(1, versions + 1):
        assert client.put(f"/models/m/versions/{number}", data=bytes([number])).status_code == 201
    return app


class Aliases(RuleBasedStateMachine):
    """Clients that remember tags, old ones too, and change the alias with them.

    The model is the last state that an answer told: where the alias points and since when; None if there is none.
    """

    tags = Bundle("tags")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.app = service(self.folder.name, VERSIONS)
        self.client = StrictClient(self.app)
        self.state: tuple[int, str] | None = None
        #: Where the alias can go back to, as the model has it.
        self.trail: list[int] = []

    def teardown(self) -> None:
        self.app.catalog.registry.close()
        self.folder.cleanup()

    @initialize(target=tags)
    def nothing_is_there(self) -> Any:
        return ('"0123456789abcdef"', "never")

    @rule(target=tags)
    def read(self) -> Any:
        answer = self.client.get(ADDRESS)
        if answer.status_code == 404:
            return ('"0123456789abcdef"', "never")
        return (answer.headers["ETag"], (answer.json["version"], answer.json["updated_at"]))

    @rule(tag=tags, version=st.integers(1, VERSIONS))
    def move(self, tag: Any, version: int) -> None:
        answer = self.client.put(ADDRESS, json={"version": version}, headers={"If-Match": tag[0]})
        if self.state is None or tag[1] != self.state:
            assert answer.status_code == 412
        else:
            assert (answer.status_code, answer.json["version"]) == (200, version)
            self.moved(version)

    @rule(version=st.integers(1, VERSIONS))
    def make(self, version: int) -> None:
        answer = self.client.put(ADDRESS, json={"version": version}, headers={"If-None-Match": "*"})
        assert answer.status_code == (201 if self.state is None else 412)
        if self.state is None:
            self.moved(version)

    @rule(tag=tags)
    def delete(self, tag: Any) -> None:
        status = self.client.delete(ADDRESS, headers={"If-Match": tag[0]}).status_code
        if self.state is None:
            assert status == 404
        else:
            assert status == (204 if tag[1] == self.state else 412)
            if status == 204:
                self.state, self.trail = None, []

    @rule(tag=tags)
    def go_back(self, tag: Any) -> None:
        answer = self.client.post(f"{ADDRESS}/rollback", headers={"If-Match": tag[0]})
        if self.state is None:
            assert answer.status_code == 404
        elif tag[1] != self.state:
            assert answer.status_code == 412
        elif len(self.trail) < 2:
            assert answer.status_code == 409
        else:
            assert (answer.json["from"], answer.json["to"]) == (self.trail[-1], self.trail[-2])
            self.trail.pop()
            self.look()

    @invariant()
    def is_where_it_was_last_put(self) -> None:
        answer = self.client.get(ADDRESS)
        if self.state is None:
            assert answer.status_code == 404
        else:
            assert (answer.json["version"], answer.json["updated_at"]) == self.state
            assert self.trail[-1] == self.state[0]

    def moved(self, version: int) -> None:
        if self.state is None or self.state[0] != version:
            self.trail = [*(number for number in self.trail if number != version), version]
        self.look()

    def look(self) -> None:
        answer = self.client.get(ADDRESS).json
        self.state = (answer["version"], answer["updated_at"])


Aliases.TestCase.settings = profile(max_examples=25, stateful_step_count=20, deadline=None)
test_an_alias_is_always_where_the_last_accepted_change_put_it = Aliases.TestCase


def test_of_clients_that_count_up_together_each_counts_once(folder: Any) -> None:
    """Read, add one, write with If-Match: as many numbers are gone through as writes were accepted."""
    app = service(str(folder), 30)
    reached: list[int] = []

    def count_up() -> None:
        client = StrictClient(app)
        for _ in range(12):
            read = client.get("/models/m/aliases/live")
            version = read.json["version"] + 1
            answer = client.put(
                "/models/m/aliases/live", json={"version": version}, headers={"If-Match": read.headers["ETag"]}
            )
            assert answer.status_code in {200, 409, 412, 404}
            if answer.status_code == 200:
                reached.append(version)

    threads = [threading.Thread(target=count_up) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(reached) == list(range(2, 2 + len(reached)))
    assert app.catalog.registry.alias("m", "live").version == 1 + len(reached)
    app.catalog.registry.close()
