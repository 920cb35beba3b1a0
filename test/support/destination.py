"""destination.py - an OTLP/HTTP backend that misbehaves as told, and knows what it took.

What it answered with a whole 2xx counts as delivered; `arrivals` counts that per span, so a span
with 2 was delivered twice. `attempts` are all requests that reached it.

    mode             what it does
    ok               takes everything
    refused          nobody listens
    black_hole       reads requests, never answers
    reset            cuts every second connection in the middle of the answer's status line, and
                     every other one behind a good status, in the body
    slow             one byte of the answer a second
    half_503         503 for every second request
    throttled        429 with Retry-After for every second request
    partial          200, but says that it rejected one span
    wrong_type       takes it, says 200 with a web page
    too_large        413 for bodies of more than 20,000 bytes
    poison           400 for every request with a span of the trace `poison`
"""
import collections
import gzip
import http.server
import os
import socket
import struct
import threading
import time

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

RETRY_AFTER_S = 1
TOO_LARGE_BYTES = 20_000


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # broken connections are what this is for


class Destination:
    def __init__(self, mode="ok", poison=None):
        self.mode = mode
        self.poison = poison  # a trace id as bytes
        self.lock = threading.Lock()
        self.arrivals = collections.defaultdict(collections.Counter)  # trace id -> span id -> times
        self.texts = {}  # span id -> (name, text)
        self.attempts = 0
        self.delivered_spans = 0
        self.early = 0  # requests that came before Retry-After was over
        self.not_before = 0.0
        self.healed = threading.Event()
        self.port = 0
        self.server = None
        self.listen()

    # --- listening ---

    def listen(self):
        destination = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                destination.answer(self)

            def log_message(self, *args):
                pass

        self.server = Server(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def set_mode(self, mode):
        """Change how it behaves; a change to or from `refused` closes or opens the port."""
        if self.mode == "refused" and mode != "refused":
            self.listen()
        was, self.mode = self.mode, mode
        if mode == "ok":
            self.healed.set()
        else:
            self.healed.clear()
        if mode == "refused" and was != "refused":
            self.close()

    def close(self):
        self.healed.set()
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def url(self):
        return f"http://127.0.0.1:{self.port}"

    # --- answering ---

    def answer(self, handler):
        if self.mode == "refused":
            return self.cut(handler)  # a connection from before
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        if handler.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        with self.lock:
            self.attempts += 1
            odd = self.attempts % 2 == 1
            if time.monotonic() < self.not_before:
                self.early += 1
        mode = self.mode
        if mode == "black_hole":
            self.healed.wait(60)
            return self.cut(handler)
        if mode == "slow":
            return self.dribble(handler, body)
        if mode == "reset" and odd:
            handler.wfile.write(b"HTTP/1.1 2")
            return self.cut(handler)
        if mode == "reset":
            self.take(body)  # after a 2xx the data is there, whatever becomes of the rest
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf of ")
            return self.cut(handler)
        if mode == "half_503" and odd:
            return self.send(handler, 503, b"busy", {"Content-Type": "text/plain"})
        if mode == "throttled" and odd:
            with self.lock:
                # A little less: the two clocks were not read at the same time.
                self.not_before = time.monotonic() + RETRY_AFTER_S * 0.95
            return self.send(handler, 429, b"", {"Retry-After": str(RETRY_AFTER_S)})
        if mode == "wrong_type":
            self.take(body)
            return self.send(handler, 200, b"<html>log in</html>", {"Content-Type": "text/html"})
        if mode == "too_large" and len(body) > TOO_LARGE_BYTES:
            return self.send(handler, 413, b"", {})
        if mode == "poison" and self.poison in body:
            return self.send(handler, 400, b"poison", {"Content-Type": "text/plain"})
        answer = b""
        if mode == "partial":
            response = trace_service_pb2.ExportTraceServiceResponse()
            response.partial_success.rejected_spans = 1
            response.partial_success.error_message = "one span is not to our taste"
            answer = response.SerializeToString()
        self.take(body)
        return self.send(handler, 200, answer, {"Content-Type": "application/x-protobuf"})

    def take(self, body):
        request = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
        spans = [s for rs in request.resource_spans for ss in rs.scope_spans for s in ss.spans]
        with self.lock:
            self.delivered_spans += len(spans)
            for span in spans:
                text = next((a.value.string_value for a in span.attributes if a.key == "text"), None)
                self.arrivals[span.trace_id][span.span_id] += 1
                self.texts[span.span_id] = (span.name, text)

    def send(self, handler, status, body, headers):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def dribble(self, handler, body):
        answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"
        try:
            for byte in answer:
                handler.wfile.write(bytes([byte]))
                if self.healed.wait(1):
                    return self.cut(handler)
            self.take(body)
        except OSError:
            self.cut(handler)

    def cut(self, handler):
        """Close with a reset."""
        handler.close_connection = True
        linger = struct.pack("ii", 1, 0)
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        os.close(handler.connection.detach())

    # --- what it has ---

    def has_whole(self, trace_id, span_count):
        with self.lock:
            return len(self.arrivals.get(trace_id, ())) >= span_count

    def found(self, trace_id):
        """[(span id (hex), (name, text))], once for every delivery, as oracle.Verdict wants it."""
        with self.lock:
            spans = dict(self.arrivals.get(trace_id, {}))
            return [
                (span.hex(), self.texts[span]) for span, times in spans.items() for _ in range(times)
            ]

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()
