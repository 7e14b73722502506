"""The interface as OpenAPI describes it: complete, and what really happens."""

import json
from pathlib import Path
from typing import Any

import models
import msgspec
import pytest
from conftest import StrictClient
from write_docs import openapi_document

from wsgi_service.app import create_app
from wsgi_service.openapi.document import operation_of, path_of
from wsgi_service.routes import Scope

pytestmark = pytest.mark.extras

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = ("/ui", "/docs")


def test_the_committed_document_is_the_servers_own() -> None:
    assert (ROOT / "docs/openapi.json").read_text(encoding="utf-8") == openapi_document()


def test_every_address_is_described_but_those_of_pages(app: Any, client: StrictClient) -> None:
    document = client.get("/openapi.json").json
    for rule in app.url_map.iter_rules():
        page = rule.rule.startswith(PAGES) or rule.rule.endswith("/docs")
        assert (operation_of(rule) is None) == page, rule
        for method in (rule.methods or set()) - {"HEAD"}:
            assert (method.lower() in document["paths"].get(path_of(rule), {})) != page, rule


def test_every_reference_leads_somewhere_and_every_operation_has_a_name_of_its_own(client: StrictClient) -> None:
    client.put_model("people", models.iris())
    for address in ("/openapi.json", "/models/people/versions/1/openapi.json"):
        document = client.get(address).json
        text = json.dumps(document)
        for reference in set(text.split('"$ref": "')[1:]):
            place = document
            for part in reference.split('"')[0].removeprefix("#/").split("/"):
                place = place[part]
        operations = [operation for path in document["paths"].values() for operation in path.values()]
        names = [operation["operationId"] for operation in operations]
        assert len(set(names)) == len(names)
        assert all(operation["summary"] for operation in operations)


def test_attributes_have_the_words_of_their_docstrings(client: StrictClient) -> None:
    schemas = client.get("/openapi.json").json["components"]["schemas"]
    assert (
        schemas["Column"]["properties"]["nullable"]["description"]
        == "whether a missing value (JSON null) is taken."
    )
    assert "Attributes" not in json.dumps([schema.get("description") for schema in schemas.values()])


def test_the_token_is_described_where_it_is_needed(client: StrictClient, settings: Any, pool: Any) -> None:
    assert "securitySchemes" not in client.get("/openapi.json").json["components"]
    guarded = create_app(msgspec.structs.replace(settings, token="secret"), pool)
    document = StrictClient(guarded).get("/openapi.json").json
    guarded.catalog.registry.close()
    assert guarded.exposure.secured() == {Scope.WRITE, Scope.ADMIN}
    assert document["paths"]["/models"]["post"]["security"] == [{"token": []}]
    assert "401" in document["paths"]["/models"]["post"]["responses"]
    assert "security" not in document["paths"]["/models"]["get"]


def test_a_versions_document_has_its_own_columns_classes_and_sample(client: StrictClient) -> None:
    client.put_model("iris", models.iris(), class_names=",".join(models.SPECIES))
    client.put_model("colours", models.colours())
    client.put_model("spam", models.spam())
    document = client.get("/models/iris/versions/1/openapi.json").json
    post = document["paths"]["/models/iris/versions/1/predict"]["post"]
    body = post["requestBody"]["content"]["application/json"]
    answer = client.post("/models/iris/versions/1/predict", json=body["example"])
    assert answer.status_code == 200
    assert list(document["components"]["schemas"]["Record"]["properties"]) == ["x0", "x1", "x2", "x3"]
    assert document["components"]["schemas"]["Predictions"]["properties"]["labels"]["items"]["enum"] == [
        *models.SPECIES, None,
    ]  # fmt: skip
    colours = client.get("/models/colours/versions/1/openapi.json").json
    assert colours["components"]["schemas"]["Record"]["properties"]["x0"]["enum"] == ["green", "red"]
    spam = client.get("/models/spam/versions/1/openapi.json").json
    (address,) = spam["paths"]
    example = spam["paths"][address]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert client.post(address, json=example).status_code == 200


def test_a_version_that_is_not_there_has_no_document(client: StrictClient) -> None:
    assert client.get("/models/nobody/versions/1/openapi.json").status_code == 404
