"""What the systems that Spangate stands in for can do, checked on the real program, one promise a test.

Names of the rows are those of the list of features. Where a row is shown elsewhere, that test is
named here and not repeated. `mj` is main_job_test.py, `unit:` is below test/unit.

| Row | What | Test |
|---|---|---|
| XT-01 | Jaeger | test_the_jaeger_example_brings_a_trace_with_its_parents (a real Jaeger with JAEGER_OTLP, JAEGER_QUERY) |
| XT-02 | Tempo's tenant | test_the_tempo_example_names_its_tenant, mj::test_an_export_that_cannot_work_does_not_touch_store_or_client |
| XT-03 | Monoscope | test_the_monoscope_example_sends_what_monoscope_takes, docs_test.py::test_monoscope_without_its_key_is_refused_with_the_reason |
| XT-04 | OTLP/JSON | test_json_in_snake_case_with_unknown_members_is_taken, test_exported_json_keeps_the_rules; unit:otlp/json_decode_test.c, json_encode_test.c |
| XT-05 | retry classes | test_a_backend_is_given_the_time_it_asked_for, test_a_refused_batch_is_tried_once; unit:export/otlp_http_test.c::every_status_has_its_verdict, export/grpc_outcome_test.c |
| XT-06 | partial success of a backend | mj::test_partial_success_is_counted_and_not_sent_again |
| XT-08 | batching | mj::test_many_small_traces_are_sent_in_few_requests, test_no_request_is_over_the_batch_size |
| XT-09 | finalized or accepted | mj::test_accepted_mode_sends_before_the_trace_is_finished, test_an_open_trace_is_not_exported_before_it_is_finished |
| XT-11 | OTLP/gRPC | mj::test_grpc_speaks_to_the_reference_implementation, test_a_message_over_the_limit_is_refused_for_good; unit:receiver/grpc_test.c, net/h2_server_test.c |
| XT-12 | OTLP/HTTP | test_browsers_may_send_from_allowed_origins; unit:receiver/http_test.c, httpd/httpd_test.c |
| XT-13 | bad spans alone | test_bad_spans_do_not_take_their_neighbours_along |
| XT-16 | ports in use | mj::test_a_busy_port_is_named, docs_test.py::test_examples_leave_our_ports_to_us |
| OO-37 | malformed ids | test_bad_spans_do_not_take_their_neighbours_along |
| MM-18 | nanoseconds | test_times_keep_every_nanosecond_as_string_and_as_number |
| MM-22 | span fields | test_a_parent_of_zeros_is_a_root |
| MM-23 | values | test_every_value_is_shown_as_it_was_sent |
| MM-24 | zero times | test_spans_without_times_are_kept_and_marked |
| MM-25 | losses | test_every_field_comes_out_at_a_backend_as_it_went_in |
| MM-26 | HTTP shape | mj::test_every_encoding_stores_the_same, test_bodies_that_cannot_be_taken_are_told_apart |
| MM-27 | error mapping | mj::test_bad_requests_get_the_status_in_their_own_encoding, test_bodies_that_cannot_be_taken_are_told_apart |
| MM-28 | retried requests | test_a_request_sent_twice_is_stored_and_exported_once, test_one_id_with_two_contents_keeps_both |
| MM-37 | gRPC in | mj::test_grpc_speaks_to_the_reference_implementation; unit:receiver/grpc_test.c::export_is_answered_with_five_zero_bytes_and_status_0 |
| MM-38 | read your writes | mj::test_read_your_writes |
| TA-02 | replay | crash_test.py, test_logs_and_metrics_survive_kill_9 |
| TA-03 | append, apply, mark | test_sixteen_clients_lose_nothing_by_kill_9; unit:wal/fault_test.c |
| TA-04 | record codec | unit:wal/format_test.c: a_cut_record_is_too_short, version_99_is_unsupported, tag_77_is_unknown_but_its_length_holds, every_flipped_bit_is_found; wal/recover_test.c::a_tail_torn_at_any_byte_is_cut_and_the_rest_replays |
| TA-08 | traces apart | test_spans_of_one_request_find_their_traces |
| TA-16 | open and stored as one | test_a_trace_half_stored_half_open_is_shown_whole |
| TA-34 | reopen | mj::test_a_restart_keeps_open_and_stored_traces, crash_test.py |
| TA-36 | full disk | test_a_full_disk_means_later_and_is_got_over; unit:wal/wal_test.c::a_full_disk_means_limit_and_each_append_tries_again |
| TA-39 | health | test_a_long_replay_is_healthy_but_not_ready |
| RF-04 | one assembler | test_children_may_come_before_their_root, test_open_traces_stay_within_memory |
| RF-05 | late spans | mj::test_a_trace_goes_from_open_to_finalized_and_on_to_revision_2, test_two_clients_and_a_late_span_make_one_trace_in_two_parts |
| RF-07 | open traces are seen | mj::test_a_trace_goes_from_open_to_finalized_and_on_to_revision_2, test_an_open_trace_is_not_exported_before_it_is_finished |
| RF-08 | search over both | test_a_search_merges_open_and_stored_traces, test_a_search_counts_each_span_once_while_traces_are_stored |
| RF-38 | export outlives an outage | test_a_backend_that_was_away_gets_everything_once |
| RF-39 | ids and times | test_exported_json_keeps_the_rules |
| RF-42 | resource and scope | test_the_jaeger_example_brings_a_trace_with_its_parents |
| RF-43 | one path | unit:export/otlp_http_test.c::the_path_of_the_signal_stands_in_the_url_exactly_once, mj::test_the_backend_is_told_headers_and_asked_again |
| RF-51 | export never harms | test_a_backend_that_always_fails_costs_nothing_but_its_own_copy |
| RF-53 | several destinations | mj::test_two_destinations_do_not_wait_for_each_other, test_two_backends_and_the_store_get_each_span_once |
| E1 | any SDK | test_every_way_in_stores_the_same_trace |
| E2 | fan-out | test_two_backends_and_the_store_get_each_span_once |
| E4 | distributed | test_two_clients_and_a_late_span_make_one_trace_in_two_parts |
"""
import base64
import gzip
import http.server
import json
import os
import pathlib
import shutil
import stat
import subprocess
import threading
import time

import fixtures
import grpc
import oracle
import pytest
import requests
from fixtures import MS, START_NS, f1, f3, f4, f5, f8, f10a, f10b, span_id, to_json, to_json_bytes, trace_id
from gateway import Backend, Gateway, spans_of, wait_until
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

ROOT = pathlib.Path(__file__).resolve().parents[2]
JSON = {"Content-Type": "application/json"}
PROTOBUF = {"Content-Type": "application/x-protobuf"}


def to(*exporters, more=""):
    """A configuration whose traces go to the store and to these exporters: (id, keys) each."""
    lines = "\n".join(f"  {name}: {{{keys}}}" for name, keys in exporters)
    names = ", ".join(["trace_store", *[name for name, _ in exporters]])
    return f"""
exporters:
{lines}
service:
  pipelines:
    traces: {{receivers: [otlp], exporters: [{names}]}}
{more}
"""


SOON = "retry_on_failure: {initial_interval: 50ms, max_interval: 100ms}"


def post(gateway, request, expect=200):
    answer = requests.post(
        gateway.http("/v1/traces"), data=request.SerializeToString(), headers=PROTOBUF, timeout=30
    )
    assert answer.status_code == expect, answer.content
    return ExportTraceServiceResponse.FromString(answer.content) if expect == 200 else answer


def post_json(gateway, body, expect=200):
    answer = requests.post(gateway.http("/v1/traces"), json=body, timeout=30)
    assert answer.status_code == expect, answer.text
    return answer.json()


def post_grpc(gateway, request, compression=grpc.Compression.NoCompression):
    with grpc.insecure_channel(gateway.grpc()) as channel:
        stub = trace_service_pb2_grpc.TraceServiceStub(channel)
        return stub.Export(request, compression=compression, timeout=30)


def names(trace):
    return [span["name"] for _, _, span in spans_of(trace)]


def by_name(trace):
    return {span["name"]: span for _, _, span in spans_of(trace)}


def attribute(span, key):
    """The value of an attribute; the last one counts when there are several."""
    found = [a.get("value") for a in span["attributes"] if a.get("key", "") == key]
    assert found, f"no attribute {key!r} in {span}"
    return found[-1]


def traces_at(backend):
    """{trace id: [span names]} of what a backend got, as JSON or protobuf."""
    got = {}
    for body in backend.bodies():
        body = body if isinstance(body, dict) else to_json(body)
        for _, _, span in spans_of(body):
            got.setdefault(span["traceId"], []).append(span["name"])
    return got


def simple_span(name, parent=None, trace=1, start_ms=0, end_ms=1):
    """A span message of service shop; "root" is what others name as parent."""
    request = ExportTraceServiceRequest()
    fixtures.add_span(
        fixtures.scope_of(request, "shop", "test"), trace, name, fixtures.Span.SPAN_KIND_SERVER, start_ms, end_ms,
        parent=parent,
    )
    return request


# --- examples for backends ---


def example(gateway, name):
    """Let the gateway run a configuration of deploy/config, on its own ports."""
    gateway.config = (ROOT / "deploy" / "config" / name).read_text(encoding="utf-8")
    gateway.sets += [
        f"receivers.otlp.protocols.{protocol}.endpoint=127.0.0.1:{gateway.ports[protocol]}"
        for protocol in ("http", "grpc")
    ]
    return gateway


def check_f1_whole(message):
    """F1 as it was sent: parents, resources, scopes."""
    want, got = fixtures.all_spans(f1()), fixtures.all_spans(message)
    assert len(message.resource_spans) == 2
    key = lambda one: one[2].span_id
    for (resource, scope, span), (got_resource, got_scope, got_span) in zip(
        sorted(want, key=key), sorted(got, key=key), strict=True
    ):
        if not got_span.status.ByteSize():
            got_span.ClearField("status")  # JSON always has one
        assert (got_resource, got_scope, got_span) == (resource, scope, span)


def from_json(body):
    """OTLP/JSON bytes as message; ids from hex. Python would make an integer of -0."""
    loaded = json.loads(body, parse_int=lambda digits: -0.0 if digits == "-0" else int(digits))
    stack = [loaded]
    while stack:
        one = stack.pop()
        if isinstance(one, list):
            stack.extend(one)
        elif isinstance(one, dict):
            for key, member in one.items():
                if key in fixtures.ID_KEYS:
                    one[key] = base64.b64encode(bytes.fromhex(member)).decode()
                else:
                    stack.append(member)
    return json_format.ParseDict(loaded, ExportTraceServiceRequest())


def test_the_jaeger_example_brings_a_trace_with_its_parents(tmp_path):
    real = os.environ.get("JAEGER_OTLP")
    with Backend() as backend:
        gateway = example(Gateway(tmp_path), "jaeger.yaml")
        gateway.sets += [
            f"exporters.otlp_http/jaeger.endpoint={real or backend.url()}",
            "exporters.otlp_http/jaeger.compression=none",
        ]
        with gateway:
            post(gateway, f1())
            if real:
                url = f"{os.environ['JAEGER_QUERY']}/api/traces/{trace_id(1).hex()}"
                wait_until(lambda: requests.get(url, timeout=5).status_code == 200, "the trace in Jaeger")
                jaeger = requests.get(url, timeout=5).json()["data"][0]
                assert len(jaeger["spans"]) == 4
                parents = {s["operationName"]: [r["spanID"] for r in s["references"]] for s in jaeger["spans"]}
                for name, parent in fixtures.F1_PARENTS.items():
                    assert parents[name] == ([span_id(parent).hex()] if parent else [])
                return
            wait_until(lambda: backend.requests, "the trace at the backend")
            assert backend.requests[0][0] == "/v1/traces"
            assert backend.requests[0][1]["Content-Type"] == "application/json"
            check_f1_whole(from_json(backend.requests[0][2]))


def test_the_tempo_example_names_its_tenant(tmp_path, monkeypatch):
    with Backend() as backend:
        monkeypatch.setenv("TEMPO_ENDPOINT", backend.url())
        monkeypatch.setenv("TEMPO_TENANT", "team-a")
        with example(Gateway(tmp_path), "tempo.yaml") as gateway:
            post(gateway, f1())
            wait_until(lambda: backend.requests, "the trace at the backend")
            assert backend.requests[0][1]["X-Scope-OrgID"] == "team-a"
            assert sorted(traces_at(backend)[trace_id(1).hex()]) == sorted(fixtures.F1_NAMES)


def test_the_monoscope_example_sends_what_monoscope_takes(tmp_path, monkeypatch):
    full = ExportTraceServiceResponse()
    full.partial_success.rejected_spans = 4
    full.partial_success.error_message = "free tier exceeded"
    script = [(200, {"Content-Type": "application/x-protobuf"}, full.SerializeToString())]
    with Backend(script) as backend:
        monkeypatch.setenv("MONOSCOPE_ENDPOINT", backend.url())
        monkeypatch.setenv("MONOSCOPE_KEY", "very-secret-key")
        with example(Gateway(tmp_path), "monoscope.yaml") as gateway:
            post(gateway, f1())
            wait_until(lambda: gateway.metric("spangate_exporter_rejected_spans_total") == 4, "counted")
            path, headers, body = backend.requests[0]
            headers = {name.lower(): value for name, value in headers.items()}
            assert path == "/v1/traces"
            assert headers["x-api-key"] == "very-secret-key"
            assert headers["content-type"] == "application/x-protobuf"
            assert "content-encoding" not in headers
            check_f1_whole(ExportTraceServiceRequest.FromString(body))
            post(gateway, f1(2))
            wait_until(lambda: len(backend.requests) == 2, "the next trace")
            assert list(traces_at(backend)) == [trace_id(1).hex(), trace_id(2).hex()], "nothing is sent again"
            assert "free tier exceeded" in gateway.log()
            assert "very-secret-key" not in gateway.log()


# --- export ---


def test_exported_json_keeps_the_rules(tmp_path):
    with Backend() as backend:
        with Gateway(tmp_path, config=to(("otlp_http", f'endpoint: "{backend.url()}", encoding: json'))) as gateway:
            post(gateway, f1())
            post(gateway, f5())
            wait_until(lambda: len(traces_at(backend)) == 2, "both traces")
            spans = [span for body in backend.bodies() for _, _, span in spans_of(body)]
            for span in spans:
                assert len(span["traceId"]) == 32 and len(span["spanId"]) == 16
                assert span["traceId"] == span["traceId"].lower() and bytes.fromhex(span["traceId"])
                assert span["startTimeUnixNano"].isdigit() and span["endTimeUnixNano"].isdigit()
                assert isinstance(span["kind"], int)
                assert isinstance(span["status"].get("code", 0), int)
            everything = next(s for s in spans if s["traceId"] == trace_id(6).hex())
            assert attribute(everything, "big") == {"intValue": "9007199254740993"}
            assert attribute(everything, "bytes") == {"bytesValue": "AQID"}
            assert attribute(everything, "not_a_number") == {"doubleValue": "NaN"}
            assert everything["flags"] == 257 and everything["kind"] == 99


def test_every_field_comes_out_at_a_backend_as_it_went_in(tmp_path):
    sent = f5()
    with Backend() as protobuf, Backend() as as_json:
        config = to(
            ("otlp_http/protobuf", f'endpoint: "{protobuf.url()}"'),
            ("otlp_http/json", f'endpoint: "{as_json.url()}", encoding: json, compression: none'),
        )
        with Gateway(tmp_path, config=config) as gateway:
            post(gateway, sent)
            wait_until(lambda: protobuf.requests and as_json.requests, "the trace at both")
            got = protobuf.bodies()[0]
            canonical = got.SerializeToString(deterministic=True)
            assert fixtures.UNKNOWN in canonical, "a field of a newer sender is kept"
            assert canonical == sent.SerializeToString(deterministic=True)
            assert without_unknown(from_json(as_json.requests[0][2])) == without_unknown(sent)


def without_unknown(message):
    """As bytes: NaN is not equal to itself."""
    copy = type(message).FromString(message.SerializeToString())
    copy.DiscardUnknownFields()
    return copy.SerializeToString(deterministic=True)


def test_a_backend_is_given_the_time_it_asked_for(tmp_path):
    arrived = []
    with Backend([(503, {"Retry-After": "2"}, b"")], lambda *_: arrived.append(time.monotonic())) as backend:
        config = to(("otlp_http", f'endpoint: "{backend.url()}", {SOON}'))
        with Gateway(tmp_path, config=config) as gateway:
            post(gateway, f1())
            wait_until(lambda: gateway.metric("spangate_exporter_sent_spans_total") == 4, "delivered")
            assert len(arrived) == 2
            assert arrived[1] - arrived[0] >= 2


def test_a_refused_batch_is_tried_once(tmp_path):
    with Backend([(400, {}, b"no")]) as backend:
        with Gateway(tmp_path, config=to(("otlp_http", f'endpoint: "{backend.url()}", {SOON}'))) as gateway:
            post(gateway, simple_span("root"))
            wait_until(lambda: gateway.metric("spangate_exporter_failed_spans_total") == 1, "dropped and counted")
            post(gateway, simple_span("root", trace=2))
            wait_until(lambda: gateway.metric("spangate_exporter_sent_spans_total") == 1, "the next one is sent")
            assert len(backend.requests) == 2
            assert gateway.metric("spangate_exporter_retries_total") == 0


def test_no_request_is_over_the_batch_size(tmp_path):
    most = 10_000
    with Backend() as backend:
        config = to((
            "otlp_http",
            f'endpoint: "{backend.url()}", compression: none, '
            f"sending_queue: {{batch: {{sizer: bytes, max_size: {most}, min_size: {most}}}}}",
        ))
        with Gateway(tmp_path, config=config) as gateway:
            for first in range(100, 500, 50):
                post(gateway, f8(first, 50))
            wait_until(lambda: gateway.metric("spangate_exporter_sent_spans_total") == 800, "all sent")
            sizes = [sum(span.ByteSize() for _, _, span in fixtures.all_spans(body)) for body in backend.bodies()]
            assert max(sizes) <= most, sizes
            assert len(sizes) < 2 * sum(sizes) / most + 8, "and not much smaller either"
            assert all(sorted(got) == ["call", "serve"] for got in traces_at(backend).values())


def test_an_open_trace_is_not_exported_before_it_is_finished(tmp_path):
    with Backend() as backend:
        config = to(("otlp_http", f'endpoint: "{backend.url()}", encoding: json'))
        with Gateway(tmp_path, config=config, idle="60s") as gateway:
            for name in ("first", "second", "third"):
                post(gateway, simple_span(name, parent="root"))
            trace = gateway.trace(trace_id(1).hex())
            assert trace["state"] == "open" and trace["spanCount"] == 3 and trace["incomplete"]
            assert requests.get(gateway.query("/api/v1/traces"), params={"start": "0"}, timeout=10).json()["traces"][0][
                "state"
            ] == "open"
            post(gateway, simple_span("root", trace=2))
            wait_until(lambda: gateway.metric("spangate_exporter_sent_spans_total") == 1, "the finished one is sent")
            assert list(traces_at(backend)) == [trace_id(2).hex()]
            finish = gateway.query(f"/api/v1/traces/{trace_id(1).hex()}/finish")
            assert requests.post(finish, timeout=10).json() == {
                "traceId": trace_id(1).hex(), "state": "finalized"
            }
            trace = gateway.wait_finalized(trace_id(1).hex())
            assert trace["reason"] == "admin"
            wait_until(lambda: gateway.metric("spangate_exporter_sent_spans_total") == 4, "the other one too")
            assert requests.post(finish, timeout=10).status_code == 404


def pause(backend):
    """Nobody listens on the backend's port any more."""
    backend.server.shutdown()
    backend.server.server_close()


def resume(backend):
    backend.server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", backend.port), backend.server.RequestHandlerClass
    )
    threading.Thread(target=backend.server.serve_forever, daemon=True).start()


def test_a_backend_that_was_away_gets_everything_once(tmp_path):
    with Backend() as backend:
        pause(backend)
        config = to(("otlp_http", f'endpoint: "{backend.url()}", encoding: json, {SOON}'))
        with Gateway(tmp_path, config=config) as gateway:
            for trace in range(1, 51):
                post(gateway, f1(trace))
            gateway.wait_finalized(trace_id(50).hex())

            def complains():
                one = requests.get(gateway.query("/api/v1/status"), timeout=10).json()["exporters"][0]
                return one if one["lastError"] and one["lagBytes"] > 0 and one["retries"] > 1 else None

            status = wait_until(complains, "the status shows what is wrong")
            assert str(backend.port) in status["lastError"]
            assert status["sent"] == 0 and status["failed"] == 0
            resume(backend)
            wait_until(lambda: gateway.metric("spangate_exporter_sent_spans_total") == 200, "all sent")
            got = traces_at(backend)
            assert len(got) == 50
            assert all(sorted(spans) == sorted(fixtures.F1_NAMES) for spans in got.values())
            status = requests.get(gateway.query("/api/v1/status"), timeout=10).json()["exporters"][0]
            assert status["lagBytes"] == 0 and status["sent"] == 200


@pytest.mark.parametrize("status, dropped", [(500, 40), (503, 0)])
def test_a_backend_that_always_fails_costs_nothing_but_its_own_copy(tmp_path, status, dropped):
    with Backend([(status, {}, b"broken")] * 100_000) as backend:
        with Gateway(tmp_path, config=to(("otlp_http", f'endpoint: "{backend.url()}", {SOON}'))) as gateway:
            for trace in range(1, 11):
                post(gateway, f1(trace))
            wait_until(lambda: len(backend.requests) >= 3, "attempts")
            for trace in range(1, 11):
                assert len(spans_of(gateway.wait_finalized(trace_id(trace).hex()))) == 4
            wait_until(lambda: gateway.metric("spangate_exporter_failed_spans_total") == dropped, "dropped")
            assert gateway.metric("spangate_exporter_sent_spans_total") == 0
            assert gateway.metric("spangate_stored_spans_total") == 40
            backend.script.clear()  # so that stopping need not wait for it


def test_two_backends_and_the_store_get_each_span_once(tmp_path):
    with Backend() as as_json, Backend([(503, {}, b"")] * 5) as protobuf:
        config = to(
            ("otlp_http/json", f'endpoint: "{as_json.url()}", encoding: json'),
            ("otlp_http/protobuf", f'endpoint: "{protobuf.url()}", compression: zstd, {SOON}'),
        )
        with Gateway(tmp_path, config=config) as gateway:
            post(gateway, f1())
            for first in range(100, 200, 20):
                post(gateway, f8(first, 20))
            wait_until(lambda: gateway.metric("spangate_exporter_sent_spans_total") == 2 * 204, "both have all")
            assert gateway.metric("spangate_exporter_retries_total") == 5
            for backend, refused in ((as_json, 0), (protobuf, 5)):
                taken = backend.bodies()[refused:]
                spans = [
                    (span["traceId"], span["spanId"])
                    for body in taken
                    for _, _, span in spans_of(body if isinstance(body, dict) else to_json(body))
                ]
                assert len(spans) == len(set(spans)) == 204
            assert gateway.metric("spangate_stored_spans_total") == 204
            for trace in [1, *range(100, 200)]:
                assert len(spans_of(gateway.trace(trace_id(trace).hex()))) == (4 if trace == 1 else 2)


# --- taking data in ---


def ways_in():
    def http(pack, headers):
        def send(gateway, request):
            body = to_json_bytes(request) if headers is JSON else request.SerializeToString()
            coding = {"Content-Encoding": "gzip"} if pack is gzip.compress else {}
            answer = requests.post(gateway.http("/v1/traces"), data=pack(body), headers={**headers, **coding}, timeout=10)
            assert answer.status_code == 200 and answer.content == (b"{}" if headers is JSON else b"")

        return send

    plain = bytes
    return [
        http(plain, JSON),
        http(gzip.compress, JSON),
        http(plain, PROTOBUF),
        http(gzip.compress, PROTOBUF),
        lambda gateway, request: post_grpc(gateway, request),
        lambda gateway, request: post_grpc(gateway, request, grpc.Compression.Gzip),
    ]


@pytest.mark.parametrize("fixture", [f1, f5], ids=["checkout", "every_field"])
def test_every_way_in_stores_the_same_trace(tmp_path, fixture):
    with Gateway(tmp_path) as gateway:
        answers = []
        for trace, send in enumerate(ways_in(), start=1):
            request = fixture(trace)
            # JSON cannot carry fields that are not defined yet.
            request.DiscardUnknownFields()
            send(gateway, request)
            shown = gateway.wait_finalized(trace_id(trace).hex())
            jaeger = requests.get(gateway.query(f"/api/traces/{trace_id(trace).hex()}"), timeout=10).json()
            answers.append(json.dumps([shown, jaeger]).replace(trace_id(trace).hex(), "the trace"))
        assert len(set(answers)) == 1, answers
        shown = json.loads(answers[0])[0]
        assert shown["spanCount"] == (4 if fixture is f1 else 1) and not shown["incomplete"]
        if fixture is f1:
            assert names(shown) == fixtures.F1_NAMES


def test_json_in_snake_case_with_unknown_members_is_taken(tmp_path):
    def snake(value):
        if isinstance(value, list):
            return [snake(one) for one in value]
        if isinstance(value, dict):
            changed = {
                "".join("_" + c.lower() if c.isupper() else c for c in key): snake(one) for key, one in value.items()
            }
            return {**changed, "not_yet_known": {"deep": [1, None, {"x": "y"}]}}
        return value

    with Gateway(tmp_path) as gateway:
        post_json(gateway, to_json(f1(1)))
        post_json(gateway, snake(to_json(f1(2))))
        first, second = (gateway.wait_finalized(trace_id(trace).hex()) for trace in (1, 2))
        assert json.dumps(second).replace(trace_id(2).hex(), trace_id(1).hex()) == json.dumps(first)


@pytest.mark.parametrize("way", ["json", "protobuf", "grpc"])
def test_bad_spans_do_not_take_their_neighbours_along(tmp_path, way):
    with Gateway(tmp_path) as gateway:
        request = f4()
        if way == "json":
            body = to_json(request)
            base64_id = body["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
            base64_id["traceId"] = "Z6z8LqVvEI+kU1/Ci6mXBQ=="
            partial = post_json(gateway, body)["partialSuccess"]
            assert partial["rejectedSpans"] == "2"
            message = partial["errorMessage"]
        else:
            answer = post(gateway, request) if way == "protobuf" else post_grpc(gateway, request)
            assert answer.partial_success.rejected_spans == 2
            message = answer.partial_success.error_message
        assert "trace id" in message.lower().replace("_", " ").replace("traceid", "trace id"), message
        shown = gateway.wait_finalized(trace_id(5).hex())
        assert names(shown) == ["good"]
        assert gateway.metric("spangate_receiver_refused_spans_total") == 2
        assert gateway.metric("spangate_receiver_accepted_spans_total") == 1


def test_times_keep_every_nanosecond_as_string_and_as_number(tmp_path):
    with Gateway(tmp_path) as gateway:
        for trace, form in ((1, str), (2, int)):
            body = to_json(simple_span("root", trace=trace))
            span = body["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
            span["startTimeUnixNano"] = form(START_NS)
            span["endTimeUnixNano"] = form(START_NS + 1)
            post_json(gateway, body)
            [(_, _, got)] = spans_of(gateway.trace(trace_id(trace).hex()))
            assert got["startTimeUnixNano"] == str(START_NS)
            assert got["endTimeUnixNano"] == str(START_NS + 1)


def test_a_parent_of_zeros_is_a_root(tmp_path):
    request = simple_span("root")
    request.resource_spans[0].scope_spans[0].spans[0].parent_span_id = bytes(8)
    with Gateway(tmp_path, idle="60s") as gateway:
        post(gateway, request)
        shown = gateway.wait_finalized(trace_id(1).hex())
        assert shown["reason"] == "root_quiet" and not shown["incomplete"]
        jaeger = requests.get(gateway.query(f"/api/traces/{trace_id(1).hex()}"), timeout=10).json()
        assert jaeger["data"][0]["spans"][0]["references"] == []


def test_every_value_is_shown_as_it_was_sent(tmp_path):
    with Gateway(tmp_path) as gateway:
        post(gateway, f5())
        [(resource, scope, span)] = spans_of(gateway.trace(trace_id(6).hex()))
        want = to_json(f5())["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
        assert span == {**want, "status": want["status"]}
        assert attribute(span, "big") == {"intValue": "9007199254740993"}
        assert attribute(span, "bytes") == {"bytesValue": "AQID"}
        assert attribute(span, "not_a_number") == {"doubleValue": "NaN"}
        assert attribute(span, "infinite") == {"doubleValue": "Infinity"}
        text = requests.get(gateway.query(f"/api/v1/traces/{trace_id(6).hex()}"), timeout=10).text
        assert '{"key":"minus_zero","value":{"doubleValue":-0}}' in text
        assert attribute(span, "twice") == {"intValue": "2"}
        assert span["name"] == "nul \0 and ünïcødé 🚀"
        assert resource["droppedAttributesCount"] == 1 and scope["droppedAttributesCount"] == 2


def test_spans_without_times_are_kept_and_marked(tmp_path):
    with Gateway(tmp_path, idle="300ms") as gateway:
        no_end, no_start = simple_span("no end"), simple_span("no start", trace=2)
        no_end.resource_spans[0].scope_spans[0].spans[0].end_time_unix_nano = 0
        no_start.resource_spans[0].scope_spans[0].spans[0].start_time_unix_nano = 0
        before = time.time_ns()
        for request in (no_end, no_start):
            assert not post(gateway, request).HasField("partial_success")
        for trace in (1, 2):
            shown = gateway.wait_finalized(trace_id(trace).hex())
            assert shown["incomplete"] and len(spans_of(shown)) == 1
        assert gateway.metric("spangate_incomplete_spans_total") == 2

        def times(trace):
            jaeger = requests.get(gateway.query(f"/api/traces/{trace_id(trace).hex()}"), timeout=10).json()
            span = jaeger["data"][0]["spans"][0]
            assert span["warnings"] == ["start or end time is missing"]
            return span["startTime"], span["duration"]

        assert times(1) == (START_NS // 1000, 0)
        start_us, _ = times(2)
        assert before // 1000 <= start_us <= time.time_ns() // 1000


def test_bodies_that_cannot_be_taken_are_told_apart(tmp_path):
    zeros = gzip.compress(bytes(70 << 20))
    cases = [  # body, headers, status, grpc code in the body
        (f1().SerializeToString()[:-5], PROTOBUF, 400, 3),
        (b'{"resourceSpans":', JSON, 400, 3),
        (b"not gzip", {**PROTOBUF, "Content-Encoding": "gzip"}, 400, 3),
        (b"x", {**PROTOBUF, "Content-Encoding": "br"}, 415, 3),
        (zeros, {**PROTOBUF, "Content-Encoding": "gzip"}, 413, 8),
        (b" " * (17 << 20), JSON, 413, 8),
    ]
    with Gateway(tmp_path) as gateway:
        for body, headers, status, code in cases:
            answer = requests.post(gateway.http("/v1/traces"), data=body, headers=headers, timeout=30)
            assert answer.status_code == status, (headers, answer.content)
            assert answer.headers["Content-Type"] == headers["Content-Type"]
            if headers is JSON:
                assert answer.json()["code"] == code
                message = answer.json()["message"]
            else:
                assert answer.content[:2] == bytes([0x08, code])
                message = answer.content.decode(errors="replace")
            assert str(tmp_path) not in message and "127.0.0.1" not in message
        for body, headers in ((b"", PROTOBUF), (b"{}", {"Content-Type": "application/json; charset=utf-8"})):
            answer = requests.post(gateway.http("/v1/traces"), data=body, headers=headers, timeout=10)
            assert answer.status_code == 200
            assert answer.headers["Content-Type"] == headers["Content-Type"].split(";")[0]


def test_a_request_sent_twice_is_stored_and_exported_once(tmp_path):
    with Backend() as backend:
        with Gateway(tmp_path, config=to(("otlp_http", f'endpoint: "{backend.url()}", encoding: json'))) as gateway:
            post(gateway, f1())
            post(gateway, f1())  # while it is open
            gateway.wait_finalized(trace_id(1).hex())
            post(gateway, f1())  # once it is finished
            wait_until(lambda: gateway.metric("spangate_duplicate_spans_total") == 8, "repeats absorbed")
            assert names(gateway.trace(trace_id(1).hex())) == fixtures.F1_NAMES
            post(gateway, f1(2))
            wait_until(lambda: trace_id(2).hex() in traces_at(backend), "the next trace")
            got = traces_at(backend)
            assert sorted(got[trace_id(1).hex()]) == sorted(fixtures.F1_NAMES)


def test_one_id_with_two_contents_keeps_both(tmp_path):
    with Gateway(tmp_path) as gateway:
        changed = simple_span("root")
        changed.resource_spans[0].scope_spans[0].spans[0].name = "another root"
        post(gateway, simple_span("root"))
        post(gateway, changed)
        shown = gateway.wait_finalized(trace_id(1).hex())
        assert sorted(names(shown)) == ["another root", "root"]
        assert gateway.metric("spangate_conflicting_spans_total") == 1
        jaeger = requests.get(gateway.query(f"/api/traces/{trace_id(1).hex()}"), timeout=10).json()
        assert len(jaeger["data"][0]["spans"]) == 2


def test_a_message_over_the_limit_is_refused_for_good(tmp_path):
    sets = ["receivers.otlp.protocols.grpc.max_recv_msg_size_mib=1"]
    with Gateway(tmp_path, sets=sets) as gateway:
        big = simple_span("root")
        big.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="big").value.string_value = "x" * (2 << 20)
        for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
            with pytest.raises(grpc.RpcError) as failure:
                post_grpc(gateway, big, compression)
            assert failure.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            trailers = {key for key, _ in failure.value.trailing_metadata() or ()}
            assert "google.rpc.retryinfo-bin" not in trailers, "without it clients give up, as they should"
        assert not post_grpc(gateway, f1()).HasField("partial_success")


def test_browsers_may_send_from_allowed_origins(tmp_path):
    sets = ["receivers.otlp.protocols.http.cors.allowed_origins=[https://shop.example]"]
    with Gateway(tmp_path, sets=sets) as gateway:
        url = gateway.http("/v1/traces")
        ask = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
        answer = requests.options(url, headers=ask, timeout=10)
        assert answer.status_code == 204 and answer.content == b""
        assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example"
        assert answer.headers["Access-Control-Allow-Methods"] == "POST"
        assert "content-type" in answer.headers["Access-Control-Allow-Headers"]
        answer = requests.options(url, headers={**ask, "Origin": "https://other.example"}, timeout=10)
        assert "Access-Control-Allow-Origin" not in answer.headers
        answer = requests.post(url, json=to_json(f1()), headers={"Origin": "https://shop.example"}, timeout=10)
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example"
        answer = requests.get(url, timeout=10)
        assert answer.status_code == 405 and "POST" in answer.headers["Allow"]
        assert answer.json()["code"] == 12


# --- traces ---


def test_spans_of_one_request_find_their_traces(tmp_path):
    with Gateway(tmp_path) as gateway:
        request = simple_span("s1")
        request.MergeFrom(simple_span("s3", trace=2))
        request.MergeFrom(simple_span("s2", parent="s1", start_ms=1, end_ms=2))
        post(gateway, request)
        assert names(gateway.trace(trace_id(1).hex())) == ["s1", "s2"]
        assert names(gateway.trace(trace_id(2).hex())) == ["s3"]
        answer = requests.get(gateway.query(f"/api/v1/traces/{trace_id(3).hex()}"), timeout=10)
        assert answer.status_code == 404 and answer.json() == {"error": "trace not found"}


def test_a_trace_half_stored_half_open_is_shown_whole(tmp_path):
    with Gateway(tmp_path, idle="60s") as gateway:
        post(gateway, simple_span("root", end_ms=9))
        gateway.wait_finalized(trace_id(1).hex())
        wait_until(lambda: gateway.metric("spangate_stored_spans_total") == 1, "stored")
        # A parent that is not there keeps the second part open.
        post(gateway, simple_span("last", parent="missing", start_ms=5, end_ms=6))
        post(gateway, simple_span("early", parent="missing", start_ms=2, end_ms=3))
        shown = gateway.trace(trace_id(1).hex())
        assert names(shown) == ["root", "early", "last"]
        assert shown["state"] == "open" and shown["spanCount"] == 3
        jaeger = requests.get(gateway.query(f"/api/traces/{trace_id(1).hex()}"), timeout=10).json()
        starts = [span["startTime"] for span in jaeger["data"][0]["spans"]]
        assert len(starts) == 3 and starts == sorted(starts)
        post(gateway, simple_span("missing", parent="root", start_ms=1, end_ms=8))
        finish = gateway.query(f"/api/v1/traces/{trace_id(1).hex()}/finish")
        assert requests.post(finish, timeout=10).status_code == 200
        shown = gateway.wait_finalized(trace_id(1).hex(), revision=2)
        assert names(shown) == ["root", "missing", "early", "last"]
        assert shown["state"] == "finalized" and not shown["incomplete"]


def test_children_may_come_before_their_root(tmp_path):
    with Gateway(tmp_path, idle="60s") as gateway:
        whole = f1()
        spans = fixtures.all_spans(whole)
        for resource, scope, span in reversed(spans):
            request = ExportTraceServiceRequest()
            one = request.resource_spans.add(resource=resource).scope_spans.add(scope=scope)
            one.spans.append(span)
            post(gateway, request)
        shown = gateway.wait_finalized(trace_id(1).hex())
        assert names(shown) == fixtures.F1_NAMES and shown["revision"] == 1
        found = requests.get(gateway.query("/api/v1/traces"), params={"start": "0"}, timeout=10).json()["traces"]
        assert [(t["rootService"], t["rootName"], t["spanCount"]) for t in found] == [("frontend", "POST /checkout", 4)]


def test_open_traces_stay_within_memory(tmp_path):
    limit = 16 << 20
    with Gateway(tmp_path, idle="600s", sets=[f"spangate.memory_limit={limit}"]) as gateway:
        session = requests.Session()
        most = 0
        for first in range(1, 20_001, 500):
            request = ExportTraceServiceRequest()
            scope_spans = fixtures.scope_of(request, "shop", "test")
            for trace in range(first, first + 500):
                fixtures.add_span(
                    scope_spans, trace, "child", fixtures.Span.SPAN_KIND_SERVER, 0, 1, parent="root",
                    text=f"{trace} " * 100,
                )
            body = request.SerializeToString()

            def taken():
                answer = session.post(gateway.http("/v1/traces"), data=body, headers=PROTOBUF, timeout=30)
                assert answer.status_code in (200, 429), answer.content
                assert answer.status_code == 200 or int(answer.headers["Retry-After"]) >= 1
                return answer.status_code == 200

            wait_until(taken, "accepted after back-pressure")
            most = max(most, gateway.metric("spangate_correlator_bytes"))
        metrics = gateway.metrics()
        assert metrics['spangate_traces_finalized_total{reason="memory"}'] > 0
        assert most <= limit / 2 + len(body), "half of the limit, but for the request that comes in"
        assert metrics["spangate_spans_open"] > 0
        first = gateway.trace(trace_id(1).hex())
        assert first["state"] == "finalized" and first["reason"] == "memory", "the oldest goes first"
        assert gateway.trace(trace_id(20_000).hex())["state"] == "open"
        for trace in range(1, 20_001, 1999):
            assert names(gateway.trace(trace_id(trace).hex())) == ["child"]


def test_a_search_merges_open_and_stored_traces(tmp_path):
    with Gateway(tmp_path, idle="60s") as gateway:
        for trace in range(1, 6):  # 2 and 4 stay open
            parent = "missing" if trace in (2, 4) else None
            post(gateway, simple_span("step", parent=parent, trace=trace, start_ms=trace * 10, end_ms=trace * 10 + 1))
        for trace in (1, 3, 5):
            gateway.wait_finalized(trace_id(trace).hex())

        def search(**params):
            answer = requests.get(gateway.query("/api/v1/traces"), params={"start": "0", **params}, timeout=10).json()
            return [t["traceId"] for t in answer["traces"]], [t["state"] for t in answer["traces"]], answer["truncated"]

        newest_first = [trace_id(trace).hex() for trace in (5, 4, 3, 2, 1)]
        ids, states, truncated = search()
        assert ids == newest_first and not truncated
        assert states == ["finalized", "open", "finalized", "open", "finalized"]
        assert search(limit=2)[0] == newest_first[:2] and search(limit=2)[2]
        assert search(limit=5)[2] is False
        # The next page: what is older than the last one shown.
        assert search(limit=2, end=str(START_NS + 39 * MS))[0] == newest_first[2:4]
        assert search(service="shop", operation="step")[0] == newest_first
        assert search(service="nobody")[0] == []


def test_a_search_counts_each_span_once_while_traces_are_stored(tmp_path):
    """A trace goes from memory through a block that waits into a stored one while searches look."""
    with Gateway(tmp_path) as gateway:
        wrong, done = [], threading.Event()

        def search():
            session = requests.Session()
            while not done.is_set():
                answer = session.get(gateway.query("/api/v1/traces"), params={"start": "0", "limit": 1500}, timeout=30)
                wrong.extend(t for t in answer.json()["traces"] if t["spanCount"] != 4)

        searchers = [threading.Thread(target=search) for _ in range(2)]
        for searcher in searchers:
            searcher.start()
        for trace in range(1, 1501):
            post(gateway, f1(trace))
        wait_until(lambda: gateway.metric("spangate_stored_spans_total") == 6000, "all stored")
        done.set()
        for searcher in searchers:
            searcher.join()
        assert not wrong, f"{len(wrong)} wrong, like {wrong[0]}"


def test_two_clients_and_a_late_span_make_one_trace_in_two_parts(tmp_path):
    with Backend() as backend:
        config = to(("otlp_http", f'endpoint: "{backend.url()}", encoding: json'))
        with Gateway(tmp_path, config=config, idle="1s") as gateway:
            post_grpc(gateway, f10b())  # the callee reports first
            post_json(gateway, to_json(f10a()))
            shown = gateway.wait_finalized(trace_id(1).hex())
            assert shown["revision"] == 1 and names(shown) == fixtures.F1_NAMES and not shown["incomplete"]
            wait_until(lambda: len(backend.requests) == 1, "the trace at the backend")
            post(gateway, f3())
            shown = gateway.wait_finalized(trace_id(1).hex(), revision=2)
            assert names(shown) == [*fixtures.F1_NAMES, "write audit log"]
            wait_until(lambda: len(backend.requests) == 2, "the late span at the backend")
            first, second = backend.bodies()
            assert sorted(names(first)) == sorted(fixtures.F1_NAMES)
            assert names(second) == ["write audit log"]
            [(resource, scope, _)] = spans_of(second)
            assert scope["name"] == "audit"
            assert resource["attributes"][0]["value"] == {"stringValue": "payments"}
            edges = requests.get(
                gateway.query("/api/dependencies"),
                params={"endTs": START_NS // MS + 60_000, "lookback": 120_000}, timeout=10,
            ).json()["data"]
            assert edges == [{"parent": "frontend", "child": "payments", "callCount": 1}]


# --- durability ---


def log_record(number):
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add()
    record.time_unix_nano = START_NS
    record.body.string_value = f"record {number}"
    return request


def metric_point(number):
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name=f"metric {number}")
    metric.gauge.data_points.add(as_int=number, time_unix_nano=START_NS)
    return request


def test_logs_and_metrics_survive_kill_9(tmp_path):
    with Backend() as backend:
        pause(backend)
        more = "    logs: {receivers: [otlp], exporters: [otlp_http]}\n" \
            "    metrics: {receivers: [otlp], exporters: [otlp_http]}"
        config = to(("otlp_http", f'endpoint: "{backend.url()}", encoding: json, {SOON}'), more=more)
        gateway = Gateway(tmp_path, config=config)
        sent = 0
        for _ in range(4):
            gateway.start()
            for _ in range(25):
                sent += 1
                for path, request in (("logs", log_record(sent)), ("metrics", metric_point(sent))):
                    answer = requests.post(
                        gateway.http(f"/v1/{path}"), data=request.SerializeToString(), headers=PROTOBUF, timeout=10
                    )
                    assert answer.status_code == 200
                post(gateway, f1(sent))
            gateway.kill()
        gateway.start()
        assert "replayed ingest log" in gateway.log() and "records=" in gateway.log()
        resume(backend)

        def found():
            logs, metrics = [], []
            for body in backend.bodies():
                for rl in body.get("resourceLogs", []):
                    logs += [r["body"]["stringValue"] for sl in rl["scopeLogs"] for r in sl["logRecords"]]
                for rm in body.get("resourceMetrics", []):
                    metrics += [m["name"] for sm in rm["scopeMetrics"] for m in sm["metrics"]]
            return sorted(logs), sorted(metrics)

        want = sorted(f"record {n}" for n in range(1, sent + 1)), sorted(f"metric {n}" for n in range(1, sent + 1))
        # The backend took nothing before the last start, so nothing comes twice.
        wait_until(lambda: found() == want and len(traces_at(backend)) == sent, "every record, point and trace")
        assert all(sorted(spans) == sorted(fixtures.F1_NAMES) for spans in traces_at(backend).values())
        assert gateway.stop() == 0


def test_sixteen_clients_lose_nothing_by_kill_9(tmp_path):
    ledger = oracle.Ledger()
    gateway = Gateway(tmp_path)
    gateway.start()
    senders = [oracle.Sender(ledger, gateway, use_grpc=i % 2 == 0) for i in range(16)]
    for sender in senders:
        sender.start()
    wait_until(lambda: len(ledger.acknowledged) > 1000, "a thousand traces acknowledged")
    gateway.kill()
    for sender in senders:
        sender.stop()
    gateway.start()
    assert gateway.metric("spangate_wal_replayed_spans_total") > 0
    wait_until(lambda: gateway.metric("spangate_spans_open") == 0, "all stored")
    assert oracle.check_store(ledger, gateway).counts() == {
        "lost": 0, "altered": 0, "duplicated": 0, "invented": 0
    }
    assert gateway.stop() == 0


def test_a_long_replay_is_healthy_but_not_ready(tmp_path):
    gateway = Gateway(tmp_path, idle="600s")
    gateway.start()
    session = requests.Session()
    for first in range(1, 20_001, 1000):
        request = oracle.make_request(range(first, first + 1000), 4)
        for span in (s for _, _, s in fixtures.all_spans(request)):
            span.parent_span_id = span.parent_span_id or b"not here"  # nothing finishes
        answer = session.post(
            gateway.http("/v1/traces"), data=request.SerializeToString(), headers=PROTOBUF, timeout=30
        )
        assert answer.status_code == 200
    gateway.kill()
    gateway.start(wait=False)
    seen = set()

    def ready():
        assert gateway.process.poll() is None, gateway.log()
        try:
            answer = session.get(gateway.health("/readyz"), timeout=5)
            alive = session.get(gateway.health("/healthz"), timeout=5)
        except requests.ConnectionError:
            return False
        assert alive.status_code == 200
        seen.add((answer.status_code, answer.text.strip()))
        return answer.status_code == 200

    wait_until(ready, "ready")
    assert (503, "replaying the ingest log") in seen, seen
    assert gateway.metric("spangate_wal_replayed_spans_total") == 80_000
    gateway.kill()


def on_small_disk(gateway, size):
    """Let the gateway see a file system of this size at its data folder; false where we may not."""
    script = pathlib.Path(gateway.folder) / "on_small_disk"
    os.makedirs(gateway.data)
    script.write_text(
        f'#!/bin/sh\nset -e\nmount -t tmpfs -o size={size} tmpfs "{gateway.data}"\n'
        f'exec "{os.path.abspath(gateway.program)}" "$@"\n',
        encoding="utf-8",
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    wrapper = pathlib.Path(gateway.folder) / "in_namespace"
    wrapper.write_text(f'#!/bin/sh\nexec unshare --map-root-user --mount "{script}" "$@"\n', encoding="utf-8")
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
    if shutil.which("unshare") is None:
        return False
    gateway.program = str(wrapper)
    return subprocess.run([gateway.program, "version"], capture_output=True, check=False).returncode == 0


def test_a_full_disk_means_later_and_is_got_over(tmp_path):
    gateway = Gateway(tmp_path)
    if not on_small_disk(gateway, "80m"):
        pytest.skip("no right to mount a small file system here")
    with gateway:
        filler = pathlib.Path(f"/proc/{gateway.process.pid}/root{gateway.data}/filler")
        try:
            with open(filler, "wb") as file:
                while True:
                    file.write(bytes(1 << 20))
        except OSError:
            pass
        acknowledged, refused = [], None
        noise = os.urandom(512 << 10).hex()
        for trace in range(1, 200):
            request = simple_span("root", trace=trace)
            request.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="noise").value.string_value = noise
            answer = requests.post(
                gateway.http("/v1/traces"), data=request.SerializeToString(), headers=PROTOBUF, timeout=30
            )
            if answer.status_code != 200:
                refused = answer
                break
            acknowledged.append(trace)
        assert refused is not None, "the disk never was full"
        assert refused.status_code in (429, 503) and int(refused.headers["Retry-After"]) >= 1
        with pytest.raises(grpc.RpcError) as failure:
            post_grpc(gateway, request)
        assert failure.value.code() == grpc.StatusCode.UNAVAILABLE
        assert requests.get(gateway.health("/healthz"), timeout=10).status_code == 200
        assert requests.get(gateway.health("/readyz"), timeout=10).status_code == 503
        filler.unlink()

        def taken():
            answer = requests.post(
                gateway.http("/v1/traces"), data=f1(1000).SerializeToString(), headers=PROTOBUF, timeout=30
            )
            return answer.status_code == 200

        wait_until(taken, "requests are taken again")
        wait_until(lambda: requests.get(gateway.health("/readyz"), timeout=10).status_code == 200, "ready again")
        for trace in acknowledged:
            assert names(gateway.wait_finalized(trace_id(trace).hex())) == ["root"]
        assert len(spans_of(gateway.wait_finalized(trace_id(1000).hex()))) == 4
