"""gateway.py - a real gateway process for tests: its own data folder, its own ports.

    with Gateway(tmp_path) as gw:
        requests.post(gw.http("/v1/traces"), ...)

SPANGATE names the program. Ports are given as 0 and read back from /api/v1/status, so tests never
meet on one.
"""
import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time

import requests

PROGRAM = os.environ.get("SPANGATE", "build/dev/spangate")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(check, what, seconds=30):
    """Poll until check() is true; its last value. Fails with `what` and the last value."""
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}; last: {value!r}")
        time.sleep(0.02)


class Gateway:
    """config: YAML text merged over the default one; sets: more `--set` arguments; data: its data
    folder; prefix: a command that runs it, without forking (strace -D); env: more environment."""

    def __init__(
        self, folder, config=None, sets=(), settle="100ms", idle="2s", program=None, data=None,
        prefix=(), env=None,
    ):
        self.folder = str(folder)
        self.data = str(data) if data else os.path.join(self.folder, "data")
        self.prefix, self.env = list(prefix), dict(env or {})
        self.ports = {name: free_port() for name in ("http", "grpc", "query", "health", "metrics")}
        self.log_path = os.path.join(self.folder, "gateway.log")
        self.program = program or PROGRAM
        self.process = None
        self.config = config
        self.sets = [
            f"spangate.data_dir={self.data}",
            f"spangate.query.endpoint=127.0.0.1:{self.ports['query']}",
            f"spangate.traces.settle={settle}",
            f"spangate.traces.idle={idle}",
            *sets,
        ]

    def default_config(self):
        return f"""
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:{self.ports['grpc']}"}}
      http: {{endpoint: "127.0.0.1:{self.ports['http']}"}}
extensions:
  health_check: {{endpoint: "127.0.0.1:{self.ports['health']}"}}
exporters:
  trace_store:
service:
  extensions: [health_check]
  pipelines:
    traces: {{receivers: [otlp], exporters: [trace_store]}}
  telemetry:
    metrics: {{readers: [{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {self.ports['metrics']}}}}}}}}}]}}
"""

    def arguments(self):
        args = [*self.prefix, self.program, "serve", "--config", "yaml:" + self.default_config()]
        if self.config:
            args += ["--config", "yaml:" + self.config]
        for one in self.sets:
            args += ["--set", one]
        return args

    def start(self, wait=True):
        os.makedirs(self.folder, exist_ok=True)
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            self.arguments(),
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **self.env},
        )
        log.close()
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=60):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(
                    f"the gateway ended with {self.process.returncode}:\n{self.log()}"
                )
            try:
                if requests.get(self.health("/readyz"), timeout=2).status_code != 200:
                    return False
                # Ready for data: receivers open last.
                with socket.create_connection(("127.0.0.1", self.ports["http"]), timeout=1):
                    return True
            except OSError:
                return False

        wait_until(ready, "gateway ready", seconds)

    def stop(self, seconds=20):
        """SIGTERM and wait; the exit code."""
        if self.process is None or self.process.poll() is not None:
            return self.process.returncode if self.process else None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the gateway did not stop within {seconds} s:\n{self.log()}")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def memory_kib(self, field="VmHWM"):
        """Of /proc/PID/status: VmHWM is the peak of resident memory. 0 when it has ended."""
        with contextlib.suppress(OSError, ValueError):
            with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
                for line in status:
                    if line.startswith(field + ":"):
                        return int(line.split()[1])
        return 0

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        code = self.stop()
        if kind is None:
            log = self.log()
            assert "Sanitizer" not in log and "runtime error" not in log, log
            assert code == 0, f"exit code {code}:\n{log}"

    def log(self):
        with contextlib.suppress(FileNotFoundError):
            return open(self.log_path, encoding="utf-8", errors="replace").read()[-20000:]
        return ""

    def http(self, path=""):
        return f"http://127.0.0.1:{self.ports['http']}{path}"

    def grpc(self):
        return f"127.0.0.1:{self.ports['grpc']}"

    def query(self, path=""):
        return f"http://127.0.0.1:{self.ports['query']}{path}"

    def health(self, path=""):
        return f"http://127.0.0.1:{self.ports['health']}{path}"

    def metrics(self):
        """{'name{labels}': value} of a scrape."""
        text = requests.get(f"http://127.0.0.1:{self.ports['metrics']}/metrics", timeout=10).text
        values = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                values[name] = float(value)
        return values

    def metric(self, name):
        """Sum over the series of one metric."""
        return sum(v for k, v in self.metrics().items() if k == name or k.startswith(name + "{"))

    def trace(self, trace_id):
        """GET /api/v1/traces/{id}; None when it is not there."""
        answer = requests.get(self.query(f"/api/v1/traces/{trace_id}"), timeout=10)
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        return answer.json()

    def wait_finalized(self, trace_id, revision=1, seconds=30):
        def finalized():
            trace = self.trace(trace_id)
            return trace if trace and trace["state"] == "finalized" and trace["revision"] >= revision else None

        return wait_until(finalized, f"trace {trace_id} finalized", seconds)


def spans_of(trace):
    """[(resource, scope, span)] of an object with resourceSpans."""
    return [
        (rs.get("resource", {}), ss.get("scope", {}), span)
        for rs in trace.get("resourceSpans", [])
        for ss in rs.get("scopeSpans", [])
        for span in ss.get("spans", [])
    ]


class Backend:
    """A scripted OTLP/HTTP backend: keeps what it got, answers as told.

    script: list of (status, headers, body) for the next requests, then 200 for all.
    """

    def __init__(self, script=(), on_request=None):
        import http.server

        backend = self
        self.requests = []  # (path, headers, body bytes)
        self.script = list(script)
        self.lock = threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                if "chunked" in self.headers.get("Transfer-Encoding", ""):
                    body = b""
                    while size := int(self.rfile.readline().split(b";")[0], 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                else:
                    body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with backend.lock:
                    backend.requests.append((self.path, dict(self.headers), body))
                    status, headers, answer = backend.script.pop(0) if backend.script else (200, {}, b"")
                if on_request:
                    on_request(self.path, self.headers, body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path=""):
        return f"http://127.0.0.1:{self.port}{path}"

    def bodies(self):
        """Decoded bodies by the headers: JSON as objects, protobuf as ExportTraceServiceRequest."""
        import gzip
        import zlib

        import zstandard
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        decoded = []
        with self.lock:
            got = list(self.requests)
        for _, headers, body in got:
            headers = {k.lower(): v for k, v in headers.items()}
            coding = headers.get("content-encoding", "identity")
            if coding == "gzip":
                body = gzip.decompress(body)
            elif coding in ("deflate", "zlib"):
                body = zlib.decompress(body)
            elif coding == "zstd":
                body = zstandard.ZstdDecompressor().decompressobj().decompress(body)
            if headers.get("content-type") == "application/json":
                decoded.append(json.loads(body))
            else:
                decoded.append(ExportTraceServiceRequest.FromString(body))
        return decoded

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()
