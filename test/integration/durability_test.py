"""The three durability modes do what the start-up log says they do."""
import os
import pathlib

import oracle
import pytest
import requests
from gateway import Backend, Gateway, wait_until

EXPORT_ONLY = """
exporters:
  trace_store: null
  otlp_http: {{endpoint: "{url}", encoding: json, compression: none}}
service:
  pipelines:
    traces: {{receivers: [otlp], exporters: [otlp_http]}}
"""


def send(gateway, ledger, count):
    traces = ledger.claim(count)
    answer = requests.post(
        gateway.http("/v1/traces"),
        data=oracle.make_request(traces, ledger.spans_per_trace).SerializeToString(),
        headers={"Content-Type": "application/x-protobuf"},
        timeout=10,
    )
    assert answer.status_code == 200
    ledger.acknowledge(traces)


@pytest.mark.parametrize("mode", ["sync", "interval", "memory"])
def test_traces_reach_the_backend_without_a_store(tmp_path, mode):
    ledger = oracle.Ledger()
    with Backend() as backend:
        config = EXPORT_ONLY.format(url=backend.url())
        with Gateway(tmp_path, config=config, sets=[f"spangate.durability={mode}"]) as gw:
            assert f"mode={mode}" in gw.log()
            for _ in range(5):
                send(gw, ledger, 20)
            wait_until(lambda: not oracle.check_backend(ledger, backend.bodies()).lost, "all at the backend")
            wait_until(lambda: gw.metric("spangate_spans_open") == 0, "nothing left open")
        assert oracle.check_backend(ledger, backend.bodies()).counts() == {
            "lost": 0, "altered": 0, "duplicated": 0, "invented": 0,
        }


def test_memory_mode_delivers_open_traces_when_it_stops(tmp_path):
    ledger = oracle.Ledger()
    with Backend() as backend:
        gw = Gateway(
            tmp_path, config=EXPORT_ONLY.format(url=backend.url()), settle="60s", idle="60s",
            sets=["spangate.durability=memory"],
        )
        gw.start()
        for _ in range(5):
            send(gw, ledger, 20)
        assert gw.stop() == 0
        assert oracle.check_backend(ledger, backend.bodies()).counts() == {
            "lost": 0, "altered": 0, "duplicated": 0, "invented": 0,
        }


def test_memory_mode_without_a_store_writes_nothing(tmp_path):
    with Backend() as backend:
        gw = Gateway(tmp_path, config=EXPORT_ONLY.format(url=backend.url()), sets=["spangate.durability=memory"])
        with gw:
            ledger = oracle.Ledger()
            send(gw, ledger, 20)
            wait_until(lambda: backend.requests, "traces at the backend")
            files = [p for p in pathlib.Path(gw.data).rglob("*") if p.is_file()] if os.path.exists(gw.data) else []
            assert files == []


@pytest.mark.parametrize("mode", ["sync", "interval"])
def test_a_killed_process_loses_nothing_without_a_store_either(tmp_path, mode):
    ledger = oracle.Ledger()
    with Backend() as backend:
        config = EXPORT_ONLY.format(url=backend.url())
        gw = Gateway(tmp_path, config=config, sets=[f"spangate.durability={mode}"])
        for _ in range(3):
            gw.start()
            for _ in range(10):
                send(gw, ledger, 20)
            gw.kill()
        gw.start()
        wait_until(lambda: not oracle.check_backend(ledger, backend.bodies()).lost, "all at the backend")
        assert gw.stop() == 0
        verdict = oracle.check_backend(ledger, backend.bodies())
        assert verdict.altered == [] and verdict.invented == []
