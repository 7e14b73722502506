"""Schemathesis asks everything that the OpenAPI documents allow, and holds every answer against them."""

from typing import Any

import models
import pytest
from hypothesis import HealthCheck, given, settings

from wsgi_service.app import Application

schemathesis = pytest.importorskip("schemathesis")
from schemathesis.checks import not_a_server_error  # noqa: E402
from schemathesis.specs.openapi import checks  # noqa: E402

#: What is held: no failure of the server, and statuses, types and bodies as the document says.
HELD = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]
relaxed = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)


@pytest.fixture
def stocked(app: Application, client: Any) -> Application:
    """A server with two models, one of them with examples."""
    client.put_model("iris", models.iris(), class_names=",".join(models.SPECIES))
    client.put_model("iris", models.iris(), 2)
    client.put_model("colours", models.colours())
    client.put("/models/iris/versions/1/examples", json={"instances": [[5.1, 3.5, 1.4, 0.2]]})
    return app


def ask_everything(app: Application, address: str, held: list[Any]) -> int:
    """Ask whatever the document at an address allows, and hold each answer against it; how many were asked."""
    asked = 0
    for found in schemathesis.openapi.from_wsgi(address, app).get_all_operations():

        @given(found.ok().as_strategy())
        @relaxed
        def hold(case: Any) -> None:
            nonlocal asked
            asked += 1
            case.call_and_validate(checks=held)

        hold()
    return asked


def test_every_answer_of_the_server_is_as_described(stocked: Application) -> None:
    assert ask_everything(stocked, "/openapi.json", HELD) > 500


def test_every_answer_of_a_version_of_numbers_is_as_described(stocked: Application) -> None:
    """A number that is near the largest there is may be too large for the estimator, which is a 422."""
    assert ask_everything(stocked, "/models/iris/versions/1/openapi.json", HELD) > 30


def test_every_answer_of_a_version_of_categories_is_as_described(stocked: Application) -> None:
    held = [*HELD, checks.positive_data_acceptance, checks.negative_data_rejection]
    assert ask_everything(stocked, "/models/colours/versions/1/openapi.json", held) > 20
