"""kill -9 under load: everything that was acknowledged is there after the restart, once and whole,
in the store and at the backend.

SPANGATE_KILLS sets how many times (default 20).
"""
import os
import random
import time

import oracle
from gateway import Backend, Gateway, wait_until

KILLS = int(os.environ.get("SPANGATE_KILLS", "20"))

EXPORT = """
exporters:
  otlp_http: {{endpoint: "{url}", encoding: json, compression: none,
    retry_on_failure: {{initial_interval: 50ms, max_interval: 200ms}}}}
service:
  pipelines:
    traces: {{receivers: [otlp], exporters: [trace_store, otlp_http]}}
"""


def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path):
    seed = int(os.environ.get("SPANGATE_SEED", str(random.randrange(1 << 32))))
    rng = random.Random(seed)
    ledger = oracle.Ledger()
    with Backend() as backend:
        gateway = Gateway(tmp_path, config=EXPORT.format(url=backend.url()))
        gateway.start()
        replayed = 0
        for kill in range(KILLS):
            senders = [oracle.Sender(ledger, gateway, use_grpc=i % 2 == 0) for i in range(4)]
            before = len(ledger.acknowledged)
            for sender in senders:
                sender.start()
            # Some kills early, before blocks are sealed; some after.
            time.sleep(rng.choice([0.05, 0.2, 0.5, 1.5]) * rng.random())
            wait_until(lambda: len(ledger.acknowledged) > before, "an acknowledged request")
            gateway.kill()
            for sender in senders:
                sender.stop()
            gateway.start()
            replayed += gateway.metric("spangate_wal_replayed_spans_total")

        last = oracle.trace_id(max(ledger.acknowledged)).hex()
        gateway.wait_finalized(last)
        wait_until(
            lambda: gateway.metric("spangate_traces_open") == 0
            and gateway.metric("spangate_spans_open") == 0,
            "all traces stored",
            60,
        )
        store = oracle.check_store(ledger, gateway)
        wait_until(
            lambda: not oracle.check_backend(ledger, backend.bodies()).lost,
            "all traces at the backend",
            60,
        )
        at_backend = oracle.check_backend(ledger, backend.bodies())
        code = gateway.stop()

    print(
        f"\nseed={seed} kills={KILLS} issued={len(ledger.issued)} "
        f"acknowledged={len(ledger.acknowledged)} replayed_spans={replayed:.0f}\n"
        f"store: {store.counts()}\nbackend: {at_backend.counts()}"
    )
    assert code == 0
    assert len(ledger.acknowledged) >= KILLS
    assert replayed > 0, "no kill left anything to replay: the test shows nothing"
    assert store.counts() == {"lost": 0, "altered": 0, "duplicated": 0, "invented": 0}
    # A crash may repeat the batch that was in flight, and only that.
    assert at_backend.lost == [] and at_backend.altered == [] and at_backend.invented == []
