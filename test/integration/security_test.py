"""Who is let in and what can be read on the way: TLS, mutual TLS and credentials on every listener.

Certificates are made by openssl when a test starts; clients are those that people use.
"""
import base64
import hashlib
import json
import os
import pathlib
import socket
import ssl
import subprocess

import grpc
import pytest
import requests
from gateway import PROGRAM, Gateway, spans_of, wait_until
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from oracle import make_request, trace_id
from pki import Pki

JSON = {"Content-Type": "application/json"}
PROTOBUF = {"Content-Type": "application/x-protobuf"}
EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "deploy/config/gateway-tls.yaml"


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(autouse=True)
def no_other_authorities(monkeypatch):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


def secured(pair, more="", query=False):
    """Configuration: TLS on both receivers."""
    tls = f"tls: {{cert_file: {pair.cert}, key_file: {pair.key}{', ' + more if more else ''}}}"
    text = f"receivers: {{otlp: {{protocols: {{grpc: {{{tls}}}, http: {{{tls}}}}}}}}}\n"
    if query:
        text += f"spangate: {{query: {{{tls}}}}}\n"
    return text


def guarded(authenticator, extension, query=False):
    """Configuration: credentials on both receivers. extension: YAML of its section."""
    auth = f"auth: {{authenticator: {authenticator}}}"
    text = f"""
extensions: {{{authenticator}: {extension}}}
receivers: {{otlp: {{protocols: {{grpc: {{{auth}}}, http: {{{auth}, cors: {{allowed_origins: ["https://shop.example"]}}}}}}}}}}
service: {{extensions: [health_check, {authenticator}]}}
"""
    if query:
        text += f"spangate: {{query: {{{auth}}}}}\n"
    return text


def https(gateway, path="/v1/traces"):
    return f"https://localhost:{gateway.ports['http']}{path}"


def send_http(url, number, **more):
    more.setdefault("headers", {})
    return requests.post(
        url,
        data=make_request([number], 2).SerializeToString(),
        timeout=10,
        **{**more, "headers": {**PROTOBUF, **more["headers"]}},
    )


def read(path):
    return pathlib.Path(path).read_bytes()


def secure_channel(gateway, ca, client=None):
    credentials = grpc.ssl_channel_credentials(
        read(ca), read(client.key) if client else None, read(client.cert) if client else None
    )
    return grpc.secure_channel(f"localhost:{gateway.ports['grpc']}", credentials)


def send_grpc(channel, number, metadata=()):
    """The status of an Export."""
    try:
        trace_service_pb2_grpc.TraceServiceStub(channel).Export(
            make_request([number], 2), timeout=10, metadata=metadata
        )
        return grpc.StatusCode.OK
    except grpc.RpcError as error:
        return error.code()


def stored(gateway, number):
    trace = gateway.trace(trace_id(number).hex())
    return trace is not None and len(spans_of(trace)) == 2


def shake_hands(port, ca, **settings):
    """A TLS connection; settings are set on its context."""
    context = ssl.create_default_context(cafile=ca)
    for name, value in settings.items():
        if name == "alpn":
            context.set_alpn_protocols(value)
        elif name == "client":
            context.load_cert_chain(value.cert, value.key)
        else:
            setattr(context, name, value)
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    return context.wrap_socket(plain, server_hostname="localhost")


# --- TLS ---


def test_both_receivers_and_the_query_port_speak_tls(tmp_path, pki):
    with Gateway(tmp_path, config=secured(pki.server, query=True)) as gw:
        assert send_http(https(gw), 1, verify=pki.ca).status_code == 200
        request = {"resourceSpans": []}
        answer = requests.post(https(gw), json=request, verify=pki.ca, timeout=10)
        assert answer.status_code == 200 and answer.json() == {}
        with secure_channel(gw, pki.ca) as channel:
            assert send_grpc(channel, 2) == grpc.StatusCode.OK
        query = f"https://localhost:{gw.ports['query']}"
        for number in (1, 2):
            answer = requests.get(
                f"{query}/api/v1/traces/{trace_id(number).hex()}", verify=pki.ca, timeout=10
            )
            assert answer.status_code == 200 and len(spans_of(answer.json())) == 2
        page = requests.get(query, verify=pki.ca, timeout=10)
        assert page.status_code == 200 and "text/html" in page.headers["Content-Type"]
        assert f"url=https://127.0.0.1:{gw.ports['query']}/" in gw.log()


def test_bodies_of_any_size_pass_and_early_answers_reach_the_client(tmp_path, pki):
    with Gateway(tmp_path, config=secured(pki.server)) as gw:
        with requests.Session() as session:
            session.verify = str(pki.ca)
            body = make_request(range(1, 5000), 3).SerializeToString()
            assert len(body) > 2 << 20
            for _ in range(3):  # on one connection
                assert session.post(https(gw), data=body, headers=PROTOBUF, timeout=60).status_code == 200
            pieces = (body[i : i + 50_000] for i in range(0, len(body), 50_000))
            assert session.post(https(gw), data=pieces, headers=PROTOBUF, timeout=60).status_code == 200
            # Said before the body is there: the answer does not go through libmicrohttpd.
            with shake_hands(gw.ports["http"], pki.ca) as tls:
                tls.sendall(
                    b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    b"Content-Length: 99000000\r\n\r\n"
                )
                answer = b""
                while piece := tls.recv(4096):
                    answer += piece
                assert answer.startswith(b"HTTP/1.1 413 ") and b'"code":8' in answer
            answer = session.post(https(gw, "/v1/nothing"), data=body, headers=PROTOBUF, timeout=60)
            assert answer.status_code == 404
        with secure_channel(gw, pki.ca) as channel:
            stub = trace_service_pb2_grpc.TraceServiceStub(channel)
            for _ in range(3):
                stub.Export(make_request(range(5000, 20000), 2), timeout=60)


def test_a_client_that_does_not_trust_us_does_not_send(tmp_path, pki):
    with Gateway(tmp_path, config=secured(pki.server)) as gw:
        with pytest.raises(requests.exceptions.SSLError):
            send_http(https(gw), 1, verify=pki.other.ca)
        with secure_channel(gw, pki.other.ca) as channel:
            assert send_grpc(channel, 2) == grpc.StatusCode.UNAVAILABLE
        assert send_http(https(gw), 3, verify=pki.ca).status_code == 200
        assert stored(gw, 3) and not stored(gw, 1) and not stored(gw, 2)
        wait_until(lambda: "TLS handshake failed" in gw.log(), "the failure in the log")
        wait_until(lambda: "TLS connection refused" in gw.log(), "the failure in the log")


def test_mutual_tls_lets_in_who_has_a_certificate_of_ours(tmp_path, pki):
    config = secured(pki.server, f"client_ca_file: {pki.ca}", query=True)
    impostor = pki.authority.issue("impostor", "serverAuth")  # ours, but not made for clients
    with Gateway(tmp_path, config=config) as gw:
        assert send_http(https(gw), 1, verify=pki.ca, cert=pki.client).status_code == 200
        with secure_channel(gw, pki.ca, pki.client) as channel:
            assert send_grpc(channel, 2) == grpc.StatusCode.OK
        answer = requests.get(
            f"https://localhost:{gw.ports['query']}/api/v1/traces/{trace_id(2).hex()}",
            verify=pki.ca, cert=pki.client, timeout=10,
        )  # fmt: skip
        assert answer.status_code == 200
        for stranger in (None, pki.other.client, impostor):
            for port in ("http", "query"):
                with pytest.raises(requests.exceptions.ConnectionError):
                    send_http(f"https://localhost:{gw.ports[port]}/v1/traces", 3, verify=pki.ca, cert=stranger)
            with secure_channel(gw, pki.ca, stranger) as channel:
                assert send_grpc(channel, 3) == grpc.StatusCode.UNAVAILABLE
        assert gw.metric("spangate_receiver_accepted_spans_total") == 4
        log = gw.log()
        assert "client certificate refused" in log and "certificate not trusted" in log
        assert "peer did not return a certificate" in log


def test_older_versions_of_tls_are_refused(tmp_path, pki):
    both = {"http": ["http/1.1"], "grpc": ["h2"]}
    with Gateway(tmp_path, config=secured(pki.server)) as gw:
        for port, alpn in both.items():
            with shake_hands(gw.ports[port], pki.ca, alpn=alpn, maximum_version=ssl.TLSVersion.TLSv1_2) as tls:
                assert tls.version() == "TLSv1.2"
            with shake_hands(gw.ports[port], pki.ca, alpn=alpn) as tls:
                assert tls.version() == "TLSv1.3"
    with Gateway(tmp_path, config=secured(pki.server, 'min_version: "1.3"')) as gw:
        for port, alpn in both.items():
            with pytest.raises(ssl.SSLError):
                shake_hands(gw.ports[port], pki.ca, alpn=alpn, maximum_version=ssl.TLSVersion.TLSv1_2)
            with shake_hands(gw.ports[port], pki.ca, alpn=alpn) as tls:
                assert tls.version() == "TLSv1.3"


def test_grpc_needs_a_client_that_offers_http2(tmp_path, pki):
    with Gateway(tmp_path, config=secured(pki.server)) as gw:
        with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
            shake_hands(gw.ports["grpc"], pki.ca, alpn=["http/1.1"])
        with shake_hands(gw.ports["grpc"], pki.ca) as tls:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                if tls.recv(1) == b"":
                    raise ConnectionError
        wait_until(lambda: "does not offer HTTP/2 (ALPN h2)" in gw.log(), "the reason in the log")


def peer_serial(port, ca, alpn):
    with shake_hands(port, ca, alpn=alpn) as tls:
        return tls.getpeercert()["serialNumber"]


def test_replaced_certificates_are_taken_by_the_next_connection(tmp_path, pki):
    live = type(pki.server)(tmp_path / "live.crt", tmp_path / "live.key")
    first = pki.authority.issue("first", "serverAuth")
    second = pki.authority.issue("second", "serverAuth")

    def put(pair):
        for source, target in zip(pair, live):
            fresh = target.with_suffix(".new")
            fresh.write_bytes(read(source))
            os.replace(fresh, target)

    put(first)
    with Gateway(tmp_path, config=secured(live, "reload_interval: 10ms")) as gw:
        ports = ((gw.ports["http"], ["http/1.1"]), (gw.ports["grpc"], ["h2"]))
        before = [peer_serial(port, pki.ca, alpn) for port, alpn in ports]
        assert before[0] == before[1]
        session = requests.Session()
        session.verify = str(pki.ca)
        assert session.post(https(gw), data=b"", headers=PROTOBUF, timeout=10).status_code == 200
        with secure_channel(gw, pki.ca) as channel:
            assert send_grpc(channel, 1) == grpc.StatusCode.OK
            put(second)
            for port, alpn in ports:
                wait_until(lambda: peer_serial(port, pki.ca, alpn) != before[0], "the new certificate")
            # Who was connected stays so.
            assert send_grpc(channel, 2) == grpc.StatusCode.OK
            assert session.post(https(gw), data=b"", headers=PROTOBUF, timeout=10).status_code == 200
        now = peer_serial(gw.ports["http"], pki.ca, ["http/1.1"])
        live.cert.write_text("no certificate")
        for port, alpn in ports:
            wait_until(
                lambda: peer_serial(port, pki.ca, alpn) == now
                and gw.log().count("certificates cannot be read again, the old ones stay") >= 2,
                "the old certificate and a line in the log",
            )
        assert gw.log().count("certificates read again") == 2


def test_tls_and_clear_text_do_not_meet_unnoticed(tmp_path, pki):
    with Gateway(tmp_path / "tls", config=secured(pki.server)) as gw:
        answer = requests.post(gw.http("/v1/traces"), data=b"", timeout=10)
        assert answer.status_code == 400 and "this port speaks HTTPS only" in answer.text
        answer = requests.get(f"http://127.0.0.1:{gw.ports['grpc']}/", timeout=10)
        assert answer.status_code == 400 and "this port speaks TLS" in answer.text
        with grpc.insecure_channel(gw.grpc()) as channel:
            assert send_grpc(channel, 1) == grpc.StatusCode.UNAVAILABLE
        log = gw.log()
        assert f'"clear text on a TLS port, connection closed" server=otlp-http port={gw.ports["http"]}' in log
        assert f'"clear text on a TLS port, connection closed" port={gw.ports["grpc"]}' in log
    with Gateway(tmp_path / "clear") as gw:
        for _ in range(5):  # a handshake is random bytes: any of them must be noticed
            with pytest.raises((ssl.SSLError, ConnectionError, TimeoutError)):
                shake_hands(gw.ports["http"], pki.ca)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            shake_hands(gw.ports["grpc"], pki.ca)
        wait_until(lambda: gw.log().count('"bytes that are no HTTP, connection closed"') == 5, "lines in the log")
        assert "does the client use TLS?" in gw.log()
        assert "TLS handshake on a plaintext port" in gw.log()


def test_a_listener_without_usable_files_does_not_start(tmp_path, pki):
    for number, (pair, expected) in enumerate(
        (
            (type(pki.server)("/nonexistent.crt", pki.server.key), "/nonexistent.crt"),
            (type(pki.server)(pki.server.cert, pki.client.key), str(pki.client.key)),
        )
    ):
        gw = Gateway(tmp_path / str(number), config=secured(pki.server, query=True))
        for listener in ("receivers.otlp.protocols.grpc", "receivers.otlp.protocols.http", "spangate.query"):
            gw.sets = gw.sets[:3] + [f"{listener}.tls.cert_file={pair.cert}", f"{listener}.tls.key_file={pair.key}"]
            gw.start(wait=False)
            assert gw.process.wait(20) not in (0, -6)
            assert expected in gw.log().splitlines()[-1], gw.log()


# --- credentials ---


def assert_refused(answer, challenge, encoding="protobuf"):
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == challenge
    if encoding == "json":
        assert answer.headers["Content-Type"] == "application/json" and answer.json()["code"] == 16
    else:
        assert answer.headers["Content-Type"] == "application/x-protobuf" and answer.content[:2] == b"\x08\x10"


def test_bearer_tokens(tmp_path):
    hashed = "sha256:" + hashlib.sha256(b"third").hexdigest()
    config = guarded("bearertokenauth", f'{{tokens: [first, "second one", "{hashed}"]}}')
    with Gateway(tmp_path, config=config) as gw:
        url = gw.http("/v1/traces")
        for number, value in enumerate(("Bearer first", "bearer first", "Bearer second one", "BEARER third"), 1):
            assert send_http(url, number, headers={"Authorization": value}).status_code == 200
            assert stored(gw, number)
        for value in (None, "", "Bearer", "Bearer ", "Bearer firs", "Bearer first1", "Basic Zmlyc3Q=", "first", hashed, "Bearer " + hashed, "Bearer " + "x" * 9000):
            headers = {"Authorization": value} if value is not None else {}
            assert_refused(send_http(url, 9, headers=headers), "Bearer")
            assert_refused(requests.post(url, json={}, headers=headers, timeout=10), "Bearer", "json")
        with grpc.insecure_channel(gw.grpc()) as channel:
            assert send_grpc(channel, 5, [("authorization", "Bearer first")]) == grpc.StatusCode.OK
            assert stored(gw, 5)
            for metadata in ([], [("authorization", "Bearer wrong")], [("x-api-key", "first")]):
                assert send_grpc(channel, 9, metadata) == grpc.StatusCode.UNAUTHENTICATED
            # Probes cannot say who they are; what else there is needs credentials.
            health = health_pb2_grpc.HealthStub(channel)
            assert health.Check(health_pb2.HealthCheckRequest(), timeout=10).status == 1
            with pytest.raises(grpc.RpcError) as failure:
                channel.unary_unary("/no.such.Service/Method")(b"", timeout=10)
            assert failure.value.code() == grpc.StatusCode.UNAUTHENTICATED
        assert not stored(gw, 9)
        metrics = gw.metrics()
        assert metrics['spangate_receiver_requests_total{transport="http",outcome="unauthenticated"}'] == 22
        assert metrics['spangate_receiver_requests_total{transport="grpc",outcome="unauthenticated"}'] == 4


def test_who_is_not_known_is_refused_before_the_body_and_learns_nothing(tmp_path):
    with Gateway(tmp_path, config=guarded("bearertokenauth", "{token: right}")) as gw:
        with socket.create_connection(("127.0.0.1", gw.ports["http"]), timeout=10) as s:
            s.sendall(
                b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\n"
                b"Content-Length: 60000000\r\n\r\n"
            )
            assert s.recv(4096).startswith(b"HTTP/1.1 401 ")
        for method, path in (("GET", "/v1/traces"), ("POST", "/nothing"), ("OPTIONS", "/v1/traces")):
            assert requests.request(method, gw.http(path), timeout=10).status_code == 401
        # A page asks first whether it may, and cannot show credentials while it does.
        preflight = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
        answer = requests.options(gw.http("/v1/traces"), headers=preflight, timeout=10)
        assert answer.status_code == 204 and "authorization" in answer.headers["Access-Control-Allow-Headers"]
        answer = send_http(gw.http("/v1/traces"), 1, headers={"Origin": "https://shop.example"})
        assert answer.status_code == 401
        assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example"
        # The same connection goes on.
        with requests.Session() as session:
            for _ in range(3):
                assert session.post(gw.http("/v1/traces"), data=b"x" * 100, timeout=10).status_code == 401
            assert session.post(
                gw.http("/v1/traces"), data=b"", headers={**PROTOBUF, "Authorization": "Bearer right"}, timeout=10
            ).status_code == 200  # fmt: skip


def bcrypt(password):
    """What `htpasswd -B` writes: a hash of cost 5 of this password, made once with it."""
    return {"hunter2": "$2y$05$abcdefghijklmnopqrstuuoXuKqgZXLiJqzfmMXDDhSFPIvxV7t8."}[password]


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_users_with_passwords_in_every_form(tmp_path):
    sha1 = base64.b64encode(hashlib.sha1(b"secret").digest()).decode()
    md5crypt = subprocess.run(["openssl", "passwd", "-1", "-salt", "abc", "deep"], capture_output=True, text=True, check=True)
    sha512crypt = subprocess.run(["openssl", "passwd", "-6", "-salt", "abc", "deeper"], capture_output=True, text=True, check=True)
    htpasswd = tmp_path / "htpasswd"
    htpasswd.write_text(
        f"# users\n\nplain:with spaces\nsha:{{SHA}}{sha1}\nmd5:{md5crypt.stdout.strip()}\n"
        f"sha512:{sha512crypt.stdout.strip()}\r\nbcrypt:{bcrypt('hunter2')}\n"
    )
    config = guarded("basicauth/x", f'{{htpasswd: {{file: {htpasswd}, inline: "inline:colon free"}}}}')
    with Gateway(tmp_path, config=config) as gw:
        url = gw.http("/v1/traces")
        users = {
            "plain": "with spaces", "sha": "secret", "md5": "deep", "sha512": "deeper", "bcrypt": "hunter2",
            "inline": "colon free",
        }  # fmt: skip
        for number, (user, password) in enumerate(users.items(), 1):
            for _ in range(2):
                assert send_http(url, number, headers=basic(user, password)).status_code == 200, user
            assert_refused(send_http(url, 99, headers=basic(user, password + "x")), 'Basic realm="spangate", charset="UTF-8"')
            assert send_http(url, 99, headers=basic(user, "")).status_code == 401
        for headers in (basic("nobody", "secret"), basic("", ""), {"Authorization": "Basic !"}, {"Authorization": "Basic"}):
            assert send_http(url, 99, headers=headers).status_code == 401
        with grpc.insecure_channel(gw.grpc()) as channel:
            given = [("authorization", basic("bcrypt", "hunter2")["Authorization"])]
            assert send_grpc(channel, 7, given) == grpc.StatusCode.OK


def test_wrong_passwords_cannot_keep_the_receiver_busy(tmp_path):
    config = guarded("basicauth", f'{{htpasswd: {{inline: "slow:{bcrypt("hunter2").replace("$", "$$")}"}}}}')
    with Gateway(tmp_path, config=config) as gw:
        url = gw.http("/v1/traces")
        assert send_http(url, 1, headers=basic("slow", "hunter2")).status_code == 200
        codes = [send_http(url, 2, headers=basic("slow", f"guess {i}")).status_code for i in range(60)]
        assert set(codes) == {401, 429}
        # Who was known before still is.
        assert send_http(url, 3, headers=basic("slow", "hunter2")).status_code == 200


def test_api_keys(tmp_path):
    with Gateway(tmp_path, config=guarded("apikeyauth", "{header: X-Key, keys: [k1, k2]}")) as gw:
        url = gw.http("/v1/traces")
        assert send_http(url, 1, headers={"x-key": "k2"}).status_code == 200
        assert_refused(send_http(url, 9, headers={"x-key": "k3"}), 'ApiKey header="X-Key"')
        assert send_http(url, 9, headers={"Authorization": "k1"}).status_code == 401
        with grpc.insecure_channel(gw.grpc()) as channel:
            assert send_grpc(channel, 2, [("x-key", "k1")]) == grpc.StatusCode.OK
            assert send_grpc(channel, 9, [("x-key", "k")]) == grpc.StatusCode.UNAUTHENTICATED
        preflight = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
        answer = requests.options(url, headers=preflight, timeout=10)
        assert "X-Key" in answer.headers["Access-Control-Allow-Headers"]


def test_a_file_with_secrets_is_read_again_when_it_changes(tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("old\n")
    with Gateway(tmp_path, config=guarded("bearertokenauth", f"{{filename: {tokens}}}")) as gw:

        def status(token):
            return send_http(gw.http("/v1/traces"), 1, headers={"Authorization": f"Bearer {token}"}).status_code

        assert status("old") == 200 and status("new") == 401
        tokens.write_text("new\n# comment\n\nanother\n")
        wait_until(lambda: status("new") == 200, "the new token")
        assert status("old") == 401 and status("another") == 200 and status("# comment") == 401
        tokens.unlink()
        wait_until(lambda: "credentials cannot be read again, the old ones stay valid" in (status("new"), gw.log())[1], "a line in the log")
        assert status("new") == 200
        tokens.write_text("")
        wait_until(lambda: status("new") == 401, "nobody is let in")


def test_the_query_port_asks_for_credentials_and_may_then_leave_loopback(tmp_path):
    config = guarded("basicauth", '{htpasswd: {inline: "viewer:look"}}', query=True)
    gw = Gateway(tmp_path, config=config)
    gw.sets.append(f"spangate.query.endpoint=0.0.0.0:{gw.ports['query']}")
    with gw:
        known = basic("viewer", "look")
        for path in ("/", "/app.js", "/api/services", "/api/v1/status", "/api/v1/traces", "/nothing"):
            answer = requests.get(gw.query(path), timeout=10)
            assert answer.status_code == 401 and answer.headers["WWW-Authenticate"].startswith("Basic ")
            assert requests.get(gw.query(path), headers=basic("viewer", "no"), timeout=10).status_code == 401
        for path in ("/", "/api/services", "/api/v1/status", "/api/v1/traces"):
            assert requests.get(gw.query(path), headers=known, timeout=10).status_code == 200
        assert requests.get(gw.query("/nothing"), headers=known, timeout=10).status_code == 404
        shown = subprocess.run(
            [gw.program, "trace", "0" * 31 + "1", "--endpoint", gw.query().replace("//", "//viewer:look@")],
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert "is not known here" in shown.stderr, shown.stderr
        # A name that is not ours is refused whoever asks.
        assert requests.get(gw.query("/"), headers={**known, "Host": "evil.example"}, timeout=10).status_code == 421
        assert "credentials cross the network in clear text" in gw.log()
        # Health and metrics stay open on loopback.
        assert requests.get(gw.health("/readyz"), timeout=10).status_code == 200
        assert gw.metrics()


def test_open_receivers_are_told_loudly_unless_they_are_guarded(tmp_path, pki):
    def log_of(name, config):
        gw = Gateway(tmp_path / name, config=config)
        for protocol in ("grpc", "http"):
            gw.sets.append(f"receivers.otlp.protocols.{protocol}.endpoint=0.0.0.0:{gw.ports[protocol]}")
        with gw:
            return gw.log()

    loud = "OPEN TO THE NETWORK WITHOUT AUTHENTICATION"
    clear = "credentials cross the network in clear text"
    assert log_of("open", None).count(loud) == 1
    log = log_of("token", guarded("bearertokenauth", "{token: x}"))
    assert loud not in log and log.count(clear) == 1
    log = log_of("mutual", secured(pki.server, f"client_ca_file: {pki.ca}"))
    assert loud not in log and clear not in log
    assert loud in log_of("tls only", secured(pki.server))


def test_no_secret_is_shown_anywhere(tmp_path, pki):
    tokens = tmp_path / "tokens"
    tokens.write_text("canary-file-token\n")
    config = f"""
extensions:
  bearertokenauth: {{tokens: [canary-token, canary-two]}}
  bearertokenauth/file: {{filename: {tokens}}}
  basicauth: {{htpasswd: {{inline: "canaryuser:canary-password"}}}}
  apikeyauth: {{keys: [canary-key]}}
receivers:
  otlp: {{protocols: {{grpc: {{auth: {{authenticator: bearertokenauth}}}}, http: {{auth: {{authenticator: basicauth}}}}}}}}
  otlp/2: {{protocols: {{http: {{endpoint: "127.0.0.1:0", auth: {{authenticator: apikeyauth}}}}}}}}
  otlp/3: {{protocols: {{http: {{endpoint: "127.0.0.1:0", auth: {{authenticator: bearertokenauth/file}}}}}}}}
service:
  extensions: [health_check, bearertokenauth, bearertokenauth/file, basicauth, apikeyauth]
  pipelines: {{traces: {{receivers: [otlp, otlp/2, otlp/3], exporters: [trace_store]}}}}
  telemetry: {{logs: {{level: debug}}}}
spangate: {{query: {{auth: {{authenticator: basicauth}}}}}}
"""
    seen = []
    with Gateway(tmp_path, config=config) as gw:
        known = basic("canaryuser", "canary-password")
        requests.get(gw.query("/api/v1/status"), headers=known, timeout=10).raise_for_status()
        status = requests.get(gw.query("/api/v1/status"), headers=known, timeout=10).json()
        ports = [r["port"] for r in status["receivers"] if r["protocol"] == "http"]
        attempts = [
            known, basic("canaryuser", "canary-guess"), {"Authorization": "Bearer canary-guess"},
            {"x-api-key": "canary-key"}, {"x-api-key": "canary-guess"}, {"Authorization": "Bearer canary-file-token"},
        ]  # fmt: skip
        codes = []
        for port in ports:
            for headers in attempts:
                answer = send_http(f"http://127.0.0.1:{port}/v1/traces", 1, headers=headers)
                codes.append(answer.status_code)
                seen += [answer.text, str(answer.headers)]
        assert codes.count(200) == 3 and codes.count(401) == 15
        with grpc.insecure_channel(gw.grpc()) as channel:
            assert send_grpc(channel, 1, [("authorization", "Bearer canary-two")]) == grpc.StatusCode.OK
            with pytest.raises(grpc.RpcError) as failure:
                trace_service_pb2_grpc.TraceServiceStub(channel).Export(
                    make_request([1], 1), timeout=10, metadata=[("authorization", "Bearer canary-guess")]
                )
            seen += [failure.value.details(), str(failure.value.trailing_metadata())]
        for path in ("/api/v1/status", "/api/services", "/api/v1/traces"):
            seen.append(requests.get(gw.query(path), headers=known, timeout=10).text)
            seen.append(requests.get(gw.query(path), headers=attempts[1], timeout=10).text)
        seen.append(json.dumps(gw.metrics()))
        for command in ("print-config", "validate"):
            arguments = [gw.program, command, *gw.arguments()[2:]]
            done = subprocess.run(arguments, capture_output=True, text=True, timeout=30, check=True)
            seen += [done.stdout, done.stderr]
        bad = [
            "extensions: {basicauth: {htpasswd: {inline: canary}}}",
            "extensions: {basicauth: {htpasswd: {inline: 'canary:$$apr1$$canary$$canary'}}}",
            "extensions: {bearertokenauth: {token: [canary]}}",
            "extensions: {bearertokenauth: {tokens: {canary: 1}}}",
            "extensions: {bearertokenauth: {token: canary, tokens: [canary]}}",
            "extensions: {apikeyauth: {keys: [canary, [canary]]}}",
            "extensions: {apikeyauth: {keys: ['sha256:canary', \"canary\\ncanary\"]}}",
        ]
        refused = 0
        for text in bad:
            arguments = [gw.program, "serve", *gw.arguments()[2:], "--config", "yaml:" + text, "--set", f"spangate.data_dir={tmp_path}/bad"]
            done = subprocess.run(arguments, capture_output=True, text=True, timeout=30)
            refused += done.returncode != 0
            seen += [done.stdout, done.stderr]
        assert refused == len(bad)
    seen.append(pathlib.Path(gw.log_path).read_text())
    assert "request refused" in seen[-1]
    for text in seen:
        # Names of keys of a map are the user's words, not values.
        shown = text.replace("invalid keys: canary", "")
        assert "canary" not in shown, shown
        assert base64.b64encode(b"canaryuser:canary").decode()[:20] not in shown


def test_what_cannot_be_checked_is_refused_at_the_start(tmp_path):
    for extension, expected in (
        ('basicauth: {htpasswd: {inline: "a:$$apr1$$x$$y"}}', "line 1 has a form of password that is not supported: use bcrypt"),
        ('basicauth: {htpasswd: {inline: "a:$$2y$$14$$abcdefghijklmnopqrstuuoXuKqgZXLiJqzfmMXDDhSFPIvxV7t8."}}', "takes too long to check"),
        ("basicauth: {}", "needs file or inline"),
        ("bearertokenauth: {}", "needs token, tokens or filename"),
        ("bearertokenauth: {token: a, tokens: [b]}", "either token or tokens should be set, not both"),
        ("bearertokenauth: {filename: /nonexistent}", "/nonexistent"),
        ("apikeyauth: {header: 'a b', keys: [x]}", "must be of letters, digits and hyphens"),
    ):  # fmt: skip
        name = extension.split(":")[0]
        gw = Gateway(tmp_path, config=guarded(name, extension.partition(": ")[2]))
        gw.start(wait=False)
        assert gw.process.wait(20) != 0
        assert expected in gw.log(), gw.log()
        os.unlink(gw.log_path)
    config = "receivers: {otlp: {protocols: {http: {auth: {authenticator: bearertokenauth/x}}}}}"
    done = subprocess.run(
        [PROGRAM, "validate", "--config", "yaml:" + Gateway(tmp_path).default_config(), "--config", "yaml:" + config],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert 'failed to resolve authenticator "bearertokenauth/x": authenticator not found' in done.stderr


# --- people's clients, and our example ---


def test_the_sdks_exporters_get_through(tmp_path, pki):
    config = secured(pki.server, f"client_ca_file: {pki.ca}")
    with Gateway(tmp_path, config=config, sets=[
        "extensions.bearertokenauth.token=sdk-token",
        "service.extensions=[health_check, bearertokenauth]",
        "receivers.otlp.protocols.http.auth.authenticator=bearertokenauth",
        "receivers.otlp.protocols.grpc.auth.authenticator=bearertokenauth",
    ]) as gw:  # fmt: skip
        http = HttpExporter(
            endpoint=https(gw), certificate_file=str(pki.ca), client_certificate_file=str(pki.client.cert),
            client_key_file=str(pki.client.key), headers={"authorization": "Bearer sdk-token"},
        )  # fmt: skip
        over_grpc = GrpcExporter(
            endpoint=f"https://localhost:{gw.ports['grpc']}",
            credentials=grpc.ssl_channel_credentials(read(pki.ca), read(pki.client.key), read(pki.client.cert)),
            headers=(("authorization", "Bearer sdk-token"),),
        )  # fmt: skip
        for exporter in (http, over_grpc):
            provider = TracerProvider()
            provider.add_span_processor(SimpleSpanProcessor(exporter))
            with provider.get_tracer("test").start_as_current_span("hello") as span:
                found = f"{span.get_span_context().trace_id:032x}"
            provider.shutdown()
            assert gw.trace(found) is not None


def test_the_example_for_a_gateway_is_valid_and_runs(tmp_path, pki):
    folder = tmp_path / "conf"
    folder.mkdir()
    for source, name in (
        (pki.server.cert, "server.crt"), (pki.server.key, "server.key"), (pki.ca, "clients-ca.crt"),
    ):  # fmt: skip
        (folder / name).write_bytes(read(source))
    (folder / "tokens").write_text("from-the-file\n")
    (folder / "htpasswd").write_text("viewer:look\n")
    environment = {"SPANGATE_CONF": str(folder), "BACKEND": "http://127.0.0.1:9"}
    gw = Gateway(tmp_path, env=environment)
    arguments = [gw.program, "validate", "--config", str(EXAMPLE)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=30, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    metrics = "[{pull: {exporter: {prometheus: {host: 127.0.0.1, port: %d}}}}]" % gw.ports["metrics"]
    gw.arguments = lambda: [
        gw.program, "serve", "--config", str(EXAMPLE),
        *(part for one in (
            *gw.sets,
            f"receivers.otlp.protocols.http.endpoint=127.0.0.1:{gw.ports['http']}",
            f"receivers.otlp.protocols.grpc.endpoint=127.0.0.1:{gw.ports['grpc']}",
            f"extensions.health_check.endpoint=127.0.0.1:{gw.ports['health']}",
            f"service.telemetry.metrics.readers={metrics}",
        ) for part in ("--set", one)),
    ]  # fmt: skip
    with gw:
        token = {"Authorization": "Bearer from-the-file"}
        assert send_http(https(gw), 1, verify=pki.ca, headers=token).status_code == 200
        assert send_http(https(gw), 1, verify=pki.ca).status_code == 401
        with secure_channel(gw, pki.ca, pki.client) as channel:
            assert send_grpc(channel, 2) == grpc.StatusCode.OK
        query = f"https://localhost:{gw.ports['query']}/api/services"
        assert requests.get(query, verify=pki.ca, timeout=10).status_code == 401
        assert requests.get(query, verify=pki.ca, timeout=10, headers=basic("viewer", "look")).status_code == 200
