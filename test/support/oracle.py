#!/usr/bin/env python3
"""oracle.py - claim ids, send deterministic spans, remember what was acknowledged, compare.

Every span's content follows from its number, so whoever finds it can check it whole:

    issued        numbers handed out
    acknowledged  numbers whose request was answered "ok"
    check_*()     what store and backend hold against both

Alone, against a gateway that runs somewhere (with the modules of build/venv):

    build/venv/bin/python test/support/oracle.py --http http://127.0.0.1:4318 \\
        --query http://127.0.0.1:16686 --seconds 10 [--grpc 127.0.0.1:4317] [--senders 2]

sends for so long, then asks for every trace, prints the counts as JSON, and ends with 1 when
something that was acknowledged is missing, altered or there twice.
"""
import argparse
import collections
import hashlib
import http.client
import itertools
import json
import sys
import threading
import time
import urllib.parse

import grpc
import requests
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2

BASE_TIME_NS = 1_750_000_000_000_000_000


def trace_id(trace):
    return hashlib.sha256(b"trace %d" % trace).digest()[:16]


def span_id(trace, index):
    return hashlib.sha256(b"span %d %d" % (trace, index)).digest()[:8]


def make_span(span, trace, index, padding=0):
    """The whole content of one span of a trace: a chain under a root."""
    span.trace_id = trace_id(trace)
    span.span_id = span_id(trace, index)
    if index > 0:
        span.parent_span_id = span_id(trace, index - 1)
    span.name = f"step {index} of {trace}"
    span.kind = trace_pb2.Span.SPAN_KIND_SERVER if index == 0 else trace_pb2.Span.SPAN_KIND_INTERNAL
    span.start_time_unix_nano = BASE_TIME_NS + trace % 10**9 * 1_000_000 + index * 1000
    span.end_time_unix_nano = span.start_time_unix_nano + 500_000
    for key, value in (("number", trace), ("index", index)):
        attribute = span.attributes.add()
        attribute.key = key
        attribute.value.int_value = value
    attribute = span.attributes.add()
    attribute.key = "text"
    attribute.value.string_value = hashlib.sha256(b"text %d %d" % (trace, index)).hexdigest()
    if padding > 0:
        attribute = span.attributes.add()
        attribute.key = "padding"
        attribute.value.string_value = hashlib.shake_128(b"%d %d" % (trace, index)).hexdigest(padding // 2)


def make_request(traces, spans_per_trace, service="oracle", padding=0):
    request = trace_service_pb2.ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    attribute = resource_spans.resource.attributes.add()
    attribute.key = "service.name"
    attribute.value.string_value = service
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = "oracle"
    for trace in traces:
        for index in range(spans_per_trace):
            make_span(scope_spans.spans.add(), trace, index, padding)
    return request


class Ledger:
    """first: the first number, another one for each run against a gateway that keeps its data;
    padding: bytes by which spans are larger than they must be."""

    def __init__(self, spans_per_trace=4, first=1, padding=0):
        self.spans_per_trace = spans_per_trace
        self.padding = padding
        self.counter = itertools.count(first)
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
    """Sends until stopped. A request that fails is given up (never acknowledged), or with
    retry=True sent again as it is until it is taken, like an SDK does.

    answers counts what came back: "200", "429 retry-after", "UNAVAILABLE retry-info", "broken".
    """

    def __init__(self, ledger, gateway, use_grpc, traces_per_request=5, retry=False, pause=0.02):
        super().__init__(daemon=True)
        self.ledger, self.gateway, self.use_grpc = ledger, gateway, use_grpc
        self.traces_per_request = traces_per_request
        self.retry, self.pause = retry, pause
        self.stopping = threading.Event()
        self.failures = 0
        self.answers = collections.Counter()
        self.last_ok = 0.0  # time.monotonic()

    def run(self):
        send = self.make_grpc() if self.use_grpc else self.make_http()
        while not self.stopping.is_set():
            traces = self.ledger.claim(self.traces_per_request)
            request = make_request(
                traces, self.ledger.spans_per_trace, padding=self.ledger.padding
            )
            while not self.stopping.is_set():
                ok, answer = send(request)
                self.answers[answer] += 1
                if ok:
                    self.ledger.acknowledge(traces)
                    self.last_ok = time.monotonic()
                    break
                self.failures += 1
                self.stopping.wait(self.pause)
                if not self.retry:
                    break

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
            except requests.RequestException:
                return False, "broken"
            hint = " retry-after" if "Retry-After" in answer.headers else ""
            ok = answer.status_code == 200 and answer.content == b""
            return ok, f"{answer.status_code}{hint}"

        return send

    def make_grpc(self):
        channel = grpc.insecure_channel(
            self.gateway.grpc(),
            options=[("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)],
        )
        stub = trace_service_pb2_grpc.TraceServiceStub(channel)

        def send(request):
            try:
                return not stub.Export(request, timeout=10).HasField("partial_success"), "OK"
            except grpc.RpcError as error:
                details = dict(error.trailing_metadata() or ())
                if "grpc-status-details-bin" not in details:
                    return False, "broken"  # the connection's end, not the gateway's answer
                hint = " retry-info" if b"RetryInfo" in details["grpc-status-details-bin"] else ""
                return False, error.code().name + hint

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
        self.whole = 0  # traces found complete

    def compare(self, trace, spans_per_trace, found, acknowledged):
        expected = expected_spans(trace, spans_per_trace)
        ids = [span for span, _ in found]
        self.whole += set(ids) == set(expected)
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


def fetch_traces(query_url, ids):
    """(id, found spans) of traces in the store, over one connection."""
    url = urllib.parse.urlsplit(query_url)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    for number in ids:
        connection.request("GET", f"/api/v1/traces/{trace_id(number).hex()}")
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status in (200, 404), body
        yield number, found_spans(json.loads(body)["resourceSpans"]) if answer.status == 200 else []
    connection.close()


def check_store(ledger, gateway, traces=None):
    """Every acknowledged trace is in the store whole, once, unaltered."""
    verdict = Verdict()
    numbers = sorted(ledger.issued if traces is None else traces)
    for trace, found in fetch_traces(gateway.query(), numbers):
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


class Installation:
    """A gateway that somebody else runs: what Sender and check_store() want to know of it."""

    def __init__(self, http_url, query_url, grpc_endpoint=None):
        self.http_url, self.query_url = http_url.rstrip("/"), query_url.rstrip("/")
        self.grpc_endpoint = grpc_endpoint

    def http(self, path=""):
        return self.http_url + path

    def query(self, path=""):
        return self.query_url + path

    def grpc(self):
        return self.grpc_endpoint


def main():
    parser = argparse.ArgumentParser(
        description="Send spans to a gateway, then check that it has what it acknowledged."
    )
    parser.add_argument("--http", required=True, metavar="URL", help="OTLP/HTTP, like http://127.0.0.1:4318")
    parser.add_argument("--query", required=True, metavar="URL", help="query API, like http://127.0.0.1:16686")
    parser.add_argument("--grpc", metavar="HOST:PORT", help="OTLP/gRPC: every second sender uses it")
    parser.add_argument("--seconds", type=float, default=10, help="how long to send (default 10)")
    parser.add_argument("--senders", type=int, default=2, help="connections (default 2)")
    options = parser.parse_args()

    installation = Installation(options.http, options.query, options.grpc)
    ledger = Ledger(first=time.time_ns() // 1000 * 1000)  # never the numbers of another run
    senders = [
        Sender(ledger, installation, use_grpc=bool(options.grpc) and i % 2 == 1, retry=True)
        for i in range(options.senders)
    ]
    for sender in senders:
        sender.start()
    time.sleep(options.seconds)
    for sender in senders:
        sender.stop()
    verdict = check_store(ledger, installation)
    answers = sum((s.answers for s in senders), collections.Counter())
    result = {
        "issued": len(ledger.issued),
        "acknowledged": len(ledger.acknowledged),
        "stored": verdict.whole,
        **verdict.counts(),
        "answers": dict(answers),
    }
    print(json.dumps(result, indent=2))
    return 1 if any(verdict.counts().values()) or not ledger.acknowledged else 0


if __name__ == "__main__":
    sys.exit(main())
