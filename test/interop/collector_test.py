"""The real OpenTelemetry Collector, built from its Go modules, as receiver of our exports and as
sender to us: every encoding and compression both sides know.

Skipped with the reason where Go is missing.
"""
import os
import pathlib
import shutil
import socket
import subprocess

import oracle
import pytest
import requests
from gateway import Backend, Gateway, free_port, wait_until

HERE = pathlib.Path(__file__).parent
WORK = HERE.parent.parent / "build" / "interop" / "collector"
SPANS = 4


@pytest.fixture(scope="session")
def program():
    """The Collector's program; built once, kept in build/interop."""
    go = shutil.which("go") or ("/usr/local/go/bin/go" if os.path.exists("/usr/local/go/bin/go") else None)
    if not go:
        pytest.skip("Go is not installed: the Collector cannot be built")
    manifest = HERE / "collector" / "builder.yaml"
    built = WORK / "otelcol-interop"
    stamp = WORK / "built.yaml"
    if not built.exists() or not stamp.exists() or stamp.read_bytes() != manifest.read_bytes():
        WORK.mkdir(parents=True, exist_ok=True)
        version = [l.split()[-1] for l in manifest.read_text().splitlines() if "otlpreceiver" in l][0]
        done = subprocess.run(
            [go, "run", f"go.opentelemetry.io/collector/cmd/builder@{version}", "--config", str(manifest)],
            cwd=WORK,
            env={**os.environ, "PATH": f"{os.path.dirname(go)}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=1500,
        )
        if done.returncode != 0:
            pytest.fail(f"building the Collector failed:\n{done.stdout[-2000:]}{done.stderr[-3000:]}")
        source = next(p for p in WORK.rglob("otelcol-interop") if p.is_file())
        if source != built:
            shutil.copy2(source, built)
        stamp.write_bytes(manifest.read_bytes())
    return built


class Collector:
    def __init__(self, program, folder, config):
        self.path = pathlib.Path(folder) / "collector.yaml"
        self.path.write_text(config)
        self.log = open(pathlib.Path(folder) / "collector.log", "wb")
        self.process = subprocess.Popen(
            [str(program), "--config", str(self.path)], stdout=self.log, stderr=self.log
        )

    def wait_port(self, port):
        def listening():
            assert self.process.poll() is None, pathlib.Path(self.log.name).read_text()[-3000:]
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return True
            except OSError:
                return False

        wait_until(listening, f"the Collector on port {port}", 30)

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()


RECEIVER = """
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:{grpc}"}}
      http: {{endpoint: "127.0.0.1:{http}"}}
exporters:
  otlp_http: {{endpoint: "{backend}", encoding: json, compression: none}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [otlp_http]}}
"""

EXPORTERS = [
    ("otlp_http", encoding, compression)
    for encoding in ("json", "proto")
    for compression in ("none", "gzip", "zstd", "deflate")
] + [("otlp_grpc", "proto", compression) for compression in ("none", "gzip", "zstd")]


@pytest.mark.parametrize("exporter,encoding,compression", EXPORTERS)
def test_the_collector_takes_our_exports_whole(tmp_path, program, exporter, encoding, compression):
    ports = {"grpc": free_port(), "http": free_port()}
    with Backend() as backend, Collector(
        program, tmp_path, RECEIVER.format(backend=backend.url(), **ports)
    ) as collector:
        collector.wait_port(ports["http"])
        endpoint = (
            f'{{endpoint: "http://127.0.0.1:{ports["http"]}", encoding: {encoding}, compression: {compression}}}'
            if exporter == "otlp_http"
            else f'{{endpoint: "127.0.0.1:{ports["grpc"]}", tls: {{insecure: true}}, compression: {compression}}}'
        )
        config = f"""
exporters:
  {exporter}: {endpoint}
service:
  pipelines:
    traces: {{receivers: [otlp], exporters: [trace_store, {exporter}]}}
"""
        ledger = oracle.Ledger(SPANS)
        with Gateway(tmp_path, config=config) as gw:
            for _ in range(10):
                traces = ledger.claim(20)
                body = oracle.make_request(traces, SPANS).SerializeToString()
                answer = requests.post(
                    gw.http("/v1/traces"), data=body, headers={"Content-Type": "application/x-protobuf"}, timeout=10
                )
                assert answer.status_code == 200
                ledger.acknowledge(traces)
            wait_until(
                lambda: gw.metric("spangate_exporter_sent_spans_total") == 200 * SPANS,
                "all spans at the Collector",
            )

        def passed_on():
            verdict = oracle.check_backend(ledger, backend.bodies())
            return verdict if not verdict.lost else None

        verdict = wait_until(passed_on, "the Collector has passed every span on")
        assert verdict.counts() == {"lost": 0, "altered": 0, "duplicated": 0, "invented": 0}


SENDER = """
receivers:
  otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{http}"}}}}}}
exporters:
  {exporter}: {endpoint}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [{exporter}]}}
"""


@pytest.mark.parametrize("exporter", ["otlp_http", "otlp_grpc"])
@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_we_take_what_the_collector_sends(tmp_path, program, exporter, compression):
    port = free_port()
    with Gateway(tmp_path) as gw:
        endpoint = (
            f'{{endpoint: "{gw.http()}", compression: {compression}}}'
            if exporter == "otlp_http"
            else f'{{endpoint: "{gw.grpc()}", tls: {{insecure: true}}, compression: {compression}}}'
        )
        config = SENDER.format(http=port, exporter=exporter, endpoint=endpoint)
        with Collector(program, tmp_path, config) as collector:
            collector.wait_port(port)
            ledger = oracle.Ledger(SPANS)
            traces = ledger.claim(50)
            answer = requests.post(
                f"http://127.0.0.1:{port}/v1/traces",
                data=oracle.make_request(traces, SPANS).SerializeToString(),
                headers={"Content-Type": "application/x-protobuf"},
                timeout=10,
            )
            assert answer.status_code == 200
            ledger.acknowledge(traces)
            wait_until(
                lambda: gw.metric("spangate_receiver_accepted_spans_total") == 50 * SPANS, "all spans accepted"
            )
        assert oracle.check_store(ledger, gw).counts() == {
            "lost": 0, "altered": 0, "duplicated": 0, "invented": 0,
        }
