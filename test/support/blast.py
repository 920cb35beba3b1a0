"""blast.py - more load than an oracle makes: whole requests made once, sent with fresh trace ids.

Each connection is a process of its own, so that Python's lock does not slow the others. What was
acknowledged is counted, not remembered.
"""
import collections
import http.client
import multiprocessing
import os
import time
import urllib.parse

import oracle
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

MARK = b"\xa5MARKED\x5a"  # the first eight bytes of every trace id in a template
BIG_TRACE = bytes(range(1, 17))
SPANS = 1000
TRACES = 100


def template(padding):
    """A request of 100 traces of 10 spans each, about 300 bytes a span and the padding."""
    request = oracle.make_request(range(TRACES), SPANS // TRACES, service="blast", padding=padding)
    for span in request.resource_spans[0].scope_spans[0].spans:
        span.trace_id = MARK + span.trace_id[:8]
    body = request.SerializeToString()
    assert body.count(MARK) == SPANS
    return body


def connection(gateway):
    url = urllib.parse.urlsplit(gateway.http())
    return http.client.HTTPConnection(url.hostname, url.port, timeout=60)


def post(link, body):
    link.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
    answer = link.getresponse()
    answer.read()
    return answer.status


def blast(gateway, padding, stopping, results):
    body = template(padding)
    sent, acknowledged, refused = 0, 0, collections.Counter()
    link = connection(gateway)
    while not stopping.is_set():
        fresh = body.replace(MARK, os.urandom(8))
        status = 0
        while status != 200 and not stopping.is_set():
            sent += SPANS
            try:
                status = post(link, fresh)
            except (OSError, http.client.HTTPException):
                link = connection(gateway)
                refused["broken"] += 1
                continue
            if status != 200:
                refused[str(status)] += 1
                time.sleep(0.01)
        acknowledged += SPANS if status == 200 else 0
    results.put((sent, acknowledged, refused))


class Blast:
    def __init__(self, gateway, connections, padding=500):
        context = multiprocessing.get_context("fork")
        self.stopping, self.results = context.Event(), context.Queue()
        self.processes = [
            context.Process(target=blast, args=(gateway, padding, self.stopping, self.results), daemon=True)
            for _ in range(connections)
        ]
        for process in self.processes:
            process.start()

    def stop(self):
        """(spans sent, spans acknowledged, refusals by status)"""
        self.stopping.set()
        sent, acknowledged, refused = 0, 0, collections.Counter()
        for _ in self.processes:
            one = self.results.get(timeout=90)
            sent, acknowledged, refused = sent + one[0], acknowledged + one[1], refused + one[2]
        for process in self.processes:
            process.join()
        return sent, acknowledged, refused


def insist(link, body):
    """Send until it is taken."""
    for _ in range(2000):
        status = post(link, body)
        if status == 200:
            return
        assert status in (429, 503), status
        time.sleep(0.02)
    raise AssertionError("refused for too long")


def send_trace(gateway, span_count):
    """BIG_TRACE: spans without a root, 1000 a request."""
    link = connection(gateway)
    for first in range(0, span_count, SPANS):
        request = oracle.make_request([0], min(SPANS, span_count - first), service="blast")
        for i, span in enumerate(request.resource_spans[0].scope_spans[0].spans):
            span.trace_id = BIG_TRACE
            span.span_id = (first + i + 1).to_bytes(8, "big")
            span.parent_span_id = b"\xff" * 8
        insist(link, request.SerializeToString())


def send_open_traces(gateway, count):
    """Traces of one span each whose root never comes; the id of the last."""
    link = connection(gateway)
    number = 0
    while number < count:
        request = oracle.make_request([0], min(SPANS, count - number), service="blast")
        for span in request.resource_spans[0].scope_spans[0].spans:
            number += 1
            span.trace_id = b"open" + number.to_bytes(12, "big")
            span.span_id = number.to_bytes(8, "big")
            span.parent_span_id = b"\xff" * 8
        insist(link, request.SerializeToString())
    return b"open" + number.to_bytes(12, "big")


def send_odd_times(gateway):
    """Finished traces of one span each, with times at the ends of what there is; their ids."""
    pairs = [
        (1, 2),  # 1970
        (2**63 - 2, 2**63 - 1),  # 2262
        (2**63 - 1, 1),  # it ends before it begins, by all the time there is
        (oracle.BASE_TIME_NS, oracle.BASE_TIME_NS - 10**9),
        (2**64 - 1, 2**64 - 1),
        (2**64 - 1, 1),
    ]
    request = trace_service_pb2.ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    ids = []
    for number, (start, end) in enumerate(pairs, 1):
        ids.append(b"odd!" + number.to_bytes(12, "big"))
        spans.add(
            trace_id=ids[-1], span_id=number.to_bytes(8, "big"), name="odd",
            start_time_unix_nano=start, end_time_unix_nano=end,
        )
    insist(connection(gateway), request.SerializeToString())
    return ids
