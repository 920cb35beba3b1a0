"""fixtures.py - requests with known content, the same at every run.

    f1(trace)      checkout: frontend calls payments, which fails; 4 spans of 2 services, 120 ms
    f2a, f2b, f2c  a client whose server is silent, a message through a topic, a named peer
    f3(trace)      a child of F1's payments span that comes late
    f4(trace)      three spans of which two have wrong ids
    f5(trace)      every field of a span and every kind of value, also unknown ones
    f8()           100 traces of a client and a server, the server 10 to 1000 ms
    f10a, f10b     F1 without its error, as its two processes would send it

All are ExportTraceServiceRequest messages; to_json() gives the same content as OTLP/JSON. `trace`
is a number: only the trace id follows from it, so two fixtures of different traces are equal but
for that.
"""
import base64
import hashlib
import json

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

START_NS = 1_750_000_000_123_456_789
MS = 1_000_000
ID_KEYS = {"traceId", "spanId", "parentSpanId"}


def trace_id(trace):
    return hashlib.sha256(b"fixture trace %d" % trace).digest()[:16]


def span_id(name):
    return hashlib.sha256(b"fixture span " + name.encode()).digest()[:8]


def put(attributes, **values):
    """Attributes by keyword; `__` stands for a dot."""
    for key, value in values.items():
        value_field = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value"}
        attribute = attributes.add(key=key.replace("__", "."))
        setattr(attribute.value, value_field[type(value)], value)


def scope_of(request, service, scope, version="1.0", **resource):
    """A new ScopeSpans below the ResourceSpans of the service."""
    for resource_spans in request.resource_spans:
        if resource_spans.resource.attributes[0].value.string_value == service:
            break
    else:
        resource_spans = request.resource_spans.add()
        put(resource_spans.resource.attributes, service__name=service, **resource)
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = scope
    scope_spans.scope.version = version
    return scope_spans


def add_span(scope_spans, trace, name, kind, start_ms, end_ms, parent=None, span=None, **attributes):
    one = scope_spans.spans.add()
    one.trace_id = trace_id(trace)
    one.span_id = span_id(span or name)
    if parent:
        one.parent_span_id = span_id(parent)
    one.name = name
    one.kind = kind
    one.start_time_unix_nano = START_NS + start_ms * MS
    one.end_time_unix_nano = START_NS + end_ms * MS
    put(one.attributes, **attributes)
    return one


def add_frontend(request, trace):
    server = scope_of(request, "frontend", "http.server", host__name="web-1")
    add_span(
        server, trace, "POST /checkout", Span.SPAN_KIND_SERVER, 0, 120, http__request__method="POST",
        http__response__status_code=502,
    )
    client = scope_of(request, "frontend", "http.client")
    add_span(
        client, trace, "POST payments", Span.SPAN_KIND_CLIENT, 10, 110, parent="POST /checkout",
        peer__service="payments", http__request__method="POST",
    )


def add_payments(request, trace, error):
    server = scope_of(request, "payments", "http.server", host__name="pay-1", service__version="2.1")
    charge = add_span(
        server, trace, "POST /charge", Span.SPAN_KIND_SERVER, 15, 105, parent="POST payments",
        peer__service="frontend", amount__cents=12950,
    )
    if error:
        charge.status.code = Status.STATUS_CODE_ERROR
        charge.status.message = "card declined"
        event = charge.events.add(name="exception", time_unix_nano=START_NS + 100 * MS)
        put(event.attributes, exception__type="CardDeclined", exception__message="card declined")
    client = scope_of(request, "payments", "db.client", "0.3")
    add_span(
        client, trace, "SELECT cards", Span.SPAN_KIND_CLIENT, 20, 60, parent="POST /charge",
        peer__service="db.internal", db__system="postgresql", db__rows=1,
    )


def f1(trace=1, error=True):
    request = ExportTraceServiceRequest()
    add_frontend(request, trace)
    add_payments(request, trace, error)
    return request


F1_NAMES = ["POST /checkout", "POST payments", "POST /charge", "SELECT cards"]
F1_PARENTS = {"POST /checkout": None, "POST payments": "POST /checkout", "POST /charge": "POST payments",
              "SELECT cards": "POST /charge"}


def f2a(trace=2):
    request = ExportTraceServiceRequest()
    add_span(scope_of(request, "shop", "http.client"), trace, "GET nowhere", Span.SPAN_KIND_CLIENT, 0, 5)
    return request


def f2b(trace=3):
    request = ExportTraceServiceRequest()
    add_span(
        scope_of(request, "orders", "kafka"), trace, "orders publish", Span.SPAN_KIND_PRODUCER, 0, 5,
        messaging__destination__name="orders",
    )
    add_span(
        scope_of(request, "billing", "kafka"), trace, "orders process", Span.SPAN_KIND_CONSUMER, 9, 20,
        parent="orders publish", messaging__destination__name="orders",
    )
    return request


def f2c(trace=4):
    request = ExportTraceServiceRequest()
    add_span(
        scope_of(request, "shop", "redis.client"), trace, "GET cart", Span.SPAN_KIND_CLIENT, 0, 2,
        peer__service="redis",
    )
    return request


def f3(trace=1):
    request = ExportTraceServiceRequest()
    add_span(
        scope_of(request, "payments", "audit", host__name="pay-1", service__version="2.1"), trace,
        "write audit log", Span.SPAN_KIND_INTERNAL, 90, 104, parent="POST /charge",
    )
    return request


def f4(trace=5):
    request = ExportTraceServiceRequest()
    scope_spans = scope_of(request, "careless", "test")
    short = add_span(scope_spans, trace, "short trace id", Span.SPAN_KIND_INTERNAL, 0, 1)
    short.trace_id = short.trace_id[:15]
    add_span(scope_spans, trace, "good", Span.SPAN_KIND_SERVER, 0, 1)
    zero = add_span(scope_spans, trace, "zero span id", Span.SPAN_KIND_INTERNAL, 0, 1)
    zero.span_id = bytes(8)
    return request


def unknown_field(number, text):
    """A field that nobody has defined, as bytes."""
    tag = number << 3 | 2
    return bytes([tag & 0x7F | 0x80, tag >> 7, len(text)]) + text


UNKNOWN = unknown_field(500, b"from a newer sender")


def f5(trace=6):
    """As a message; the unknown field of its span is in it too."""
    request = ExportTraceServiceRequest()
    scope_spans = scope_of(request, "every-field", "all", "9.9")
    resource_spans = request.resource_spans[0]
    resource_spans.schema_url = "https://example.org/resource/1"
    resource_spans.resource.dropped_attributes_count = 1
    scope_spans.schema_url = "https://example.org/scope/2"
    put(scope_spans.scope.attributes, scope__key="scope value")
    scope_spans.scope.dropped_attributes_count = 2
    span = add_span(
        scope_spans, trace, "nul \0 and ünïcødé 🚀", 99, 0, 7,
        text="plain", empty="", yes=True, no=False, zero=0, big=9007199254740993, least=-(2**63), half=0.5,
        not_a_number=float("nan"), infinite=float("inf"), minus_infinite=float("-inf"), minus_zero=-0.0,
    )
    span.trace_state = "vendor=value,other=1"
    span.flags = 257
    span.attributes.add(key="bytes").value.bytes_value = b"\x01\x02\x03"
    span.attributes.add(key="no value")
    span.attributes.add(key="empty value").value.SetInParent()
    span.attributes.add(key="").value.string_value = "the key is empty"
    span.attributes.add(key="twice").value.int_value = 1
    span.attributes.add(key="twice").value.int_value = 2
    mixed = span.attributes.add(key="array").value.array_value
    mixed.values.add().string_value = "a"
    mixed.values.add().int_value = 1
    mixed.values.add().array_value.values.add().bool_value = True
    mixed.values.add()
    span.attributes.add(key="empty array").value.array_value.SetInParent()
    nested = span.attributes.add(key="map").value.kvlist_value
    inner = nested.values.add(key="inner").value.kvlist_value
    inner.values.add(key="deep").value.double_value = 1e-7
    nested.values.add(key="bytes").value.bytes_value = bytes(range(256))
    span.dropped_attributes_count = 3
    event = span.events.add(name="event", time_unix_nano=START_NS + 3 * MS, dropped_attributes_count=4)
    put(event.attributes, message="it happened")
    span.dropped_events_count = 5
    link = span.links.add(
        trace_id=trace_id(999), span_id=span_id("elsewhere"), trace_state="x=y", flags=1, dropped_attributes_count=6
    )
    put(link.attributes, opentracing__ref_type="follows_from")
    span.dropped_links_count = 7
    span.status.code = Status.STATUS_CODE_OK
    span.status.message = "fine"
    span.MergeFromString(UNKNOWN)
    return request


def f8(first_trace=100, count=100):
    request = ExportTraceServiceRequest()
    client = scope_of(request, "cli", "http.client")
    server = scope_of(request, "srv", "http.server")
    for i in range(count):
        end_ms = 10 * (i + 1)
        call = add_span(client, first_trace + i, "call", Span.SPAN_KIND_CLIENT, 0, end_ms + 2)
        serve = add_span(
            server, first_trace + i, "serve", Span.SPAN_KIND_SERVER, 1, end_ms + 1, parent="call", number=i
        )
        for span in (call, serve):  # a second between traces, so that they have an order
            span.start_time_unix_nano += i * 1000 * MS
            span.end_time_unix_nano += i * 1000 * MS
    return request


def f10a(trace=1):
    request = ExportTraceServiceRequest()
    add_frontend(request, trace)
    return request


def f10b(trace=1):
    request = ExportTraceServiceRequest()
    add_payments(request, trace, error=False)
    return request


def hex_ids(value):
    """In place: the ids of a protobuf JSON object from base64 to the hex that OTLP/JSON has."""
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, list):
            stack.extend(one)
        elif isinstance(one, dict):
            for key, member in one.items():
                if key in ID_KEYS:
                    one[key] = base64.b64decode(member).hex()
                else:
                    stack.append(member)
    return value


def to_json(request):
    """OTLP/JSON of a request: what an SDK that speaks it would send (without unknown fields)."""
    return hex_ids(json_format.MessageToDict(request, use_integers_for_enums=True))


def to_json_bytes(request):
    return json.dumps(to_json(request)).encode()


def all_spans(request):
    """[(resource, scope, span)] of a message."""
    return [
        (resource_spans.resource, scope_spans.scope, span)
        for resource_spans in request.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]
