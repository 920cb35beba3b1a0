"""The main job on the real program: a span sent comes out as part of a whole trace, in the store and
at a backend; the rules between are kept.
"""
import concurrent.futures
import gzip
import json
import os
import zlib

import grpc
import pytest
import requests
import zstandard
from gateway import Backend, Gateway, spans_of, wait_until
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from oracle import make_request, trace_id

JSON = {"Content-Type": "application/json"}
PROTOBUF = {"Content-Type": "application/x-protobuf"}


def hex_id(n, digits=32):
    return f"{n:0{digits}x}"


def json_span(trace, span, parent=None, start=1750000000123456789, duration=1000000, **more):
    one = {
        "traceId": hex_id(trace),
        "spanId": hex_id(span, 16),
        "name": f"span {span}",
        "kind": 2,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + duration),
        **more,
    }
    if parent:
        one["parentSpanId"] = hex_id(parent, 16)
    return one


def json_request(*spans, service="shop"):
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
                "scopeSpans": [{"scope": {"name": "test"}, "spans": list(spans)}],
            }
        ]
    }


def post(gateway, request, expect=200):
    answer = requests.post(gateway.http("/v1/traces"), json=request, timeout=10)
    assert answer.status_code == expect, answer.text
    return answer.json()


def test_read_your_writes(tmp_path):
    with Gateway(tmp_path) as gw:
        session = requests.Session()
        for n in range(1, 301):
            session.post(gw.http("/v1/traces"), json=json_request(json_span(n, n)), timeout=10)
            answer = session.get(gw.query(f"/api/v1/traces/{hex_id(n)}"), timeout=10)
            assert answer.status_code == 200, f"trace {n} is not visible after its 200"
            assert len(spans_of(answer.json())) == 1


def test_a_trace_goes_from_open_to_finalized_and_on_to_revision_2(tmp_path):
    with Backend() as backend:
        config = f"""
exporters:
  otlp_http/json: {{endpoint: "{backend.url()}", encoding: json, compression: none}}
service:
  pipelines:
    traces: {{receivers: [otlp], exporters: [trace_store, otlp_http/json]}}
"""
        with Gateway(tmp_path, config=config) as gw:
            post(gw, json_request(json_span(7, 2, parent=1)))
            trace = gw.trace(hex_id(7))
            assert trace["state"] == "open" and trace["revision"] == 0
            post(gw, json_request(json_span(7, 1)))
            trace = gw.wait_finalized(hex_id(7))
            assert trace["reason"] == "root_quiet" and len(spans_of(trace)) == 2
            wait_until(lambda: len(backend.requests) == 1, "the trace at the backend")

            post(gw, json_request(json_span(7, 3, parent=1)))
            trace = gw.wait_finalized(hex_id(7), revision=2)
            assert len(spans_of(trace)) == 3
            wait_until(lambda: len(backend.requests) == 2, "the late span at the backend")

            post(gw, json_request(json_span(7, 3, parent=1)))  # a retried request
            wait_until(lambda: gw.metric("spangate_duplicate_spans_total") == 1, "duplicate absorbed")
            assert len(spans_of(gw.trace(hex_id(7)))) == 3

            first, second = backend.bodies()
            assert sorted(s["spanId"] for _, _, s in spans_of(first)) == [hex_id(1, 16), hex_id(2, 16)]
            assert [s["spanId"] for _, _, s in spans_of(second)] == [hex_id(3, 16)]
            assert len(backend.requests) == 2
            metrics = gw.metrics()
            assert metrics["spangate_traces_reopened_total"] == 2
            assert metrics['spangate_exporter_sent_spans_total{exporter="otlp_http/json"}'] == 3


def test_counts_are_conserved(tmp_path):
    with Gateway(tmp_path) as gw:
        for n in range(1, 60):
            post(gw, json_request(json_span(n, 1), json_span(n, 2, parent=1)))
        post(gw, json_request(json_span(3, 2, parent=1)))  # duplicate
        answer = post(
            gw,
            json_request(
                json_span(100, 1) | {"traceId": "00"}, json_span(101, 1), json_span(102, 0)
            ),
        )
        assert answer["partialSuccess"]["rejectedSpans"] == "2"
        assert answer["partialSuccess"]["errorMessage"]

        def conserved():
            m = gw.metrics()
            accepted = gw.metric("spangate_receiver_accepted_spans_total")
            rest = (
                m["spangate_stored_spans_total"]
                + m["spangate_spans_open"]
                + m["spangate_duplicate_spans_total"]
            )
            return accepted == rest == 59 * 2 + 1 + 1 and m["spangate_spans_open"] == 0

        wait_until(conserved, "accepted = stored + open + duplicate")
        assert gw.metric("spangate_receiver_refused_spans_total") == 2
        assert gw.metrics()['otelcol_receiver_accepted_spans{receiver="otlp",transport="http"}'] == 120


@pytest.mark.parametrize("coding", ["identity", "gzip", "deflate", "zstd"])
@pytest.mark.parametrize("kind", ["json", "protobuf"])
def test_every_encoding_stores_the_same(tmp_path, coding, kind):
    pack = {
        "identity": lambda b: b,
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "zstd": zstandard.ZstdCompressor().compress,
    }[coding]
    request = make_request([1], 4)
    if kind == "json":
        body = json.dumps(
            json_request(*[json_span(int.from_bytes(trace_id(1), "big"), 5 + i) for i in range(4)])
        ).encode()
    else:
        body = request.SerializeToString()
    with Gateway(tmp_path) as gw:
        answer = requests.post(
            gw.http("/v1/traces"),
            data=pack(body),
            headers={**(JSON if kind == "json" else PROTOBUF), "Content-Encoding": coding},
            timeout=10,
        )
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == (JSON if kind == "json" else PROTOBUF)["Content-Type"]
        assert answer.content == (b"{}" if kind == "json" else b"")
        assert len(spans_of(gw.trace(trace_id(1).hex()))) == 4


def test_bad_requests_get_the_status_in_their_own_encoding(tmp_path):
    with Gateway(tmp_path) as gw:
        answer = requests.post(gw.http("/v1/traces"), data=b"\x0a\xff", headers=PROTOBUF, timeout=10)
        assert answer.status_code == 400
        assert answer.headers["Content-Type"] == "application/x-protobuf"
        assert answer.content.startswith(b"\x08\x03\x12")
        answer = requests.post(gw.http("/v1/traces"), data=b"1234", headers=JSON, timeout=10)
        assert answer.status_code == 400 and answer.json()["code"] == 3
        assert requests.get(gw.http("/v1/traces"), timeout=10).status_code == 405
        assert requests.post(gw.http("/"), data=b"{}", headers=JSON, timeout=10).status_code == 404
        answer = requests.post(gw.http("/v1/traces"), data=b"x", headers={"Content-Type": "text/plain"}, timeout=10)
        assert answer.status_code == 415
        assert requests.post(gw.http("/v1/logs"), json={"resourceLogs": []}, timeout=10).status_code == 404


def test_grpc_speaks_to_the_reference_implementation(tmp_path):
    with Gateway(tmp_path) as gw, grpc.insecure_channel(gw.grpc()) as channel:
        stub = trace_service_pb2_grpc.TraceServiceStub(channel)
        for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
            answer = stub.Export(make_request([int(compression) + 1], 4), compression=compression, timeout=10)
            assert not answer.HasField("partial_success")
            assert len(spans_of(gw.trace(trace_id(int(compression) + 1).hex()))) == 4
        bad = make_request([9], 2)
        bad.resource_spans[0].scope_spans[0].spans[0].trace_id = b"short"
        answer = stub.Export(bad, timeout=10)
        assert answer.partial_success.rejected_spans == 1
        with pytest.raises(grpc.RpcError) as failure:
            channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Nothing")(b"", timeout=10)
        assert failure.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_restart_keeps_open_and_stored_traces(tmp_path):
    gw = Gateway(tmp_path, idle="30s", sets=["spangate.traces.finish_on_shutdown=false"])
    gw.start()
    post(gw, json_request(json_span(1, 1)))
    gw.wait_finalized(hex_id(1))
    post(gw, json_request(json_span(2, 2, parent=1)))
    assert gw.trace(hex_id(2))["state"] == "open"
    assert gw.stop() == 0
    gw.start()
    assert gw.trace(hex_id(1))["state"] == "finalized"
    trace = gw.trace(hex_id(2))
    assert trace["state"] == "open" and len(spans_of(trace)) == 1
    post(gw, json_request(json_span(2, 1)))
    assert len(spans_of(gw.wait_finalized(hex_id(2)))) == 2
    assert gw.stop() == 0


def test_a_busy_port_is_named(tmp_path):
    with Gateway(tmp_path / "first") as gw:
        second = Gateway(tmp_path / "second")
        second.ports["http"] = gw.ports["http"]
        second.start(wait=False)
        assert second.process.wait(20) == 75
        assert f"cannot bind 127.0.0.1:{gw.ports['http']}: address in use" in second.log().lower()


def test_a_second_gateway_cannot_take_the_data_folder(tmp_path):
    with Gateway(tmp_path) as gw:
        second = Gateway(tmp_path)
        second.log_path = os.path.join(str(tmp_path), "second.log")
        second.start(wait=False)
        assert second.process.wait(20) == 75
        assert gw.data in second.log()


def test_the_backend_is_told_headers_and_asked_again(tmp_path):
    script = [(503, {"Retry-After": "1"}, b""), (429, {}, b"")]
    with Backend(script) as backend:
        config = f"""
exporters:
  otlp_http: {{endpoint: "{backend.url()}/", headers: {{X-Scope-OrgID: "tenant-1"}},
    retry_on_failure: {{initial_interval: 50ms, max_interval: 100ms}}}}
service:
  pipelines:
    traces: {{receivers: [otlp], exporters: [trace_store, otlp_http]}}
"""
        with Gateway(tmp_path, config=config) as gw:
            post(gw, json_request(json_span(1, 1)))
            wait_until(lambda: len(backend.requests) == 3, "three attempts")
            wait_until(lambda: gw.metric("spangate_exporter_sent_spans_total") == 1, "sent")
            for path, headers, _ in backend.requests:
                assert path == "/v1/traces"
                assert headers["X-Scope-OrgID"] == "tenant-1"
                assert headers["Content-Encoding"] == "gzip"
                assert headers["Content-Type"] == "application/x-protobuf"
                assert headers["User-Agent"].startswith("Spangate/")
                assert "Expect" not in headers
            assert gw.metric("spangate_exporter_retries_total") == 2
            assert "tenant-1" not in gw.log()


def test_an_export_that_cannot_work_does_not_touch_store_or_client(tmp_path):
    with Backend([(401, {"Content-Type": "text/plain"}, b"no org id")] * 1000) as backend:
        config = f"""
exporters:
  otlp_http/tempo: {{endpoint: "{backend.url()}"}}
service:
  pipelines:
    traces: {{receivers: [otlp], exporters: [trace_store, otlp_http/tempo]}}
"""
        with Gateway(tmp_path, config=config) as gw:
            post(gw, json_request(json_span(1, 1)))
            wait_until(lambda: gw.metric("spangate_exporter_failed_spans_total") == 1, "dropped and counted")
            assert gw.trace(hex_id(1)) is not None
            exporters = requests.get(gw.query("/api/v1/status"), timeout=10).json()["exporters"]
            assert "401" in exporters[0]["lastError"] and exporters[0]["failed"] == 1


def test_partial_success_is_counted_and_not_sent_again(tmp_path):
    body = json.dumps({"partialSuccess": {"rejectedSpans": "1", "errorMessage": "quota"}}).encode()
    with Backend([(200, {"Content-Type": "application/json"}, body)]) as backend:
        config = f"""
exporters:
  otlp_http: {{endpoint: "{backend.url()}", encoding: json}}
service:
  pipelines:
    traces: {{receivers: [otlp], exporters: [trace_store, otlp_http]}}
"""
        with Gateway(tmp_path, config=config) as gw:
            post(gw, json_request(json_span(1, 1), json_span(1, 2, parent=1)))
            wait_until(lambda: gw.metric("spangate_exporter_rejected_spans_total") == 1, "counted")
            post(gw, json_request(json_span(2, 1)))
            wait_until(lambda: len(backend.requests) == 2, "the next trace")
            assert [s["traceId"] for _, _, s in spans_of(backend.bodies()[1])] == [hex_id(2)]


def test_accepted_mode_sends_before_the_trace_is_finished(tmp_path):
    with Backend() as backend:
        config = f"""
exporters:
  otlp_http/now: {{endpoint: "{backend.url()}", encoding: json, export_on: accepted}}
service:
  pipelines:
    traces: {{receivers: [otlp], exporters: [trace_store, otlp_http/now]}}
"""
        with Gateway(tmp_path, config=config, idle="60s") as gw:
            post(gw, json_request(json_span(1, 2, parent=1), json_span(1, 0)))
            wait_until(lambda: len(backend.requests) == 1, "the span at the backend")
            assert gw.trace(hex_id(1))["state"] == "open"
            assert [s["spanId"] for _, _, s in spans_of(backend.bodies()[0])] == [hex_id(2, 16)]


def test_many_small_traces_are_sent_in_few_requests(tmp_path):
    with Backend() as backend:
        config = f"""
exporters:
  otlp_http: {{endpoint: "{backend.url()}", encoding: json, compression: none}}
service:
  pipelines:
    traces: {{receivers: [otlp], exporters: [trace_store, otlp_http]}}
"""
        with Gateway(tmp_path, config=config) as gw:
            for first in range(0, 1000, 50):
                post(gw, json_request(*[json_span(first + i + 1, 1) for i in range(50)]))
            wait_until(lambda: gw.metric("spangate_exporter_sent_spans_total") == 1000, "all sent")
            assert len(backend.requests) < 10
            for body in backend.bodies():
                assert len(body["resourceSpans"]) <= 2, "the same resource is merged"


def test_two_destinations_do_not_wait_for_each_other(tmp_path):
    with Backend() as good, Backend([(503, {}, b"")] * 100000) as bad:
        config = f"""
exporters:
  otlp_http/good: {{endpoint: "{good.url()}", encoding: json}}
  otlp_http/bad: {{endpoint: "{bad.url()}", retry_on_failure: {{initial_interval: 50ms, max_interval: 50ms}}}}
service:
  pipelines:
    traces: {{receivers: [otlp], exporters: [trace_store, otlp_http/good, otlp_http/bad]}}
"""
        with Gateway(tmp_path, config=config) as gw:
            for n in range(1, 20):
                post(gw, json_request(json_span(n, 1)))
            wait_until(lambda: gw.metric("spangate_exporter_sent_spans_total") == 19, "good one has all")
            assert len(bad.requests) > 0
            bad.script.clear()
            wait_until(lambda: gw.metric("spangate_exporter_sent_spans_total") == 38, "bad one caught up")


def test_the_index_can_be_rebuilt(tmp_path):
    import pathlib
    import subprocess

    gw = Gateway(tmp_path)
    gw.start()
    for n in range(1, 30):
        post(gw, json_request(json_span(n, 1)))
    gw.wait_finalized(hex_id(29))
    assert gw.stop() == 0
    for index in pathlib.Path(gw.data).rglob("index.sqlite*"):
        index.unlink()
    done = subprocess.run(
        [gw.program, "check", "--data-dir", gw.data, "--rebuild-index"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    gw.start()
    for n in range(1, 30):
        assert len(spans_of(gw.trace(hex_id(n)))) == 1
    assert requests.get(gw.query("/api/services"), timeout=10).json()["data"] == ["shop"]
    assert gw.stop() == 0


def test_parallel_clients(tmp_path):
    with Gateway(tmp_path) as gw:

        def send(n):
            return requests.post(gw.http("/v1/traces"), json=json_request(json_span(n, 1)), timeout=30).status_code

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            assert set(pool.map(send, range(1, 500))) == {200}
        for n in range(1, 500, 25):
            assert gw.trace(hex_id(n)) is not None


