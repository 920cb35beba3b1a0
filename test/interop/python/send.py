"""send.py SPANS PROTOCOL COMPRESSION ENDPOINT: the fixed spans through the OpenTelemetry Python SDK."""
import json
import sys

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, set_span_in_context

spans_path, protocol, compression, endpoint = sys.argv[1:5]
fixed = json.load(open(spans_path, encoding="utf-8"))


class FixedIds(IdGenerator):
    def __init__(self):
        self.spans = iter(int(s["spanId"], 16) for s in fixed["spans"])

    def generate_trace_id(self):
        return int(fixed["traceId"], 16)

    def generate_span_id(self):
        return next(self.spans)


def value(typed):
    (one,) = typed.values()
    return one


def attributes(typed):
    return {key: value(one) for key, one in typed.items()}


def make_exporter():
    if protocol == "grpc":
        import grpc
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        mode = grpc.Compression.Gzip if compression == "gzip" else grpc.Compression.NoCompression
        return OTLPSpanExporter(endpoint=endpoint, insecure=True, compression=mode)
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    mode = Compression.Gzip if compression == "gzip" else Compression.NoCompression
    return OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", compression=mode)


class Noticing:
    """The exporter, remembering whether every export succeeded."""

    def __init__(self, inner):
        self.inner, self.failed = inner, False

    def export(self, spans):
        result = self.inner.export(spans)
        self.failed |= result is not SpanExportResult.SUCCESS
        return result

    def shutdown(self):
        self.inner.shutdown()

    def force_flush(self, timeout_millis=30000):
        return True


exporter = Noticing(make_exporter())
provider = TracerProvider(
    resource=Resource.create({"service.name": fixed["service"]}), id_generator=FixedIds()
)
provider.add_span_processor(BatchSpanProcessor(exporter))
tracer = provider.get_tracer(fixed["scope"]["name"], fixed["scope"]["version"])

made = []
for one in fixed["spans"]:
    context = None if one["parent"] is None else set_span_in_context(made[one["parent"]])
    links = [
        Link(SpanContext(int(l["traceId"], 16), int(l["spanId"], 16), is_remote=True), attributes(l["attributes"]))
        for l in one["links"]
    ]
    span = tracer.start_span(
        one["name"], context=context, kind=SpanKind[one["kind"]], attributes=attributes(one["attributes"]),
        links=links, start_time=int(one["start"]),
    )
    for event in one["events"]:
        span.add_event(event["name"], attributes(event["attributes"]), timestamp=int(event["time"]))
    if one["status"]["code"] != "UNSET":
        span.set_status(Status(StatusCode[one["status"]["code"]], one["status"]["message"] or None))
    made.append(span)
for one, span in zip(fixed["spans"], made):
    span.end(end_time=int(one["end"]))
provider.shutdown()
sys.exit(1 if exporter.failed else 0)
