"""Has schemathesis ask a box, as Terra's own OpenAPI says: judge.py URL DEV_ID API_KEY USER_ID

What is changed in Terra's document before: only the paths that the box has are left; of the alternatives of an answer, each
requires its fields (as it stands none does, so that `oneOf` would refuse Terra's own answers too); seconds since 1970 have
ten digits, as the description says; a wrong key is 401 everywhere.
"""

import pathlib
import subprocess
import sys
import tempfile

import yaml

PATHS = ["/activity", "/body", "/daily", "/athlete", "/userInfo", "/subscriptions"]
TERRA = pathlib.Path(__file__).parent.parent / "fixtures/terra/v2-bundled.yaml"
LIMIT_S = 300
# Of a valid question whose dates are the wrong way round, or years apart, schemathesis cannot know that it is refused.
RUNS = [
    ("whatever can be asked", ["--mode", "all", "--exclude-checks", "positive_data_acceptance"], {}),
    (
        "what has an answer",
        ["--mode", "positive"],
        {"start_date": "2026-06-01", "end_date": "2026-06-20", "user_id": "USER", "page": 0, "per_page": 500},
    ),
]


def told_apart(terra, schema):
    """Each alternative requires what it has, for as they stand each of them takes whatever another one says."""
    for alternative in schema["oneOf"]:
        name = alternative.get("$ref", "").rsplit("/", 1)[-1]
        whole = terra["components"]["schemas"][name] if name else alternative
        if whole["type"] == "object":
            whole["required"] = [field for field in whole["properties"] if field not in ("message", "trace_id")]


def document(fixed, user):
    terra = yaml.safe_load(TERRA.read_text())
    terra["paths"] = {path: terra["paths"][path] for path in PATHS}
    terra.pop("webhooks", None)
    for path in terra["paths"].values():
        operation = path["get"]
        told_apart(terra, operation["responses"]["200"]["content"]["application/json"]["schema"])
        for parameter in operation["parameters"]:
            for kind in parameter["schema"].get("oneOf", []):
                if kind["type"] == "integer":
                    kind.update(minimum=1_000_000_000, maximum=9_999_999_999)
            if parameter["name"] in fixed:
                value = fixed[parameter["name"]]
                parameter["schema"] = {"const": user if value == "USER" else value}
                # One of the two is asked by.
                parameter["required"] = True
        operation["parameters"] = [p for p in operation["parameters"] if not fixed or p["name"] != "reference_id"]
        # Terra's document says of these alone nothing of a wrong key.
        operation["responses"].setdefault("401", {"$ref": "#/components/responses/Unauthorized"})
    return terra


def main(url, dev_id, api_key, user):
    failed = 0
    for name, more, fixed in RUNS:
        print(f"== {name}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "terra.yaml"
            path.write_text(yaml.safe_dump(document(fixed, user)))
            command = [
                pathlib.Path(sys.executable).parent / "schemathesis", "run", path, "--url", f"{url}/v2",
                "-H", f"dev-id: {dev_id}", "-H", f"x-api-key: {api_key}",
                "--phases", "examples,coverage,fuzzing", "--max-examples", "60", "--seed", "1",
                "--continue-on-failure", *more,
            ]
            failed |= subprocess.run(command, cwd=folder, check=False, timeout=LIMIT_S).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
