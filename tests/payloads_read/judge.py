"""Judges the payloads in a folder by the schemas and models of others; and, first, whether the judges bite."""

import copy
import importlib
import json
import pathlib
import re
import sys

import cloudevents.v1.http
import jsonschema
import pydantic
import yaml
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7, DRAFT202012
from terra.core.unchecked_base_model import construct_type

FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks("date-time")
def is_rfc3339(text):
    return not isinstance(text, str) or re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", text) is not None


FIXTURES = pathlib.Path(__file__).parent.parent / "fixtures"


def strict(schema, part_of=None):
    """Schemas allow any further field, so a mistyped one would pass: here each must be in the schema.

    What a schema is composed of stays open: the whole of it is closed.
    """
    if isinstance(schema, list):
        return [strict(part, part_of) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: strict(part, key) for key, part in schema.items()}
    if schema.get("type") == "object" and "properties" in schema and part_of not in ("allOf", "anyOf", "oneOf"):
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
        whole = {**payload, **OLDER_CLIENT.get(name, {})}
        try:
            model.model_validate(whole)
        except pydantic.ValidationError as error:
            found = [fault for fault in error.errors() if not is_of_an_older_client(fault)]
            if found:
                return [f"terra-python: {found[:3]}"]
        # As the client itself makes it of an answer.
        parsed = construct_type(type_=model, object_=whole)
        # Fields that are newer than the client stay as they are.
        again = parsed.model_dump(by_alias=True, exclude_unset=True)
        for field in OLDER_CLIENT.get(name, {}):
            del again[field]
        in_whole_metres = in_metres_of_an_older_client(payload)
        return [] if again == in_whole_metres else ["terra-python: it does not come back as it went in"]


def is_of_an_older_client(fault):
    """terra-python 1.1.0 wants whole metres, where the OpenAPI has a number, and devices measure centimetres."""
    return fault["type"] == "int_from_float" and fault["loc"][-1] == "distance_meters"


def in_metres_of_an_older_client(payload):
    cut = copy.deepcopy(payload)
    for data in cut.get("data", []):
        distance = data.get("distance_data", {})
        distance = distance.get("summary", distance)
        if "distance_meters" in distance:
            distance["distance_meters"] = int(distance["distance_meters"])
    return cut


# Fields that terra-python 1.1.0 wants and the OpenAPI of today does not have, or not for every user.
OLDER_CLIENT = {"AuthSuccessEvent": {"reference_id": "", "widget_session_id": ""}}


class OpenMHealth:
    """The schemas of Open mHealth: of a data point, of its header, of its body."""

    def __init__(self):
        self.schemas = {path.stem: json.loads(path.read_text()) for path in (FIXTURES / "omh").glob("*.json")}
        for name, schema in self.schemas.items():
            schema["$id"] = f"urn:omh:{name}"
        self.registry = Registry(retrieve=self.retrieve)

    def retrieve(self, uri):
        name = uri.removesuffix(".json").rsplit(":", 1)[-1].rsplit("/", 1)[-1]
        # "unit-value-1.x" is the newest 1.x; part-of-day is refused by every payload of ours.
        line = re.sub(r"\.x$", ".", name)
        found = sorted(stem for stem in self.schemas if stem.startswith(line))
        schema = self.schemas[found[-1]] if found else {"not": {}}
        return Resource.from_contents(schema, default_specification=DRAFT7)

    def faults(self, name, payload):
        found = []
        for schema, part in (("data-point-1.0", payload), (name, payload["body"])):
            resolved = {**self.schemas[schema]}
            validator = jsonschema.validators.validator_for(resolved)(
                resolved, registry=self.registry, format_checker=FORMATS
            )
            found += [f"{schema} {error.json_path}: {error.message[:200]}" for error in validator.iter_errors(part)]
            if schema == name:
                found += [f"{name} has no {field}" for field in part if field not in resolved["properties"]]
        return found


def fhir_faults(name, payload):
    """The models of fhir.resources, release R4B, which refuse fields that they do not know."""
    model = getattr(importlib.import_module(f"fhir.resources.R4B.{name.lower()}"), name)
    try:
        model.model_validate(payload)
    except ValueError as error:
        return [f"fhir.resources: {error}"]
    return []


def cloud_event_faults(_name, payload):
    """The SDK of the CloudEvents project."""
    try:
        event = cloudevents.v1.http.from_json(json.dumps(payload))
    except Exception as error:  # each of its errors is a class of its own
        return [f"cloudevents: {error!r}"]
    again = {**event.get_attributes(), "data": event.get_data()}
    return [] if again == payload else [f"cloudevents: it does not come back as it went in: {again}"]


def our_faults(name, payload):
    """Our own schemas, closed: what is written and not in them is a fault of theirs."""
    schema = strict(json.loads((FIXTURES.parent.parent / f"schemas/{name}.json").read_text()))
    validator = jsonschema.Draft202012Validator(schema, format_checker=FORMATS)
    return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(payload)]


def judges():
    return {
        "schemas": our_faults,
        "terra": Terra().faults,
        "fhir": fhir_faults,
        "omh": OpenMHealth().faults,
        "cloudevents": cloud_event_faults,
    }


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


def spoil_fhir(payload):
    payload["entry"][0]["resource"]["valueSampledData"]["periode"] = 1000


def spoil_fhir_status(payload):
    del payload["status"]


def spoil_omh_unit(payload):
    payload["body"]["heart_rate"]["unit"] = "bpm"


def spoil_omh_field(payload):
    payload["body"]["heartrate"] = payload["body"]["heart_rate"]


def spoil_omh_header(payload):
    payload["header"]["creation_date_time"] = "yesterday"


def spoil_cloud_event(payload):
    del payload["source"]


def spoil_ours(payload):
    payload["ts"] = "yesterday"


SPOILT = {
    "schemas.samples-entry.0.json": [spoil_ours],
    "terra.ActivityEvent.example.json": [spoil_terra, spoil_terra_deep, spoil_terra_type],
    "fhir.Bundle.example.json": [spoil_fhir],
    "fhir.Observation.example.json": [spoil_fhir_status],
    "omh.heart-rate-2.0.example.json": [spoil_omh_unit, spoil_omh_field, spoil_omh_header],
    "cloudevents.Event.example.json": [spoil_cloud_event],
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
