"""Logs and metrics: taken where a pipeline takes them, kept through a crash, and handed on as they
came.
"""
import base64
import gzip
import itertools
import json
import logging
import os
import random
import threading
import time

import grpc
import pytest
import requests
from gateway import Backend, Gateway, wait_until
from google.protobuf import json_format
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

KILLS = int(os.environ.get("SPANGATE_KILLS", "10"))
PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
LOGS = logs_service_pb2.ExportLogsServiceRequest
METRICS = metrics_service_pb2.ExportMetricsServiceRequest

CONFIG = """
exporters:
  otlp_http: {{endpoint: "{url}", compression: none, {more}
    retry_on_failure: {{initial_interval: 50ms, max_interval: 200ms}}}}
service:
  pipelines:
    logs: {{receivers: [otlp], exporters: [otlp_http]}}
    metrics: {{receivers: [otlp], exporters: [otlp_http]}}
"""


def forward_to(backend, more=""):
    return CONFIG.format(url=backend.url(), more=more + "," if more else "")


def log_request(numbers):
    """A request whose records follow from their numbers."""
    request = LOGS()
    resource_logs = request.resource_logs.add(schema_url="https://schema.example/1")
    resource_logs.resource.attributes.add(key="service.name").value.string_value = "shop"
    scope_logs = resource_logs.scope_logs.add()
    scope_logs.scope.name = "test"
    for number in numbers:
        record = scope_logs.log_records.add(
            time_unix_nano=1_750_000_000_000_000_000 + number,
            observed_time_unix_nano=1,
            severity_number=9,
            severity_text="INFO",
            trace_id=number.to_bytes(16, "big"),
            span_id=number.to_bytes(8, "big"),
            flags=1,
            event_name="tested",
        )
        record.body.string_value = f"line {number}"
        value = record.attributes.add(key="nested").value.kvlist_value.values.add(key="list").value
        value.array_value.values.add(int_value=-number)
        value.array_value.values.add(bytes_value=b"\x00\xff")
        value.array_value.values.add()
    return request


def metric_request(number):
    """A data point of every kind: five."""
    request = METRICS()
    resource_metrics = request.resource_metrics.add()
    resource_metrics.resource.attributes.add(key="service.name").value.string_value = "shop"
    scope = resource_metrics.scope_metrics.add()
    scope.scope.name = "test"
    gauge = scope.metrics.add(name="gauge", unit="1").gauge.data_points.add(as_int=-number)
    gauge.attributes.add(key="n").value.int_value = number
    exemplar = scope.metrics.add(name="sum").sum.data_points.add(as_double=0.5 + number).exemplars.add(as_int=number)
    exemplar.trace_id = number.to_bytes(16, "big")
    scope.metrics.add(name="histogram").histogram.data_points.add(
        count=3, sum=0.0, bucket_counts=[1, 2], explicit_bounds=[1.5], min=-1, max=number
    )
    point = scope.metrics.add(name="exponential").exponential_histogram.data_points.add(count=1, scale=-2, zero_count=1)
    point.positive.offset = -3
    point.positive.bucket_counts.extend([1 << 60, number])
    scope.metrics.add(name="summary").summary.data_points.add(count=1, sum=2.0).quantile_values.add(quantile=0.5, value=number)
    return request


SIGNALS = {
    "logs": (LOGS, lambda n: log_request([n]), logs_service_pb2_grpc.LogsServiceStub, 1, "spangate_receiver_accepted_log_records_total", "otelcol_receiver_accepted_log_records"),
    "metrics": (METRICS, metric_request, metrics_service_pb2_grpc.MetricsServiceStub, 5, "spangate_receiver_accepted_metric_points_total", "otelcol_receiver_accepted_metric_points"),
}  # fmt: skip


def parts_of(message):
    """The resource entries of a request, each as its bytes: joined requests are taken apart again."""
    field = message.DESCRIPTOR.fields[0].name
    return [part.SerializeToString(deterministic=True) for part in getattr(message, field)]


def received(backend, kind, path):
    """What arrived at a path, taken apart; and every body is exactly what it says."""
    with backend.lock:
        got = [(p, b) for p, _, b in backend.requests if p == path]
    return [part for _, body in got for part in parts_of(kind.FromString(body))]


@pytest.mark.parametrize("signal", SIGNALS)
def test_what_comes_in_goes_out_unaltered(tmp_path, signal):
    kind, make, stub, items, own_metric, collectors_metric = SIGNALS[signal]
    path = f"/v1/{signal}"
    with Backend() as backend, Gateway(tmp_path, config=forward_to(backend)) as gw:
        sent = [make(n) for n in range(1, 7)]
        answer = requests.post(gw.http(path), data=sent[0].SerializeToString(), headers=PROTOBUF, timeout=10)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["Content-Type"] == "application/x-protobuf"
        answer = requests.post(
            gw.http(path), data=gzip.compress(sent[1].SerializeToString()),
            headers={**PROTOBUF, "Content-Encoding": "gzip"}, timeout=10,
        )  # fmt: skip
        assert answer.status_code == 200
        for index, options in ((2, {}), (3, {"preserving_proto_field_name": True})):
            # Ids are hex in OTLP/JSON, where protobuf's own JSON has base64.
            text = json_format.MessageToDict(sent[index], use_integers_for_enums=True, **options)
            answer = requests.post(gw.http(path), json=hex_ids(text), timeout=10)
            assert (answer.status_code, answer.json()) == (200, {}), answer.text
        with grpc.insecure_channel(gw.grpc()) as channel:
            for index, compression in ((4, grpc.Compression.NoCompression), (5, grpc.Compression.Gzip)):
                result = stub(channel).Export(sent[index], compression=compression, timeout=10)
                assert not result.HasField("partial_success")
        wait_until(lambda: len(received(backend, kind, path)) == len(sent), "everything at the backend")
        expected = [part for request in sent for part in parts_of(request)]
        assert received(backend, kind, path) == expected
        assert {p for p, _, _ in backend.requests} == {path}
        metrics = gw.metrics()
        for name in (own_metric, collectors_metric):
            assert metrics[f'{name}{{receiver="otlp",transport="http"}}'] == 4 * items
            assert metrics[f'{name}{{receiver="otlp",transport="grpc"}}'] == 2 * items
        assert gw.metric("spangate_receiver_accepted_spans_total") == 0
        assert metrics[f'spangate_exporter_sent_spans_total{{exporter="otlp_http:{signal}"}}'] == 6 * items


def hex_ids(value):
    """protobuf's JSON with the ids of OTLP/JSON."""
    if isinstance(value, dict):
        return {
            k: base64.b64decode(v).hex() if k in ("traceId", "spanId", "trace_id", "span_id") else hex_ids(v)
            for k, v in value.items()
        }
    return [hex_ids(v) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize("signal", SIGNALS)
def test_bytes_are_kept_also_those_we_do_not_know(tmp_path, signal):
    kind, make, _, _, _, _ = SIGNALS[signal]
    # An unknown field at the top, and fields in an order that no encoder makes.
    body = make(1).SerializeToString() + b"\xfa\x7f\x03new"
    with Backend() as backend, Gateway(tmp_path, config=forward_to(backend)) as gw:
        answer = requests.post(gw.http(f"/v1/{signal}"), data=body, headers=PROTOBUF, timeout=10)
        assert answer.status_code == 200
        wait_until(lambda: backend.requests, "the request at the backend")
        assert backend.requests[0][2] == body


@pytest.mark.parametrize("signal", SIGNALS)
def test_a_backend_may_want_json(tmp_path, signal):
    kind, make, _, _, _, _ = SIGNALS[signal]
    with Backend() as backend, Gateway(tmp_path, config=forward_to(backend, "encoding: json")) as gw:
        body = make(3).SerializeToString()
        assert requests.post(gw.http(f"/v1/{signal}"), data=body, headers=PROTOBUF, timeout=10).status_code == 200
        wait_until(lambda: backend.requests, "the request at the backend")
        path, headers, got = backend.requests[0]
        assert path == f"/v1/{signal}" and headers["Content-Type"] == "application/json"
        assert json.loads(got)
    # Read back by a second gateway: JSON in, protobuf out.
    with Backend() as second, Gateway(tmp_path / "second", config=forward_to(second)) as gw:
        assert requests.post(gw.http(f"/v1/{signal}"), data=got, headers=JSON, timeout=10).status_code == 200
        wait_until(lambda: second.requests, "the request at the second backend")
        assert parts_of(kind.FromString(second.requests[0][2])) == parts_of(kind.FromString(body))


def test_without_a_pipeline_a_signal_is_not_known(tmp_path):
    with Gateway(tmp_path) as gw:
        for signal, (_, make, stub, _, _, _) in SIGNALS.items():
            answer = requests.post(gw.http(f"/v1/{signal}"), data=make(1).SerializeToString(), headers=PROTOBUF, timeout=10)
            assert answer.status_code == 404 and answer.content[:2] == b"\x08\x05"
            assert f"no pipeline takes {signal}".encode() in answer.content
            answer = requests.post(gw.http(f"/v1/{signal}"), json={}, timeout=10)
            assert answer.status_code == 404 and answer.json()["code"] == 5
            with grpc.insecure_channel(gw.grpc()) as channel, pytest.raises(grpc.RpcError) as failure:
                stub(channel).Export(make(1), timeout=10)
            assert failure.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_profiles_are_not_supported_and_that_is_said(tmp_path):
    with Backend() as backend, Gateway(tmp_path, config=forward_to(backend)) as gw:
        answer = requests.post(gw.http("/v1development/profiles"), json={}, timeout=10)
        assert answer.status_code == 404 and answer.json() == {"code": 5, "message": "profiles are not supported"}
        answer = requests.post(gw.http("/v1development/profiles"), data=b"", headers=PROTOBUF, timeout=10)
        assert answer.status_code == 404 and b"profiles are not supported" in answer.content
        with grpc.insecure_channel(gw.grpc()) as channel, pytest.raises(grpc.RpcError) as failure:
            channel.unary_unary("/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export")(b"", timeout=10)
        assert failure.value.code() == grpc.StatusCode.UNIMPLEMENTED
        assert failure.value.details() == "profiles are not supported"


def test_bad_and_empty_requests(tmp_path):
    with Backend() as backend, Gateway(tmp_path, config=forward_to(backend)) as gw:
        for signal in SIGNALS:
            url = gw.http(f"/v1/{signal}")
            for body in (b"\x0a\xff", b"\x08\x01", b"\x0a\x02\x12\x7f"):
                answer = requests.post(url, data=body, headers=PROTOBUF, timeout=10)
                assert answer.status_code == 400 and answer.content[:2] == b"\x08\x03", body
            for text in (b"[]", b"{", b'{"resourceLogs": 1, "resourceMetrics": 1}'):
                answer = requests.post(url, data=text, headers=JSON, timeout=10)
                assert answer.status_code == 400 and answer.json()["code"] == 3, text
            for body, headers in ((b"", PROTOBUF), (b"{}", JSON), (b"", JSON), (b"\x0a\x00", PROTOBUF)):
                assert requests.post(url, data=body, headers=headers, timeout=10).status_code == 200
        assert gw.metric("spangate_wal_records_total") == 0
        requests.post(gw.http("/v1/logs"), data=log_request([1]).SerializeToString(), headers=PROTOBUF, timeout=10)
        wait_until(lambda: backend.requests, "the good one")
        assert len(received(backend, LOGS, "/v1/logs")) == 1


def test_one_request_that_the_backend_refuses_does_not_take_its_neighbours_along(tmp_path):
    refused = []

    backend = Backend()
    handler = backend.server.RequestHandlerClass

    def do_post(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        poisonous = b"line 13" in body
        with backend.lock:
            (refused if poisonous else backend.requests).append((self.path, dict(self.headers), body))
        self.send_response(400 if poisonous else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    handler.do_POST = do_post
    batch = "sending_queue: {batch: {min_size: 20, flush_timeout: 1s}}"
    with backend, Gateway(tmp_path, config=forward_to(backend, batch)) as gw:
        for number in range(1, 21):
            body = log_request([number]).SerializeToString()
            assert requests.post(gw.http("/v1/logs"), data=body, headers=PROTOBUF, timeout=10).status_code == 200
        wait_until(lambda: len(received(backend, LOGS, "/v1/logs")) == 19, "all but one")
        wait_until(lambda: gw.metric("spangate_exporter_failed_spans_total") == 1, "one is counted")
        assert len(refused) > 1


def test_logs_and_metrics_do_not_touch_traces(tmp_path):
    with Backend() as backend, Gateway(tmp_path, config=forward_to(backend)) as gw:
        requests.post(gw.http("/v1/logs"), data=log_request([1]).SerializeToString(), headers=PROTOBUF, timeout=10)
        wait_until(lambda: backend.requests, "the record")
        assert gw.trace((1).to_bytes(16, "big").hex()) is None
        assert gw.metric("spangate_traces_open") == 0


def test_each_pipeline_has_its_own_destinations(tmp_path):
    with Backend() as first, Backend() as second:
        config = f"""
exporters:
  otlp_http/1: {{endpoint: "{first.url()}", compression: none}}
  otlp_http/2: {{endpoint: "{second.url()}", compression: none}}
service:
  pipelines:
    logs: {{receivers: [otlp], exporters: [otlp_http/1]}}
    metrics: {{receivers: [otlp], exporters: [otlp_http/2]}}
    logs/both: {{receivers: [otlp], exporters: [otlp_http/1, otlp_http/2]}}
"""
        with Gateway(tmp_path, config=config) as gw:
            requests.post(gw.http("/v1/logs"), data=log_request([1]).SerializeToString(), headers=PROTOBUF, timeout=10)
            requests.post(gw.http("/v1/metrics"), data=metric_request(1).SerializeToString(), headers=PROTOBUF, timeout=10)
            wait_until(lambda: len(first.requests) == 1 and len(second.requests) == 2, "both")
        assert [p for p, _, _ in first.requests] == ["/v1/logs"]
        assert sorted(p for p, _, _ in second.requests) == ["/v1/logs", "/v1/metrics"]


class LogSender(threading.Thread):
    """Sends numbered records until stopped; remembers which were acknowledged."""

    def __init__(self, gateway, numbers, acknowledged, use_grpc):
        super().__init__(daemon=True)
        self.gateway, self.numbers, self.acknowledged = gateway, numbers, acknowledged
        self.use_grpc = use_grpc
        self.stopping = threading.Event()

    def run(self):
        session = requests.Session()
        channel = grpc.insecure_channel(
            self.gateway.grpc(), options=[("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]
        )
        stub = logs_service_pb2_grpc.LogsServiceStub(channel)
        while not self.stopping.is_set():
            numbers = [next(self.numbers) for _ in range(5)]
            request = log_request(numbers)
            try:
                if self.use_grpc:
                    stub.Export(request, timeout=10)
                else:
                    session.post(
                        self.gateway.http("/v1/logs"), data=request.SerializeToString(), headers=PROTOBUF, timeout=10
                    ).raise_for_status()  # fmt: skip
                self.acknowledged.update(numbers)
            except (grpc.RpcError, requests.RequestException):
                self.stopping.wait(0.02)
        channel.close()


def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path):
    seed = int(os.environ.get("SPANGATE_SEED", str(random.randrange(1 << 32))))
    rng = random.Random(seed)
    numbers, acknowledged = itertools.count(1), set()
    with Backend() as backend:
        gw = Gateway(tmp_path, config=forward_to(backend))
        gw.start()
        for kill in range(KILLS):
            before = len(acknowledged)
            # Half of the lives with a backend that takes nothing: what it misses must come later.
            with backend.lock:
                backend.script[:] = [(503, {}, b"")] * (100_000 if kill % 2 else 0)
            senders = [LogSender(gw, numbers, acknowledged, use_grpc=i % 2 == 0) for i in range(4)]
            for sender in senders:
                sender.start()
            time.sleep(rng.choice([0.05, 0.2, 0.5]) * rng.random())
            wait_until(lambda: len(acknowledged) > before, "an acknowledged request")
            gw.kill()
            for sender in senders:
                sender.stopping.set()
            for sender in senders:
                sender.join(30)
            gw.start()
        with backend.lock:
            backend.script.clear()

        def found():
            seen = set()
            with backend.lock:
                bodies = [body for _, _, body in backend.requests]
            for body in bodies:
                for rl in LOGS.FromString(body).resource_logs:
                    for record in rl.scope_logs[0].log_records:
                        number = int.from_bytes(record.span_id, "big")
                        assert record == log_request([number]).resource_logs[0].scope_logs[0].log_records[0]
                        seen.add(number)
            return seen

        wait_until(lambda: acknowledged <= found(), "everything acknowledged at the backend", 60)
        seen = found()
        assert gw.stop() == 0
    print(f"\nseed={seed} kills={KILLS} acknowledged={len(acknowledged)} seen={len(seen)}")
    assert max(seen) < next(numbers)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_the_sdks_exporters(tmp_path, protocol):
    with Backend() as backend, Gateway(tmp_path, config=forward_to(backend)) as gw:
        resource = Resource.create({"service.name": "sdk"})
        if protocol == "http":
            log_exporter = HttpLogExporter(endpoint=gw.http("/v1/logs"))
            metric_exporter = HttpMetricExporter(endpoint=gw.http("/v1/metrics"))
        else:
            log_exporter = GrpcLogExporter(endpoint=gw.grpc(), insecure=True)
            metric_exporter = GrpcMetricExporter(endpoint=gw.grpc(), insecure=True)

        provider = LoggerProvider(resource=resource)
        provider.add_log_record_processor(SimpleLogRecordProcessor(log_exporter))
        logger = logging.getLogger(f"spangate-test-{protocol}")
        logger.addHandler(LoggingHandler(logger_provider=provider))
        logger.propagate = False
        logger.error("it is %s", "broken", extra={"order": 7})
        provider.shutdown()

        reader = PeriodicExportingMetricReader(metric_exporter, export_interval_millis=3_600_000)
        meters = MeterProvider(resource=resource, metric_readers=[reader])
        meter = meters.get_meter("test")
        meter.create_counter("orders").add(3, {"shop": "a"})
        meter.create_histogram("latency").record(0.25)
        meters.shutdown()

        wait_until(lambda: received(backend, LOGS, "/v1/logs"), "the log record")
        wait_until(lambda: received(backend, METRICS, "/v1/metrics"), "the metrics")
        bodies = {path: body for path, _, body in backend.requests}
        record = LOGS.FromString(bodies["/v1/logs"]).resource_logs[0].scope_logs[0].log_records[0]
        assert record.body.string_value == "it is broken"
        assert record.severity_number == SeverityNumber.ERROR.value
        metrics = METRICS.FromString(bodies["/v1/metrics"]).resource_metrics[0].scope_metrics[0].metrics
        assert {m.name for m in metrics} == {"orders", "latency"}
        assert next(m for m in metrics if m.name == "orders").sum.data_points[0].as_int == 3
        assert gw.metric("otelcol_receiver_accepted_log_records") == 1
        assert gw.metric("otelcol_receiver_accepted_metric_points") == 2
