"""Our .proto files and our schema table against the published descriptors.

What the installed packages say about OTLP, google.rpc and grpc.health is the reference. A message,
number, type, label, oneof, enum value or method that differs, in either direction, is a failure;
what is newer than the packages is listed in NEWER.

Needs protoc, and the program schema_dump of the build in SPANGATE_BUILD (default: build/dev).
"""

import importlib
import os
import pathlib
import shutil
import subprocess

import pytest
from google.protobuf import descriptor_pb2

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROTO = ROOT / "proto"
BUILD = pathlib.Path(os.environ.get("SPANGATE_BUILD", ROOT / "build" / "dev"))

OTLP = {
    "opentelemetry/proto/common/v1/common.proto": "opentelemetry.proto.common.v1.common_pb2",
    "opentelemetry/proto/resource/v1/resource.proto":
        "opentelemetry.proto.resource.v1.resource_pb2",
    "opentelemetry/proto/trace/v1/trace.proto": "opentelemetry.proto.trace.v1.trace_pb2",
    "opentelemetry/proto/metrics/v1/metrics.proto": "opentelemetry.proto.metrics.v1.metrics_pb2",
    "opentelemetry/proto/logs/v1/logs.proto": "opentelemetry.proto.logs.v1.logs_pb2",
    "opentelemetry/proto/collector/trace/v1/trace_service.proto":
        "opentelemetry.proto.collector.trace.v1.trace_service_pb2",
    "opentelemetry/proto/collector/metrics/v1/metrics_service.proto":
        "opentelemetry.proto.collector.metrics.v1.metrics_service_pb2",
    "opentelemetry/proto/collector/logs/v1/logs_service.proto":
        "opentelemetry.proto.collector.logs.v1.logs_service_pb2",
}
OTHERS = {
    "google/rpc/status.proto": "google.rpc.status_pb2",
    "google/rpc/error_details.proto": "google.rpc.error_details_pb2",
    "grpc/health/v1/health.proto": "grpc_health.v1.health_pb2",
}

# Published files of which we define only some messages.
PARTS = {"google/rpc/error_details.proto": {
    "google.rpc.RetryInfo",
    "google.rpc.BadRequest",
    "google.rpc.BadRequest.FieldViolation",
    "google.rpc.LocalizedMessage",
}}

# (message, number) of fields that the packages in test/support/requirements.txt do not have yet.
NEWER = set()

FIELD = descriptor_pb2.FieldDescriptorProto
TYPE_NAMES = {
    number: name[len("TYPE_"):].lower() for name, number in FIELD.Type.items()
}


def shape_of_file(proto):
    """Everything that matters on the wire or in JSON, as plain dictionaries."""
    messages, enums, services = {}, {}, {}

    def add_enum(prefix, enum):
        enums[f"{prefix}.{enum.name}"] = {value.name: value.number for value in enum.value}

    def add_message(prefix, message):
        name = f"{prefix}.{message.name}"
        fields = {}
        for field in message.field:
            oneof = None
            if field.HasField("oneof_index") and not field.proto3_optional:
                oneof = message.oneof_decl[field.oneof_index].name
            fields[field.number] = {
                "name": field.name,
                "json": field.json_name,
                "type": TYPE_NAMES[field.type],
                "repeated": field.label == FIELD.LABEL_REPEATED,
                "presence": field.proto3_optional,
                "oneof": oneof,
                "of": field.type_name.lstrip("."),
            }
        reserved = {n for r in message.reserved_range for n in range(r.start, r.end)}
        messages[name] = {
            "fields": fields,
            "reserved": reserved,
            "map": message.options.map_entry,
        }
        for inner in message.nested_type:
            add_message(name, inner)
        for inner in message.enum_type:
            add_enum(name, inner)

    for message in proto.message_type:
        add_message(proto.package, message)
    for enum in proto.enum_type:
        add_enum(proto.package, enum)
    for service in proto.service:
        services[f"{proto.package}.{service.name}"] = {
            method.name: (method.input_type.lstrip("."), method.output_type.lstrip("."),
                          method.client_streaming, method.server_streaming)
            for method in service.method
        }
    return {"messages": messages, "enums": enums, "services": services}


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    protoc = shutil.which("protoc")
    if protoc is None:
        pytest.skip("protoc is not installed")
    out = tmp_path_factory.mktemp("descriptors") / "all.bin"
    files = sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))
    subprocess.run([protoc, f"-I{PROTO}", f"--descriptor_set_out={out}", *files], check=True)
    descriptors = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    return {file.name: shape_of_file(file) for file in descriptors.file}


def published(module_name):
    module = importlib.import_module(module_name)
    proto = descriptor_pb2.FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(proto)
    shape = shape_of_file(proto)
    for name, message in shape["messages"].items():
        # Only the runtime knows the JSON names: they are not in the packages' files.
        runtime = module.DESCRIPTOR.pool.FindMessageTypeByName(name)
        for number, field in message["fields"].items():
            field["json"] = runtime.fields_by_number[number].json_name
    return shape


def test_every_proto_file_has_a_published_one(ours):
    assert set(ours) == set(OTLP) | set(OTHERS)


@pytest.mark.parametrize("file", sorted(OTLP) + sorted(OTHERS))
def test_messages_are_those_that_were_published(ours, file):
    mine = ours[file]
    theirs = published((OTLP | OTHERS)[file])
    names = set(theirs["messages"])
    if file in PARTS:
        assert PARTS[file] <= names
        names = PARTS[file]
    assert set(mine["messages"]) == names
    for name in names:
        my_fields = dict(mine["messages"][name]["fields"])
        for number in list(my_fields):
            if (name, number) in NEWER and number not in theirs["messages"][name]["fields"]:
                del my_fields[number]
        assert my_fields == theirs["messages"][name]["fields"], name
        assert mine["messages"][name]["map"] == theirs["messages"][name]["map"], name
        assert mine["messages"][name]["reserved"] == theirs["messages"][name]["reserved"], name


@pytest.mark.parametrize("file", sorted(OTLP) + sorted(OTHERS))
def test_enums_and_services_are_those_that_were_published(ours, file):
    theirs = published((OTLP | OTHERS)[file])
    assert ours[file]["enums"] == theirs["enums"]
    assert ours[file]["services"] == theirs["services"]


def test_what_is_listed_as_newer_is_newer(ours):
    """An entry that the packages have caught up with must go."""
    known = {}
    for module in (OTLP | OTHERS).values():
        known |= published(module)["messages"]
    stale = {(name, number) for name, number in NEWER if number in known[name]["fields"]}
    assert not stale


@pytest.fixture(scope="module")
def table():
    program = BUILD / "test" / "schema_dump"
    if not program.exists():
        pytest.skip(f"{program} is not built")
    messages, enums, current = {}, {}, None
    for line in subprocess.run([program], check=True, capture_output=True, text=True,
                               ).stdout.splitlines():
        kind, *rest = line.split(" ")
        if kind == "message":
            current = messages.setdefault(rest[0], {})
        elif kind == "enum":
            current = enums.setdefault(rest[0], {})
        elif kind == "field":
            number, name, json, type_, label, of = rest
            current[int(number)] = (name, json, type_, label, of)
        elif kind == "value":
            current[rest[1]] = int(rest[0])
    return {"messages": messages, "enums": enums}


def reference():
    """The published messages and enums by the names that the table uses."""
    prefix = "opentelemetry.proto."
    messages, enums = {}, {}
    for module in OTLP.values():
        shape = published(module)
        for name, message in shape["messages"].items():
            fields = {}
            for number, field in message["fields"].items():
                label = ("repeated" if field["repeated"] else
                         "oneof" if field["oneof"] else
                         "presence" if field["presence"] else "singular")
                fields[number] = (field["name"], field["json"], field["type"], label,
                                  field["of"].removeprefix(prefix) or "-")
            messages[name.removeprefix(prefix)] = (fields, message["reserved"])
        for name, values in shape["enums"].items():
            enums[name.removeprefix(prefix)] = values
    return messages, enums


def test_the_schema_table_has_the_published_fields(table):
    messages, _ = reference()
    for name, fields in table["messages"].items():
        if ".InstrumentationLibrary" in name:
            continue  # gone from the published files: what the retired field 1000 holds
        expected, reserved = messages[name]
        retired = {n for n, field in fields.items() if field[3] == "retired"}
        assert retired <= reserved, name
        mine = {n: f for n, f in fields.items()
                if n not in retired and not (
                    (f"opentelemetry.proto.{name}", n) in NEWER and n not in expected)}
        assert mine == expected, name


def test_the_schema_table_has_every_message_that_requests_hold(table):
    messages, _ = reference()
    reached, open_names = set(), [
        "collector.trace.v1.ExportTraceServiceRequest",
        "collector.metrics.v1.ExportMetricsServiceRequest",
        "collector.logs.v1.ExportLogsServiceRequest",
    ]
    while open_names:
        name = open_names.pop()
        if name in reached:
            continue
        reached.add(name)
        open_names += [f[4] for f in messages[name][0].values() if f[2] == "message"]
    tabled = {name for name in table["messages"] if ".InstrumentationLibrary" not in name}
    assert tabled == reached


def test_the_schema_table_has_the_published_enums(table):
    _, enums = reference()
    for name, values in table["enums"].items():
        assert values == enums[name], name
