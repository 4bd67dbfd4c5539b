#!/usr/bin/env python3
"""Judges the contract's files with validators that are not ours.

  contract.py FOLDER ASYNCAPI-SCHEMA.json.gz

Every schema is JSON Schema 2020-12; every golden example of every version holds by the present schema
of its message; spoilt examples do not; asyncapi.yaml is an AsyncAPI 3.0.0 document, and what it points
to is there. Prints one line of counts.
"""

import copy
import gzip
import json
import pathlib
import sys

import jsonschema
import yaml


def spoilt(example, name):
    """Variants that no schema may take, with what is wrong."""
    if name.startswith("cmd-"):
        yield "a field that nobody knows", {**example, "extra": 1}
        yield "no expiry", {k: v for k, v in example.items() if k != "expires_at"}
        yield "a time that is a number", {**example, "issued_at": 1772323200}
        yield "an id of other characters", {**example, "id": "C 1"}
        yield "arguments that are a list", {**example, "args": []}
    elif "data" in example:
        for key in ("id", "type", "time", "data", "source"):
            yield f"no {key}", {k: v for k, v in example.items() if k != key}
        yield "a seq that is text", {**example, "seq": "7"} if "seq" in example else {}
        yield "another kind", {**example, "data": {**example["data"], "kind": "other"}}
        # Money and quantities are never floats: each decimal text as a number, each fen as a fraction.
        for path, value in leaves(example["data"]):
            key = path[-1]
            if str(key).endswith("_fen"):
                yield f"{path} a fraction", replaced(example, ["data", *path], 43.21)
            if key in ("value", "quantity", "exact", "unit_price", "used") and isinstance(value, str):
                yield f"{path} a number", replaced(example, ["data", *path], 312.5)


def leaves(value, path=()):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for key, inner in enumerate(value):
            yield from leaves(inner, (*path, key))
    else:
        yield list(path), value


def replaced(document, path, value):
    document = copy.deepcopy(document)
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return document


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    validators = {}
    for path in sorted((folder / "schemas").glob("*.json")):
        schema = json.loads(path.read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["$schema"].endswith("2020-12/schema"), path
        validators[path.stem] = jsonschema.Draft202012Validator(
            schema, format_checker=jsonschema.FormatChecker()
        )
    good = bad = 0
    versions = set()
    for path in sorted((folder / "examples").glob("*/*/*.json")):
        version, name = path.parts[-3], path.parts[-2]
        versions.add(version)
        example = json.loads(path.read_text())
        validators[name].validate(example)
        good += 1
        for what, wrong in spoilt(example, name):
            assert not validators[name].is_valid(wrong), f"{path}: {what} is taken"
            bad += 1
    document = yaml.safe_load((folder / "asyncapi.yaml").read_text())
    schema = json.loads(gzip.decompress(pathlib.Path(sys.argv[2]).read_bytes()))
    jsonschema.Draft7Validator(schema).validate(document)
    for channel in document["channels"].values():
        for message in channel["messages"].values():
            name = message["$ref"].rsplit("/", 1)[1]
            payload = document["components"]["messages"][name]["payload"]["schema"]["$ref"]
            assert (folder / payload).is_file(), payload
            for example in document["components"]["messages"][name]["examples"]:
                validators[pathlib.Path(payload).stem].validate(example["payload"])
    operations = document["operations"]
    print(
        f"{len(validators)} schemas, {good} examples of {len(versions)} versions hold, {bad} spoilt ones do not, "
        f"{len(document['channels'])} channels, {len(operations)} operations"
    )


main()
