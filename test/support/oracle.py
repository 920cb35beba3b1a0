"""oracle.py - claim ids, send deterministic spans, remember what was acknowledged, compare.

Every span's content follows from its number, so whoever finds it can check it whole:

    issued        numbers handed out
    acknowledged  numbers whose request was answered "ok"
    check_*()     what store and backend hold against both
"""
import hashlib
import itertools
import threading

import grpc
import requests
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2

BASE_TIME_NS = 1_750_000_000_000_000_000


def trace_id(trace):
    return hashlib.sha256(b"trace %d" % trace).digest()[:16]


def span_id(trace, index):
    return hashlib.sha256(b"span %d %d" % (trace, index)).digest()[:8]


def make_span(span, trace, index):
    """The whole content of one span of a trace: a chain under a root."""
    span.trace_id = trace_id(trace)
    span.span_id = span_id(trace, index)
    if index > 0:
        span.parent_span_id = span_id(trace, index - 1)
    span.name = f"step {index} of {trace}"
    span.kind = trace_pb2.Span.SPAN_KIND_SERVER if index == 0 else trace_pb2.Span.SPAN_KIND_INTERNAL
    span.start_time_unix_nano = BASE_TIME_NS + trace * 1_000_000 + index * 1000
    span.end_time_unix_nano = span.start_time_unix_nano + 500_000
    for key, value in (("number", trace), ("index", index)):
        attribute = span.attributes.add()
        attribute.key = key
        attribute.value.int_value = value
    attribute = span.attributes.add()
    attribute.key = "text"
    attribute.value.string_value = hashlib.sha256(b"text %d %d" % (trace, index)).hexdigest()


def make_request(traces, spans_per_trace, service="oracle"):
    request = trace_service_pb2.ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    attribute = resource_spans.resource.attributes.add()
    attribute.key = "service.name"
    attribute.value.string_value = service
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = "oracle"
    for trace in traces:
        for index in range(spans_per_trace):
            make_span(scope_spans.spans.add(), trace, index)
    return request


class Ledger:
    def __init__(self, spans_per_trace=4):
        self.spans_per_trace = spans_per_trace
        self.counter = itertools.count(1)
        self.lock = threading.Lock()
        self.issued = set()
        self.acknowledged = set()

    def claim(self, count):
        with self.lock:
            traces = [next(self.counter) for _ in range(count)]
            self.issued.update(traces)
        return traces

    def acknowledge(self, traces):
        with self.lock:
            self.acknowledged.update(traces)


class Sender(threading.Thread):
    """Sends until stopped; a request that fails is given up (never acknowledged)."""

    def __init__(self, ledger, gateway, use_grpc, traces_per_request=5):
        super().__init__(daemon=True)
        self.ledger, self.gateway, self.use_grpc = ledger, gateway, use_grpc
        self.traces_per_request = traces_per_request
        self.stopping = threading.Event()
        self.failures = 0

    def run(self):
        send = self.make_grpc() if self.use_grpc else self.make_http()
        while not self.stopping.is_set():
            traces = self.ledger.claim(self.traces_per_request)
            request = make_request(traces, self.ledger.spans_per_trace)
            if send(request):
                self.ledger.acknowledge(traces)
            else:
                self.failures += 1
                self.stopping.wait(0.02)

    def make_http(self):
        session = requests.Session()

        def send(request):
            try:
                answer = session.post(
                    self.gateway.http("/v1/traces"),
                    data=request.SerializeToString(),
                    headers={"Content-Type": "application/x-protobuf"},
                    timeout=10,
                )
                return answer.status_code == 200 and answer.content == b""
            except requests.RequestException:
                return False

        return send

    def make_grpc(self):
        channel = grpc.insecure_channel(
            self.gateway.grpc(),
            options=[("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)],
        )
        stub = trace_service_pb2_grpc.TraceServiceStub(channel)

        def send(request):
            try:
                return not stub.Export(request, timeout=10).HasField("partial_success")
            except grpc.RpcError:
                return False

        return send

    def stop(self):
        self.stopping.set()
        self.join(30)


def expected_spans(trace, count):
    """span id (hex) -> (name, text attribute)"""
    return {
        span_id(trace, i).hex(): (
            f"step {i} of {trace}",
            hashlib.sha256(b"text %d %d" % (trace, i)).hexdigest(),
        )
        for i in range(count)
    }


def found_spans(resource_spans):
    """[(span id, (name, text))] of OTLP/JSON resourceSpans."""
    found = []
    for rs in resource_spans:
        for ss in rs.get("scopeSpans", []):
            for span in ss.get("spans", []):
                text = next(
                    (a["value"].get("stringValue") for a in span.get("attributes", []) if a["key"] == "text"),
                    None,
                )
                found.append((span["spanId"], (span["name"], text)))
    return found


class Verdict:
    def __init__(self):
        self.lost, self.altered, self.duplicated, self.invented = [], [], [], []

    def compare(self, trace, spans_per_trace, found, acknowledged):
        expected = expected_spans(trace, spans_per_trace)
        ids = [span for span, _ in found]
        if len(ids) != len(set(ids)):
            self.duplicated.append(trace)
        for span, content in found:
            if span not in expected:
                self.invented.append((trace, span))
            elif expected[span] != content:
                self.altered.append((trace, span, content))
        if acknowledged and set(ids) != set(expected):
            self.lost.append((trace, len(set(ids)), len(expected)))

    def counts(self):
        return {name: len(getattr(self, name)) for name in ("lost", "altered", "duplicated", "invented")}


def check_store(ledger, gateway, traces=None):
    """Every acknowledged trace is in the store whole, once, unaltered."""
    verdict = Verdict()
    session = requests.Session()
    for trace in sorted(ledger.issued if traces is None else traces):
        answer = session.get(gateway.query(f"/api/v1/traces/{trace_id(trace).hex()}"), timeout=30)
        found = found_spans(answer.json()["resourceSpans"]) if answer.status_code == 200 else []
        assert answer.status_code in (200, 404), answer.text
        verdict.compare(trace, ledger.spans_per_trace, found, trace in ledger.acknowledged)
    return verdict


def check_backend(ledger, bodies):
    """The same for what a backend got, as OTLP/JSON objects."""
    verdict = Verdict()
    by_trace = {}
    for body in bodies:
        for rs in body.get("resourceSpans", []):
            for ss in rs.get("scopeSpans", []):
                for span in ss.get("spans", []):
                    one = [{"scopeSpans": [{"spans": [span]}]}]
                    by_trace.setdefault(span["traceId"], []).extend(found_spans(one))
    known = {trace_id(t).hex(): t for t in ledger.issued}
    for found_id, found in by_trace.items():
        if found_id not in known:
            verdict.invented.append(found_id)
    for trace in sorted(ledger.issued):
        found = by_trace.get(trace_id(trace).hex(), [])
        verdict.compare(trace, ledger.spans_per_trace, found, trace in ledger.acknowledged)
    return verdict
