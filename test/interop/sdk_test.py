"""Real SDKs as senders: one fixed set of spans through each SDK, protocol and compression, compared
field by field with what the store and the backend got. The result is printed as a table.

A language that this machine lacks is skipped with its reason.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from gateway import Backend, Gateway, spans_of, wait_until

HERE = pathlib.Path(__file__).parent
WORK = HERE.parent.parent / "build" / "interop"
FIXED = json.loads((HERE / "spans.json").read_text(encoding="utf-8"))
KINDS = {"INTERNAL": 1, "SERVER": 2, "CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5}
CODES = {"UNSET": 0, "OK": 1, "ERROR": 2}

MATRIX = {
    "python": ["http/protobuf", "grpc"],
    "javascript": ["http/json", "http/protobuf", "grpc"],
    "go": ["http/protobuf", "grpc"],
    "java": ["http/protobuf", "grpc"],
}
CASES = [(sdk, protocol, compression) for sdk, ps in MATRIX.items() for protocol in ps for compression in ("none", "gzip")]


def run(*command, cwd=None, env=None):
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=900)
    if done.returncode != 0:
        pytest.fail(f"{' '.join(map(str, command))}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done


def copy_sources(name):
    """Build outside the source tree."""
    target = WORK / name
    target.mkdir(parents=True, exist_ok=True)
    for source in (HERE / name).rglob("*"):
        if source.is_file() and "node_modules" not in source.parts:
            place = target / source.relative_to(HERE / name)
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.exists() or place.read_bytes() != source.read_bytes():
                shutil.copyfile(source, place)
    return target


_prepared = {}


def sender(sdk):
    """The command that sends with this SDK, made ready once; skips where the language is missing."""
    if sdk not in _prepared:
        _prepared[sdk] = None
        _prepared[sdk] = PREPARE[sdk]()
    if _prepared[sdk] is None:
        pytest.fail(f"the {sdk} sender could not be built")
    if isinstance(_prepared[sdk], str):
        pytest.skip(_prepared[sdk])
    return _prepared[sdk]


def prepare_python():
    return [sys.executable, str(HERE / "python" / "send.py")]


def prepare_javascript():
    if not shutil.which("node") or not shutil.which("npm"):
        return "Node.js is not installed"
    version = run("node", "--version").stdout.strip()
    if int(version.lstrip("v").split(".")[0]) < 18:
        return f"Node.js {version} is older than the SDK takes (18)"
    folder = copy_sources("javascript")
    run("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", cwd=folder)
    return ["node", str(folder / "send.js")]


def prepare_go():
    go = shutil.which("go") or ("/usr/local/go/bin/go" if os.path.exists("/usr/local/go/bin/go") else None)
    if not go:
        return "Go is not installed"
    wanted = [l.split()[1] for l in (HERE / "go" / "go.mod").read_text().splitlines() if l.startswith("go ")][0]
    have = run(go, "env", "GOVERSION").stdout.strip().removeprefix("go")
    if [int(x) for x in have.split(".")[:2]] < [int(x) for x in wanted.split(".")[:2]]:
        return f"Go {have} is older than {wanted}"
    folder = copy_sources("go")
    run(go, "build", "-o", "send", ".", cwd=folder, env={**os.environ, "GOTOOLCHAIN": "local"})
    return [str(folder / "send")]


def prepare_java():
    if not shutil.which("mvn") or not shutil.which("javac"):
        return "Maven or a JDK is not installed"
    folder = copy_sources("java")
    run("mvn", "-q", "-B", "compile", "dependency:build-classpath", "-Dmdep.outputFile=classpath", cwd=folder)
    classpath = (folder / "classpath").read_text().strip()
    return ["java", "-cp", f"{folder}/target/classes:{classpath}", "Send"]


PREPARE = {"python": prepare_python, "javascript": prepare_javascript, "go": prepare_go, "java": prepare_java}


def typed(value):
    """An OTLP/JSON AnyValue as (type, plain value)."""
    (kind, content), = value.items()
    if kind == "intValue":
        return ("int", int(content))
    if kind == "doubleValue":
        return ("double", float(content))
    if kind == "arrayValue":
        return ("array", [typed(v) for v in content.get("values", [])])
    return ({"stringValue": "string", "boolValue": "bool"}[kind], content)


def expected_value(value):
    (kind, content), = value.items()
    if kind == "strings":
        return ("array", [("string", c) for c in content])
    if kind == "ints":
        return ("array", [("int", c) for c in content])
    return (kind, content)


def attributes(kvs):
    return {kv["key"]: typed(kv["value"]) for kv in kvs or []}


def normal(span):
    """A span of OTLP/JSON, in the terms of spans.json."""
    return {
        "traceId": span["traceId"],
        "spanId": span["spanId"],
        "parent": span.get("parentSpanId", ""),
        "name": span["name"],
        "kind": span.get("kind", 0),
        "start": int(span["startTimeUnixNano"]),
        "end": int(span["endTimeUnixNano"]),
        "attributes": attributes(span.get("attributes")),
        "events": [(e["name"], int(e["timeUnixNano"]), attributes(e.get("attributes"))) for e in span.get("events", [])],
        "links": [(l["traceId"], l["spanId"], attributes(l.get("attributes"))) for l in span.get("links", [])],
        "status": (span.get("status", {}).get("code", 0), span.get("status", {}).get("message", "")),
        "dropped": [span.get(f"dropped{what}Count", 0) for what in ("Attributes", "Events", "Links")],
    }


def expected():
    spans = []
    for one in FIXED["spans"]:
        values = lambda typed_map: {k: expected_value(v) for k, v in typed_map.items()}
        spans.append(
            {
                "traceId": FIXED["traceId"],
                "spanId": one["spanId"],
                "parent": "" if one["parent"] is None else FIXED["spans"][one["parent"]]["spanId"],
                "name": one["name"],
                "kind": KINDS[one["kind"]],
                "start": int(one["start"]),
                "end": int(one["end"]),
                "attributes": values(one["attributes"]),
                "events": [(e["name"], int(e["time"]), values(e["attributes"])) for e in one["events"]],
                "links": [(l["traceId"], l["spanId"], values(l["attributes"])) for l in one["links"]],
                "status": (CODES[one["status"]["code"]], one["status"]["message"]),
                "dropped": [0, 0, 0],
            }
        )
    return spans


def differences(where, got):
    """What differs from spans.json, a line each."""
    found = []
    by_id = {}
    for resource, scope, span in got:
        if span["spanId"] in by_id:
            found.append(f"{where}: {span['spanId']} is there twice")
        by_id[span["spanId"]] = normal(span)
        name = attributes(resource.get("attributes")).get("service.name")
        if name != ("string", FIXED["service"]):
            found.append(f"{where}: service.name is {name}")
        if (scope.get("name"), scope.get("version")) != (FIXED["scope"]["name"], FIXED["scope"]["version"]):
            found.append(f"{where}: scope is {scope}")
    for one in expected():
        span = by_id.pop(one["spanId"], None)
        if span is None:
            found.append(f"{where}: {one['name']} is missing")
            continue
        for field, value in one.items():
            if span[field] != value:
                found.append(f"{where}: {one['name']}: {field}: {span[field]!r} where {value!r} belongs")
    found += [f"{where}: {s['name']} was never sent" for s in by_id.values()]
    return found


@pytest.fixture(scope="module")
def table():
    rows = []
    yield rows
    print("\n\n| SDK | protocol | compression | spans | fields differing in the store | at the backend |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")


@pytest.mark.parametrize("sdk,protocol,compression", CASES, ids=lambda v: v.replace("/", "-"))
def test_every_field_arrives(tmp_path, table, sdk, protocol, compression):
    command = sender(sdk)
    with Backend() as backend:
        config = f"""
exporters:
  otlp_http: {{endpoint: "{backend.url()}", encoding: json, compression: none}}
service:
  pipelines:
    traces: {{receivers: [otlp], exporters: [trace_store, otlp_http]}}
"""
        with Gateway(tmp_path, config=config) as gw:
            endpoint = gw.grpc() if protocol == "grpc" else gw.http()
            run(*command, str(HERE / "spans.json"), protocol, compression, endpoint)
            stored = spans_of(gw.wait_finalized(FIXED["traceId"]))
            wait_until(lambda: backend.requests, "the trace at the backend")
            sent = [one for body in backend.bodies() for one in spans_of(body)]
    in_store, at_backend = differences("store", stored), differences("backend", sent)
    table.append((sdk, protocol, compression, len(stored), len(in_store), len(at_backend)))
    assert in_store + at_backend == []
