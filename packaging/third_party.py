#!/usr/bin/env python3
"""What is in the program beside its own code, for one target: a software bill of materials
(CycloneDX 1.5, JSON) and the licences of every crate, both from `cargo metadata` and the crates' own
files. Python 3, standard library.

    packaging/third_party.py TRIPLE OUT        writes OUT/sbom.cdx.json and OUT/third-party-licences
"""
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = "blockgate"


def metadata(triple):
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", triple]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


def linked(data):
    """Package ids that end up in the program: reached without dev- and build-dependencies."""
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    start = next(p["id"] for p in data["packages"] if p["name"] == PROGRAM and p["source"] is None)
    edges, todo = {}, [start]
    while todo:
        here = todo.pop()
        if here in edges:
            continue
        normal = [d["pkg"] for d in nodes[here]["deps"] if any(k["kind"] is None for k in d["dep_kinds"])]
        edges[here] = sorted(normal)
        todo += normal
    return start, edges


def reference(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def checksums():
    """The registry's SHA-256 of each crate, from Cargo.lock."""
    sums, name, version = {}, None, None
    for line in (ROOT / "Cargo.lock").read_text().splitlines():
        key, _, value = line.partition(" = ")
        value = value.strip('"')
        if key == "name":
            name = value
        elif key == "version":
            version = value
        elif key == "checksum":
            sums[name, version] = value
    return sums


def sbom(packages, start, edges, epoch):
    sums = checksums()

    def component(package, kind):
        entry = {
            "type": kind,
            "bom-ref": reference(package),
            "name": package["name"],
            "version": package["version"],
            "purl": reference(package),
            "licenses": [{"expression": (package["license"] or "LicenseRef-file").replace("/", " OR ")}],
        }
        if (package["name"], package["version"]) in sums:
            entry["hashes"] = [{"alg": "SHA-256", "content": sums[package["name"], package["version"]]}]
        return entry

    own = packages[start]
    others = sorted((packages[i] for i in edges if i != start), key=reference)
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch)),
            "component": component(own, "application"),
        },
        "components": [component(p, "library") for p in others],
        "dependencies": sorted(
            ({"ref": reference(packages[i]), "dependsOn": sorted(reference(packages[d]) for d in on)}
             for i, on in edges.items()),
            key=lambda entry: entry["ref"],
        ),
    }
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).digest()
    document["serialNumber"] = f"urn:uuid:{uuid.UUID(bytes=digest[:16], version=4)}"
    return document


def licences(packages, start, edges):
    """One text: who, under what, and each different licence file once."""
    texts, lines = {}, []
    for package in sorted((packages[i] for i in edges if i != start), key=reference):
        if package["source"] is None:
            continue
        folder = pathlib.Path(package["manifest_path"]).parent
        found = []
        for file in sorted(folder.iterdir()):
            upper = file.name.upper()
            if file.is_file() and upper.startswith(("LICENSE", "LICENCE", "COPYING", "NOTICE", "COPYRIGHT")):
                text = file.read_text(errors="replace").strip()
                number = texts.setdefault(text, len(texts) + 1)
                found.append(f"[{number}]")
        where = " ".join(found) or "no file of its own"
        lines.append(f"{package['name']} {package['version']}: {package['license']} {where}")
    head = ["Crates of others that are part of the program, with their licences. Numbers refer to the", "texts below.", ""]
    body = []
    for text, number in texts.items():
        body += ["", "-" * 72, f"[{number}]", "", text]
    return "\n".join(head + lines + body) + "\n"


def main():
    triple, out = sys.argv[1], pathlib.Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    data = metadata(triple)
    packages = {p["id"]: p for p in data["packages"]}
    start, edges = linked(data)
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    (out / "sbom.cdx.json").write_text(json.dumps(sbom(packages, start, edges, epoch), indent=1) + "\n")
    (out / "third-party-licences").write_text(licences(packages, start, edges))
    print(f"{len(edges) - 1} crates in the program for {triple}")


main()
