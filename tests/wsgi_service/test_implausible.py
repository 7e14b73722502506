"""A version whose answers make no sense is stored, says why, and serves nobody."""

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import models
import pytest
import toys
from click.testing import CliRunner
from conftest import StrictClient

from wsgi_service.app import create_app
from wsgi_service.cli import group
from wsgi_service.hosts.pool import HostPool
from wsgi_service.settings import Settings

WHY = "a probability lies between 0 and 1"
VERSION = "/models/counts/versions/1"
LIVE = "/models/counts/aliases/live"


@pytest.fixture
def counts(client: StrictClient) -> StrictClient:
    """A server with a forest that has counts where shares should be."""
    answer = client.put_model("counts", models.forest_of_counts())
    assert (answer.status_code, answer.json["state"], answer.json["aliases"]) == (201, "quarantined", [])
    assert WHY in answer.json["faults"][0]
    return client


def test_the_version_its_history_and_its_page_say_why(counts: StrictClient) -> None:
    assert WHY in counts.get(VERSION).json["faults"][0]
    last = counts.get("/models/counts/history").json["events"][-1]
    assert (last["action"], WHY in last["after"]["faults"][0]) == ("quarantine", True)
    assert WHY in counts.get(f"/ui{VERSION}").text


@pytest.mark.parametrize("force", [False, True])
def test_no_alias_is_moved_to_it_by_force_neither(counts: StrictClient, force: bool) -> None:
    answer = counts.put(LIVE, json={"version": 1, "force": force})
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/checks-failed")
    (check,) = [one for one in answer.json["checks"]["checks"] if one["status"] == "failed"]
    assert (check["check"], WHY in check["message"]) == ("sense", True)
    assert (answer.json["checks"]["moved"], answer.json["checks"]["forced"]) == (False, False)
    assert counts.get(LIVE).status_code == 404


def test_it_answers_nobody_and_says_why(counts: StrictClient) -> None:
    answer = counts.post(f"{VERSION}/predict", json={"instances": [[1, 2, 3, 4]]})
    assert (answer.status_code, answer.json["type"]) == (503, "/problems/model-quarantined")
    assert WHY in answer.json["detail"]


def test_its_quarantine_is_lifted_only_if_it_makes_sense_now(counts: StrictClient) -> None:
    answer = counts.delete(f"{VERSION}/quarantine")
    assert (answer.status_code, answer.json["type"], WHY in answer.json["detail"]) == (
        409, "/problems/implausible", True,
    )  # fmt: skip
    assert counts.get(VERSION).json["state"] == "quarantined"


def test_a_version_after_it_gets_live(counts: StrictClient) -> None:
    assert counts.put_model("counts", models.iris(), 2).json["aliases"] == ["live"]


@pytest.fixture(scope="module")
def odd(pool: HostPool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StrictClient]:
    """A server that takes the pickles of `toys`."""
    folder = tmp_path_factory.mktemp("odd")
    service = create_app(Settings(data=str(folder), allow_pickle=True, acceleration="off"), pool)
    yield StrictClient(service)
    service.catalog.registry.close()


def upload(client: StrictClient, name: str, model: toys.Odd, rows: list[list[float]]) -> Any:
    """An upload with examples."""
    parts = {"file": pickle.dumps(model.fit([])), "examples": json.dumps({"instances": rows}).encode()}
    form = {key: (models.io.BytesIO(content), key) for key, content in parts.items()}
    return client.put(f"/models/{name}/versions/1", data=form)


def test_examples_of_an_upload_are_judged_where_files_are(odd: StrictClient) -> None:
    answer = upload(odd, "far", toys.Odd("counts", beyond=1000.0), [[1.0], [2000.0]])
    assert (answer.status_code, answer.json["state"]) == (201, "quarantined")
    assert WHY in answer.json["faults"][0]
    answer = upload(odd, "near", toys.Odd("counts", beyond=1000.0), [[1.0], [2.0]])
    assert (answer.status_code, answer.json["state"], answer.json["aliases"]) == (201, "ready", ["live"])


def test_later_examples_that_are_answered_without_sense_are_not_taken(odd: StrictClient) -> None:
    odd.put_model("later", pickle.dumps(toys.Odd("sums", beyond=1000.0).fit([])))
    answer = odd.put("/models/later/versions/1/examples", json={"instances": [[2000.0]]})
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/implausible")
    assert odd.get("/models/later/versions/1/examples").status_code == 404


def test_what_does_not_answer_its_sample_is_stored_and_not_live(odd: StrictClient) -> None:
    answer = odd.put_model("raises", pickle.dumps(toys.Odd("raises").fit([])))
    assert (answer.status_code, answer.json["state"], answer.json["aliases"]) == (201, "ready", [])
    assert "raised ZeroDivisionError on a sample row" in answer.json["warnings"][0]
    checks = odd.put("/models/raises/aliases/live", json={"version": 1}).json["checks"]["checks"]
    assert [one["check"] for one in checks if one["status"] == "failed"] == ["sample"]


def test_inspect_says_without_a_server_what_makes_no_sense(tmp_path: Path) -> None:
    (tmp_path / "counts.skops").write_bytes(models.skops_bytes(models.forest_of_counts()))
    done = CliRunner().invoke(group, ["inspect", str(tmp_path / "counts.skops")])
    assert (done.exit_code, WHY in done.output) == (0, True)
