"""Judges the payloads in a folder by the schemas and models of others; and, first, whether the judges bite."""

import copy
import importlib
import json
import pathlib
import re
import sys

import jsonschema
import yaml
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

FIXTURES = pathlib.Path(__file__).parent.parent / "fixtures"


def strict(schema):
    """Terra's schemas allow any further field, so a mistyped one would pass: here each must be in the schema."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: strict(part) for key, part in schema.items()}
    if "properties" in schema and schema.get("type") == "object":
        closed.setdefault("unevaluatedProperties", False)
    return closed


class Terra:
    """Terra's OpenAPI, and the models of its Python client."""

    def __init__(self):
        document = yaml.safe_load((FIXTURES / "terra/v2-bundled.yaml").read_text())
        schemas = document["components"]["schemas"]
        # The base that every event extends: closed, it would refuse what they add.
        base = copy.deepcopy(schemas["WebhookEvent"])
        document = strict(document)
        document["components"]["schemas"]["WebhookEvent"] = base
        resource = Resource(contents=document, specification=DRAFT202012)
        self.registry = Registry().with_resource("urn:terra", resource)

    def faults(self, name, payload):
        schema = {"$ref": f"urn:terra#/components/schemas/{name}"}
        validator = jsonschema.Draft202012Validator(schema, registry=self.registry)
        found = [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(payload)]
        return found + self.model_faults(name, payload)

    def model_faults(self, name, payload):
        module = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
        model = getattr(importlib.import_module(f"terra.types.{module}"), name)
        try:
            parsed = model.model_validate({**payload, **OLDER_CLIENT.get(name, {})})
        except ValueError as error:
            return [f"terra-python: {error}"]
        # Fields that are newer than the client stay as they are.
        again = parsed.model_dump(by_alias=True, exclude_unset=True)
        for field in OLDER_CLIENT.get(name, {}):
            del again[field]
        return [] if again == payload else ["terra-python: it does not come back as it went in"]


# Fields that terra-python 1.1.0 wants and the OpenAPI of today does not have, or not for every user.
OLDER_CLIENT = {"AuthSuccessEvent": {"reference_id": "", "widget_session_id": ""}}


def judges():
    terra_judge = Terra()
    return {"terra": terra_judge.faults}


def bites(judge, name, payload, spoil):
    """A judge that finds nothing wrong with a spoilt payload is none."""
    spoilt = copy.deepcopy(payload)
    spoil(spoilt)
    if not judge(name, spoilt):
        sys.exit(f"the judge of {name} finds nothing wrong with a payload that was spoilt")


def spoil_terra(payload):
    payload["data"][0]["metadata"]["starttime"] = payload["data"][0]["metadata"].pop("start_time")


def spoil_terra_deep(payload):
    payload["data"][0]["heart_rate_data"]["detailed"]["hr_samples"][0]["beats"] = 1


def spoil_terra_type(payload):
    payload["data"][0]["metadata"]["type"] = 9999


SPOILT = {
    "terra.ActivityEvent.example.json": [spoil_terra, spoil_terra_deep, spoil_terra_type],
}


def main(folder):
    by = judges()
    failed, judged = 0, {}
    for path in sorted(pathlib.Path(folder).glob("*.json")):
        standard, name = path.name.split(".")[0], path.name.rsplit(".", 2)[0].split(".", 1)[1]
        payload = json.loads(path.read_text())
        for spoil in SPOILT.get(path.name, []):
            bites(by[standard], name, payload, spoil)
        faults = by[standard](name, payload)
        judged[standard] = judged.get(standard, 0) + 1
        for fault in faults[:10]:
            print(f"{path.name}: {fault}")
        failed += bool(faults)
    for standard in by:
        print(f"{standard}: {judged.get(standard, 0)} payloads judged")
    if failed or set(judged) != set(by):
        sys.exit(f"{failed} payloads refused; judged: {judged}")


main(sys.argv[1])
