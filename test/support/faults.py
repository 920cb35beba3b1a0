"""faults.py - faults against the real program, each as a function that returns a Row of figures.

test/faults/run prints them as a table; test/integration/faults_test.py runs each once, short. What a
fault must not do to the gateway ends as a sentence in Row.problems.
"""
import contextlib
import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time

import blast
import oracle
import requests
from destination import Destination
from gateway import PROGRAM, Gateway, wait_until

PEAK_SLACK = 1.2  # of memory_limit, beyond what the gateway needs at rest


class Skipped(Exception):
    """This machine cannot do it; the text says why."""


@dataclasses.dataclass
class Row:
    fault: str
    runs: int = 0
    issued: int = 0  # traces, as the next five
    acknowledged: int = 0
    stored: int = 0
    exported: int = 0
    lost: int = 0
    duplicated: int = 0
    peak_kib: int = 0
    resume_s: float = 0.0
    note: str = ""
    problems: list = dataclasses.field(default_factory=list)

    def expect(self, ok, sentence):
        if not ok:
            self.problems.append(sentence)


def is_sanitized():
    with open(PROGRAM, "rb") as program:
        return b"__asan_init" in program.read()


class Trial:
    """A gateway with destinations and senders; counts into a row.

    destinations: name -> Destination; each becomes otlp_http/NAME with quick retries.
    """

    def __init__(self, folder, row, destinations=None, sets=(), senders=4, padding=0, timeout="1s",
                 spans_per_trace=4, **gateway_options):
        self.row = row
        self.folder = str(folder)
        self.destinations = {"sink": Destination()} if destinations is None else destinations
        self.ledger = oracle.Ledger(spans_per_trace=spans_per_trace, padding=padding)
        self.sender_count = senders
        self.senders = []
        self.answers = {}
        exporters = "".join(
            f'  otlp_http/{name}: {{endpoint: "{d.url()}", compression: none, timeout: {timeout}, '
            f"retry_on_failure: {{initial_interval: 200ms, max_interval: 1s}}}}\n"
            for name, d in self.destinations.items()
        )
        names = ", ".join(["trace_store"] + [f"otlp_http/{name}" for name in self.destinations])
        config = (
            f"exporters:\n  trace_store:\n{exporters}service:\n  pipelines:\n"
            f"    traces: {{receivers: [otlp], exporters: [{names}]}}\n"
        )
        gateway_options.setdefault("config", config)
        self.gateway = Gateway(self.folder, sets=sets, **gateway_options)

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.stop_load()
        process = self.gateway.process
        if process is not None and process.poll() is None:
            self.note_peak()
            process.kill()
            process.wait()
        for destination in self.destinations.values():
            destination.close()

    def note_peak(self):
        self.row.peak_kib = max(self.row.peak_kib, self.gateway.memory_kib())

    # --- the gateway ---

    def start(self):
        """Start and wait until it takes data; the seconds that took."""
        begun = time.monotonic()
        self.gateway.start()
        return time.monotonic() - begun

    def kill(self):
        self.note_peak()
        self.gateway.kill()

    def stop(self, seconds=20):
        """SIGTERM; a wrong exit code or a complaint of a sanitizer is a problem."""
        self.note_peak()
        code = self.gateway.stop(seconds)
        log = self.gateway.log()
        self.row.expect(code == 0, f"exit code {code} after SIGTERM")
        self.row.expect("Sanitizer" not in log and "runtime error" not in log, "a sanitizer spoke")
        return code

    def is_up(self):
        return self.gateway.process.poll() is None

    # --- load ---

    def start_load(self, retry=True, traces_per_request=5, pause=0.02):
        self.senders = [
            oracle.Sender(self.ledger, self.gateway, i % 2 == 0, traces_per_request, retry, pause)
            for i in range(self.sender_count)
        ]
        for sender in self.senders:
            sender.start()

    def stop_load(self):
        for sender in self.senders:
            sender.stopping.set()
        for sender in self.senders:
            sender.stop()
            for answer, count in sender.answers.items():
                self.answers[answer] = self.answers.get(answer, 0) + count
        self.senders = []

    def wait_acknowledged(self, more=1, seconds=30):
        goal = len(self.ledger.acknowledged) + more
        wait_until(lambda: len(self.ledger.acknowledged) >= goal, "acknowledged requests", seconds)

    def wait_each_sender(self, since, seconds=30):
        """Until every sender was told "ok" after the moment `since`; the seconds from it to that."""
        wait_until(
            lambda: all(s.last_ok > since for s in self.senders), "ok to every sender", seconds
        )
        return max(s.last_ok for s in self.senders) - since

    # --- the end ---

    def wait_stored(self, seconds=90):
        wait_until(
            lambda: self.gateway.metric("spangate_spans_open") == 0, "all spans stored", seconds
        )

    def missing_at(self, destination):
        count = self.ledger.spans_per_trace
        return [
            t for t in self.ledger.acknowledged
            if not destination.has_whole(oracle.trace_id(t), count)
        ]

    def wait_delivered(self, destination, seconds=90):
        wait_until(lambda: not self.missing_at(destination), "everything at the backend", seconds)

    def check(self, tolerate=(), exported=True):
        """Compare store and destinations with the ledger. tolerate: traces that may be missing."""
        row, ledger = self.row, self.ledger
        store = oracle.check_store(ledger, self.gateway)
        row.issued += len(ledger.issued)
        row.acknowledged += len(ledger.acknowledged)
        row.stored += store.whole
        lost = {trace for trace, _, _ in store.lost}
        row.duplicated += len(store.duplicated)
        row.expect(not store.duplicated, f"{len(store.duplicated)} traces twice in the store")
        row.expect(not store.altered, f"{len(store.altered)} spans altered in the store")
        row.expect(not store.invented, f"{len(store.invented)} spans in the store nobody sent")
        for name, destination in self.destinations.items():
            verdict = oracle.Verdict()
            for trace in sorted(ledger.issued):
                verdict.compare(
                    trace, ledger.spans_per_trace, destination.found(oracle.trace_id(trace)),
                    exported and trace in ledger.acknowledged,
                )
            row.expect(not verdict.altered, f"{len(verdict.altered)} spans altered at {name}")
            row.expect(not verdict.invented, f"{len(verdict.invented)} unknown spans at {name}")
            lost |= {trace for trace, _, _ in verdict.lost}
            if name == next(iter(self.destinations)):
                row.exported += verdict.whole
        lost -= set(tolerate)
        row.lost += len(lost)
        row.expect(not lost, f"{len(lost)} acknowledged traces lost")
        row.expect(len(ledger.acknowledged) > 0, "nothing was acknowledged: the run shows nothing")

    def twice_at(self, destination):
        """Traces of which a span was delivered more than once."""
        with destination.lock:
            return sum(1 for spans in destination.arrivals.values() if max(spans.values()) > 1)

    def finish(self, **options):
        """All stored and delivered, compared, stopped."""
        self.stop_load()
        self.wait_stored()
        for destination in self.destinations.values():
            self.wait_delivered(destination)
        self.check(**options)
        self.stop()


# --- the process ends ---


def kill(folder, short, rng):
    """kill -9 at random moments under load."""
    row = Row("kill -9", runs=3 if short else int(os.environ.get("SPANGATE_KILLS", "50")))
    replayed = 0
    with Trial(folder, row) as trial:
        trial.start()
        for _ in range(row.runs):
            trial.start_load(retry=False)
            trial.wait_acknowledged()
            time.sleep(rng.choice([0.05, 0.2, 0.5, 1.5]) * rng.random())
            trial.kill()
            trial.stop_load()
            row.resume_s = max(row.resume_s, trial.start())
            replayed += trial.gateway.metric("spangate_wal_replayed_spans_total")
        trial.finish()
        row.expect(replayed > 0, "no kill left anything to replay: the run shows nothing")
        row.note = (
            f"replayed {replayed:.0f} spans, "
            f"{trial.twice_at(trial.destinations['sink'])} traces twice at the backend"
        )
    return row


def kill_in_replay(folder, short, rng):
    """kill -9 while the ingest log is read back, again and again."""
    row = Row("kill -9 in replay", runs=3 if short else 12)
    with Trial(folder, row, idle="300s", settle="1h", padding=400) as trial:
        trial.start()
        trial.start_load(traces_per_request=50)
        trial.wait_acknowledged(2000 if short else 20000, 120)
        trial.kill()
        trial.stop_load()
        whole = trial.start()  # how long an undisturbed replay takes
        for _ in range(row.runs):
            trial.kill()
            trial.gateway.start(wait=False)
            time.sleep(whole * rng.random())
        trial.kill()
        # What is open now is finished by the settings of the next life.
        trial.gateway.sets += ["spangate.traces.idle=1s", "spangate.traces.settle=100ms"]
        row.resume_s = trial.start()
        trial.finish()
        row.note = f"undisturbed start {whole:.2f} s"
    return row


def terminate(folder, short, rng):
    """SIGTERM under load."""
    row = Row("SIGTERM", runs=3 if short else 10)
    slowest = 0.0
    with Trial(folder, row) as trial:
        trial.start()
        for _ in range(row.runs):
            trial.start_load(retry=False)
            trial.wait_acknowledged()
            time.sleep(0.8 * rng.random())
            begun = time.monotonic()
            trial.stop(seconds=15)
            slowest = max(slowest, time.monotonic() - begun)
            trial.stop_load()
            row.resume_s = max(row.resume_s, trial.start())
        row.expect(slowest <= 10, f"a stop took {slowest:.1f} s")
        trial.finish()
        row.note = f"slowest stop {slowest:.2f} s"
    return row


def terminate_twice(folder, short, rng):
    """A second SIGTERM while the first one waits for a dead backend."""
    row = Row("second SIGTERM", runs=1 if short else 3)
    slowest = 0.0
    with Trial(folder, row, {"sink": Destination("black_hole")}, timeout="60s") as trial:
        before = 0
        trial.start()
        for _ in range(row.runs):
            trial.start_load(retry=False)
            trial.wait_acknowledged(200)
            wait_until(lambda: trial.destinations["sink"].attempts > before, "a delivery under way")
            trial.note_peak()
            process = trial.gateway.process
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            row.expect(process.poll() is None, "the first SIGTERM did not wait for the backend")
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            code = process.wait(15)
            slowest = max(slowest, time.monotonic() - begun)
            row.expect(code == 1, f"exit code {code} after the second SIGTERM")
            before = trial.destinations["sink"].attempts
            trial.stop_load()
            row.resume_s = max(row.resume_s, trial.start())
        row.expect(slowest <= 1, f"the second SIGTERM took {slowest:.1f} s")
        # What is under way ends with a reset, later deliveries are taken.
        trial.destinations["sink"].set_mode("ok")
        trial.finish()
        row.note = f"ended within {slowest:.3f} s"
    return row


# --- the disk ---


@contextlib.contextmanager
def small_disk(folder, kind, mib):
    """A mounted file system of so many MiB."""
    if os.geteuid() != 0:
        raise Skipped("mounting needs root")
    point = os.path.join(str(folder), "disk")
    os.makedirs(point, exist_ok=True)
    if kind == "tmpfs":
        command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", point]
    else:
        if shutil.which("mkfs.ext4") is None:
            raise Skipped("mkfs.ext4 is not installed")
        image = os.path.join(str(folder), "image")
        with open(image, "wb") as file:
            file.truncate(mib << 20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True, capture_output=True)
        command = ["mount", "-o", "loop", image, point]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Skipped(f"cannot mount {kind}: {done.stderr.strip()}")
    try:
        yield point
    finally:
        subprocess.run(["umount", "-l", point], check=False)


class Ballast:
    """A file that takes what room there is, and goes on taking it, until it is dropped."""

    def __init__(self, point):
        self.path = os.path.join(point, "ballast")
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.fill, daemon=True)
        self.thread.start()

    def fill(self):
        with open(self.path, "wb", buffering=0) as file:
            size = 1 << 20
            while not self.stopping.is_set():
                try:
                    file.write(b"\xa5" * size)
                except OSError:
                    size = 1 << 20 if size == 4096 else 4096
                    self.stopping.wait(0.02)

    def drop(self):
        self.stopping.set()
        self.thread.join()
        os.unlink(self.path)


def full_disk(kind, mib):
    def fault(folder, short, rng):
        row = Row(f"disk full, {kind}", runs=1 if short else 3)
        with small_disk(folder, kind, mib) as point:
            sets = ["spangate.disk_limit=256MiB", "spangate.memory_limit=32MiB"]
            # What fits: the blocks of all rounds.
            with Trial(folder, row, sets=sets, data=os.path.join(point, "data"), padding=1200) as trial:
                trial.start()
                hints = set()
                for _ in range(row.runs):
                    disk_is_full(trial, point, short, hints)
                trial.finish()
                row.note = "answers " + ", ".join(sorted(hints))
        return row

    return fault


def disk_is_full(trial, point, short, hints):
    row = trial.row
    trial.start_load(traces_per_request=20, pause=0.1)
    trial.wait_acknowledged(100)
    seen = next(iter(trial.ledger.acknowledged))
    ballast = Ballast(point)
    http = [s for s in trial.senders if not s.use_grpc]
    grpc = [s for s in trial.senders if s.use_grpc]
    refusals = lambda group: sum(n for s in group for a, n in s.answers.items() if a not in ("200", "OK"))
    wait_until(lambda: refusals(http) and refusals(grpc), "requests refused", 60)
    time.sleep(0.5 if short else 2)
    row.expect(trial.is_up(), "the process ended")
    if not trial.is_up():
        return
    answer = requests.get(
        trial.gateway.query(f"/api/v1/traces/{oracle.trace_id(seen).hex()}"), timeout=10
    )
    row.expect(answer.status_code == 200, f"a query got {answer.status_code} while the disk is full")
    refused = {a for s in trial.senders for a in s.answers if a not in ("200", "OK")}
    hints |= refused
    good = {"429 retry-after", "503 retry-after", "UNAVAILABLE retry-info", "RESOURCE_EXHAUSTED retry-info"}
    row.expect(refused <= good, f"refused with {sorted(refused - good)}")
    healed = time.monotonic()
    ballast.drop()
    took = trial.wait_each_sender(healed, 60)
    row.resume_s = max(row.resume_s, took)
    row.expect(took <= 5, f"resumed only {took:.1f} s after there was room")
    trial.stop_load()
    trial.wait_stored()


def strace_prefix(folder, syscall, action):
    if shutil.which("strace") is None:
        raise Skipped("strace is not installed")
    # -D: the gateway stays our own child. -f: every thread, each with a count of its own.
    return [
        "strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", os.path.join(str(folder), "strace.out"),
        "-e", f"trace={syscall}", "-e", f"inject={syscall}:{action}", "-e", "signal=none",
    ]


TRACED = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}


def failing_call(syscall, error, whens):
    """The n-th such call of each thread fails; "n+": all from there on."""

    def fault(folder, short, rng):
        chosen = [whens[0], whens[-1]] if short else whens
        row = Row(f"{syscall} {error}", runs=len(chosen))
        resumed = started = 0
        for number, when in enumerate(chosen):
            place = os.path.join(str(folder), str(number))
            prefix = strace_prefix(folder, syscall, f"error={error}:when={when}")
            with Trial(place, row, prefix=prefix, env=TRACED, sets=["spangate.memory_limit=32MiB"]) as trial:
                try:
                    trial.start()
                    started += 1
                    call_fails(trial, str(when).endswith("+"), short)
                    resumed += 1
                except AssertionError as failure:
                    code = trial.gateway.process.poll()
                    if code is None:
                        raise
                    # It may refuse to start on a broken disk, but must say so.
                    row.expect(code in (73, 74, 1), f"ended with {code} at call {when}: {failure}")
                    row.expect("cannot start" in trial.gateway.log(), f"ended at call {when}")
                trial.stop_load()
                if trial.is_up():
                    trial.kill()
                trial.gateway.prefix, trial.gateway.env = [], {}
                row.resume_s = max(row.resume_s, trial.start())
                if trial.ledger.acknowledged:
                    trial.finish()
        row.note = f"calls {', '.join(map(str, chosen))}; {started} of {len(chosen)} started with it"
        return row

    return fault


def call_fails(trial, for_good, short):
    row = trial.row
    trial.start_load(pause=0.05)
    time.sleep(1 if short else 3)
    row.expect(trial.is_up(), "the process ended")
    if not trial.is_up():
        return
    refused = {a for s in trial.senders for a in s.answers if a not in ("200", "OK")}
    good = {"429 retry-after", "503 retry-after", "UNAVAILABLE retry-info"}
    row.expect(refused <= good, f"refused with {sorted(refused - good)}")
    if not for_good:
        trial.wait_each_sender(time.monotonic(), 30)


# --- damage ---


def damage(folder, short, rng):
    """Flip a bit or cut the file, in each kind of file of a stopped data folder; start again."""
    row = Row("damaged files", runs=0)
    kinds = {
        "wal": lambda p: p.endswith(".seg"),
        "blocks": lambda p: p.endswith(".blk"),
        "index": lambda p: p.endswith("index.sqlite"),
        "cursor": lambda p: "/cursors/" in p,
        "routes": lambda p: p.endswith("/routes"),
        "next-seq": lambda p: p.endswith("/next-seq"),
    }
    template = os.path.join(str(folder), "template")
    sink = Destination("refused")  # nothing is delivered: a damaged cursor would lose all of it
    with Trial(template, Row("template"), {"sink": sink}) as trial:
        trial.start()
        trial.start_load()
        trial.wait_acknowledged(300)
        trial.stop_load()
        trial.wait_stored()  # these are in blocks…
        trial.start_load()
        trial.wait_acknowledged(300)
        trial.stop_load()
        trial.kill()  # …and these are in the ingest log
        ledger = trial.ledger
        data = trial.gateway.data
    with open(os.path.join(data, "blocks", "next-seq"), "w", encoding="ascii") as file:
        file.write("1\n")  # as after retention has dropped something
    found = {kind: [] for kind in kinds}
    for place, _, names in os.walk(data):
        for name in names:
            path = os.path.join(place, name)
            for kind, matches in kinds.items():
                if matches(path):
                    found[kind].append(os.path.relpath(path, data))
    results = {}
    for kind, paths in found.items():
        row.expect(paths, f"no file of the kind {kind}")
        for how in ("flip", "cut", "empty") if not short else ("flip", "cut"):
            for _ in range(1 if short or how == "empty" else 4):
                row.runs += 1
                place = os.path.join(str(folder), f"run{row.runs}")
                shutil.copytree(data, os.path.join(place, "data"))
                path = os.path.join(place, "data", rng.choice(paths))
                what = break_file(path, how, kind, rng)
                lost = after_damage(place, row, ledger, kind, f"{kind} {what}")
                results[kind] = max(results.get(kind, 0), lost)
                shutil.rmtree(place)
    row.issued, row.acknowledged = len(ledger.issued), len(ledger.acknowledged)
    row.note = "most missing: " + ", ".join(f"{k} {n}" for k, n in results.items())
    return row


def break_file(path, how, kind, rng):
    size = os.path.getsize(path)
    used = size
    if kind == "wal":  # preallocated: the records are in front
        with open(path, "rb") as file:
            used = len(file.read().rstrip(b"\0"))
    at = rng.randrange(max(used, 1))
    if how == "flip":
        bit = rng.randrange(8)
        with open(path, "r+b") as file:
            file.seek(at)
            byte = file.read(1) or b"\0"
            file.seek(at)
            file.write(bytes([byte[0] ^ 1 << bit]))
        return f"bit {bit} of byte {at} of {size}"
    os.truncate(path, 0 if how == "empty" else at)
    return f"cut to {0 if how == 'empty' else at} of {size}"


def after_damage(folder, row, ledger, kind, what):
    """Start on the damaged folder: what is missing, which may be only what was damaged."""
    trial_row = Row(what)
    sink = Destination()
    with Trial(folder, trial_row, {"sink": sink}) as trial:
        trial.ledger = ledger
        try:
            row.resume_s = max(row.resume_s, trial.start())
        except AssertionError as failure:
            row.problems.append(f"{what}: did not start: {str(failure)[-300:]}")
            return 0
        trial.wait_stored()
        store = oracle.check_store(ledger, trial.gateway)
        missing = {t for t, _, _ in store.lost}
        row.expect(not store.duplicated, f"{what}: {len(store.duplicated)} traces twice in the store")
        row.expect(not store.altered and not store.invented, f"{what}: wrong spans in the store")
        counted = sum(
            trial.gateway.metric(name)
            for name in ("spangate_wal_quarantined_records_total", "spangate_blocks_quarantined_total")
        )
        torn = "torn tail" in trial.gateway.log()
        allowed = {"wal": True, "blocks": True}.get(kind, False)
        row.expect(allowed or not missing, f"{what}: {len(missing)} traces missing")
        row.expect(not missing or counted > 0 or torn, f"{what}: {len(missing)} missing, not counted")
        if "bit" in what and kind == "wal":
            # One record, of five traces.
            row.expect(len(missing) <= 5, f"{what}: {len(missing)} traces missing")
        # What is in the store is also delivered, although nothing was before.
        there = [t for t in ledger.acknowledged if t not in missing]
        count = ledger.spans_per_trace

        def undelivered():
            return [t for t in there if not sink.has_whole(oracle.trace_id(t), count)]

        with contextlib.suppress(AssertionError):
            wait_until(lambda: not undelivered(), "delivered", 10)
        row.expect(not undelivered(), f"{what}: {len(undelivered())} traces stored, not delivered")
        # It still works.
        trial.ledger = oracle.Ledger(first=10**6)
        trial.start_load()
        trial.wait_acknowledged(20)
        trial.stop_load()
        trial.finish()
    row.peak_kib = max(row.peak_kib, trial_row.peak_kib)
    row.problems += [f"{what}: {problem}" for problem in trial_row.problems]
    return len(missing)


# --- backends ---


def backend(mode, heals=True):
    """One destination misbehaves, another is well. heals: it gets nothing until it is well again."""

    def fault(folder, short, rng):
        row = Row(f"backend: {mode.replace('_', ' ')}", runs=1)
        poison = 50
        faulty = Destination(poison=oracle.trace_id(poison))
        destinations = {"sink": faulty, "witness": Destination()}
        seconds = 3 if short else 10
        with Trial(folder, row, destinations, timeout="1s" if heals else "10s") as trial:
            trial.start()
            if mode != "poison":
                trial.start_load()
                trial.wait_acknowledged(100)
            faulty.set_mode(mode)
            requests_before = exporter_metric(trial, "requests", "sink")
            witness_before = destinations["witness"].delivered_spans
            begun = time.monotonic()
            if mode == "poison":
                trial.start_load()
            acknowledged = len(trial.ledger.acknowledged)
            time.sleep(seconds)
            inflow = (len(trial.ledger.acknowledged) - acknowledged) / (time.monotonic() - begun)
            trial.stop_load()
            # The other destination has everything, although this one is still ill.
            loaded = time.monotonic()
            trial.wait_delivered(destinations["witness"])
            witness = time.monotonic() - loaded
            row.expect(witness < 5, f"the other destination was {witness:.1f} s behind")
            row.expect(
                destinations["witness"].delivered_spans > witness_before, "the other got nothing"
            )
            tries = exporter_metric(trial, "requests", "sink") - requests_before
            elapsed = time.monotonic() - begun
            backlog = len(trial.missing_at(faulty))
            note = f"other backend {witness:.2f} s behind"
            if heals:
                # From 200 ms up to 1 s between attempts, each ± half.
                row.expect(tries <= 6 + 2 * elapsed, f"{tries:.0f} attempts in {elapsed:.1f} s")
                note += f"; {tries:.0f} attempts in {elapsed:.0f} s"
                row.expect(backlog > 0, "nothing was waiting: the run shows nothing")
                healed = time.monotonic()
                faulty.set_mode("ok")
            else:
                healed = begun
            tolerate = {poison} if mode == "poison" else set()
            wait_until(
                lambda: set(trial.missing_at(faulty)) <= tolerate, "everything at the backend", 90
            )
            row.resume_s = time.monotonic() - healed if heals else time.monotonic() - loaded
            if heals:
                rate = backlog / max(row.resume_s, 1e-3)
                note += f"; caught up {backlog} traces at {rate:.0f}/s, inflow {inflow:.0f}/s"
            row.note = note
            backend_counts(trial, faulty, mode, row)
            trial.check(tolerate=tolerate)
            trial.stop()
        return row

    return fault


def exporter_metric(trial, what, name):
    return trial.gateway.metrics().get(
        f'spangate_exporter_{what}_total{{exporter="otlp_http/{name}"}}', 0
    )


def backend_counts(trial, faulty, mode, row):
    spans = trial.ledger.spans_per_trace
    failed = exporter_metric(trial, "failed_spans", "sink")
    if mode == "poison":
        row.expect(failed == spans, f"{failed:.0f} spans counted as failed, not {spans}")
        row.expect(not faulty.found(oracle.trace_id(50)), "the poisonous trace was taken")
        row.note += f"; {failed:.0f} spans dropped, {exporter_metric(trial, 'requests', 'sink'):.0f} requests"
    else:
        row.expect(failed == 0, f"{failed:.0f} spans dropped")
    if mode == "partial":
        rejected = exporter_metric(trial, "rejected_spans", "sink")
        row.expect(rejected > 0, "partial success was not counted")
        row.note += f"; {rejected:.0f} spans counted as rejected"
    if mode == "throttled":
        row.expect(faulty.early == 0, f"{faulty.early} requests before Retry-After was over")
    twice = trial.twice_at(faulty)
    row.expect(twice == 0, f"{twice} traces delivered twice")
    row.expect(trial.twice_at(trial.destinations["witness"]) == 0, "the other backend got some twice")


# --- memory ---


def limit_memory(row, trial, rest_kib, mib):
    bound = int(mib * 1024 * PEAK_SLACK) + rest_kib
    trial.note_peak()
    peak = row.peak_kib
    row.note += f"; at rest {rest_kib / 1024:.0f} MiB, bound {bound / 1024:.0f} MiB"
    if not is_sanitized():
        row.expect(peak <= bound, f"peak of {peak / 1024:.0f} MiB, bound {bound / 1024:.0f} MiB")


def overload(kind):
    """16 connections, each as fast as it can, with a memory limit of 64 MiB."""

    def fault(folder, short, rng):
        row = Row(f"overload, {kind}", runs=1)
        sets = ["spangate.memory_limit=64MiB", "spangate.disk_limit=4GiB"]
        options = {}
        if kind == "slow disk":
            options["prefix"] = strace_prefix(folder, "fdatasync", "delay_enter=150000")
            options["env"] = TRACED
        sink = Destination("black_hole" if kind == "dead backend" else "ok")
        seconds = 4 if short else 20
        with Trial(folder, row, {"sink": sink}, sets=sets, senders=2, **options) as trial:
            trial.start()
            rest = trial.gateway.memory_kib("VmRSS")
            blasters = blast.Blast(trial.gateway, connections=14)
            trial.start_load()
            time.sleep(seconds)
            sent, acknowledged, refused = blasters.stop()
            trial.stop_load()
            row.expect(trial.is_up(), "the process ended")
            row.expect(refused.keys() <= {"429", "503"}, f"refused with {dict(refused)}")
            sink.set_mode("ok")
            trial.wait_stored(180)
            stored = trial.gateway.metric("spangate_stored_spans_total")
            own = len(trial.ledger.acknowledged) * trial.ledger.spans_per_trace
            row.expect(
                stored + trial.gateway.metric("spangate_duplicate_spans_total") >= acknowledged + own,
                f"{acknowledged + own} spans acknowledged, {stored:.0f} stored",
            )
            row.note = (
                f"offered {sent / seconds / 1000:.0f}k spans/s, took {acknowledged / seconds / 1000:.0f}k, "
                f"refusals {sum(refused.values())}"
            )
            limit_memory(row, trial, rest, 64)
            trial.wait_delivered(sink, 300)
            trial.check()
            trial.stop()
        return row

    return fault


def large_trace(folder, short, rng):
    """One trace of 300,000 spans."""
    row = Row("a trace of 300,000 spans", runs=1)
    sets = ["spangate.memory_limit=64MiB"]
    count = 60_000 if short else 300_000
    row.fault = f"a trace of {count:,} spans"
    with Trial(folder, row, sets=sets, senders=1, idle="3s") as trial:
        trial.start()
        rest = trial.gateway.memory_kib("VmRSS")
        begun = time.monotonic()
        blast.send_trace(trial.gateway, count)
        trial.start_load()
        trial.wait_acknowledged(20)
        trial.stop_load()
        trial.wait_stored()
        row.resume_s = time.monotonic() - begun
        own = len(trial.ledger.acknowledged) * trial.ledger.spans_per_trace
        stored = trial.gateway.metric("spangate_stored_spans_total")
        row.expect(stored == count + own, f"{count + own} spans sent, {stored:.0f} stored")
        sink = trial.destinations["sink"]
        wait_until(lambda: sink.delivered_spans >= count + own, "everything at the backend", 90)
        limit_memory(row, trial, rest, 64)
        row.note = row.note.lstrip("; ")
        # Not part of the bound: whoever asks for the whole trace at once pays for it.
        answer = requests.get(trial.gateway.query(f"/api/v1/traces/{blast.BIG_TRACE.hex()}"), timeout=120)
        row.expect(trial.is_up(), "the process ended when the trace was asked for")
        row.note += f"; asked for: {answer.status_code}, then peak {trial.gateway.memory_kib() / 1024:.0f} MiB"
        trial.check()
        trial.stop()
    return row


def open_traces(folder, short, rng):
    """100,000 open traces at once."""
    count = 20_000 if short else 100_000
    row = Row(f"{count:,} open traces", runs=1)
    sets = ["spangate.memory_limit=64MiB"]
    with Trial(folder, row, sets=sets, senders=1, idle="10s") as trial:
        trial.start()
        rest = trial.gateway.memory_kib("VmRSS")
        blast.send_open_traces(trial.gateway, count)
        most = trial.gateway.metric("spangate_traces_open")
        trial.start_load()
        trial.wait_acknowledged(20)
        trial.stop_load()
        trial.wait_stored()
        own = len(trial.ledger.acknowledged) * trial.ledger.spans_per_trace
        stored = trial.gateway.metric("spangate_stored_spans_total")
        row.expect(stored == count + own, f"{count + own} spans sent, {stored:.0f} stored")
        row.note = f"{most:.0f} open"
        limit_memory(row, trial, rest, 64)
        trial.finish()
    return row


# --- clocks ---

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"


def clock_steps(folder, short, rng):
    """The wall clock jumps a day ahead and back, while it runs and across restarts; spans of 1970
    and 2262 and with negative durations."""
    row = Row("clock steps", runs=1)
    if not os.path.exists(FAKETIME):
        raise Skipped("libfaketime is not installed")
    if is_sanitized():
        raise Skipped("libfaketime and AddressSanitizer do not go together")
    os.makedirs(folder, exist_ok=True)
    step = os.path.join(str(folder), "step")

    def set_clock(text):
        with open(step + ".new", "w", encoding="ascii") as file:
            file.write(text + "\n")
        os.rename(step + ".new", step)

    set_clock("+0d")
    env = {
        "LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": step, "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
    }
    with Trial(folder, row, env=env, idle="600s") as trial:
        trial.start()
        odd = blast.send_odd_times(trial.gateway)
        blast.send_open_traces(trial.gateway, 50)
        trial.start_load()
        trial.wait_acknowledged(50)
        for text in ("+1d", "-1d", "+0d", "+2h"):
            set_clock(text)
            time.sleep(0.5 if short else 2)
            trial.wait_acknowledged(50)
        trial.stop_load()
        still_open = trial.gateway.metric("spangate_traces_open")
        row.expect(still_open >= 50, f"only {still_open:.0f} of 50 open traces are open after the steps")
        dropped = trial.gateway.metric("spangate_partitions_dropped_total")
        for text in ("+1d", "-1d", "+0d"):
            set_clock(text)
            trial.stop()
            row.resume_s = max(row.resume_s, trial.start())
            trial.start_load()
            trial.wait_acknowledged(50)
            time.sleep(1.5)
            trial.stop_load()
            dropped += trial.gateway.metric("spangate_partitions_dropped_total")
            still_open = trial.gateway.metric("spangate_traces_open")
            row.expect(still_open >= 50, f"only {still_open:.0f} of 50 traces are open after {text}")
        row.expect(dropped == 0, f"{dropped:.0f} partitions dropped")
        for number in odd:
            answer = trial.gateway.trace(number.hex())
            row.expect(answer is not None, f"trace {number.hex()} with an odd time is gone")
        row.note = f"{still_open:.0f} traces stayed open, {dropped:.0f} partitions dropped"
        row.expect(trial.is_up(), "the process ended")
        trial.wait_delivered(trial.destinations["sink"])
        trial.check()
        trial.stop()
    return row


# --- the list ---

WHENS = [1, 2, 3, 5, 9, 20, "30+"]

FAULTS = {
    "kill": kill,
    "kill-in-replay": kill_in_replay,
    "terminate": terminate,
    "terminate-twice": terminate_twice,
    "full-tmpfs": full_disk("tmpfs", 24),
    "full-ext4": full_disk("ext4", 48),
    "fdatasync-eio": failing_call("fdatasync", "EIO", WHENS),
    "pwritev-eio": failing_call("pwritev", "EIO", WHENS),
    "pwritev-enospc": failing_call("pwritev", "ENOSPC", WHENS),
    "pwrite64-enospc": failing_call("pwrite64", "ENOSPC", WHENS),
    "fallocate-enospc": failing_call("fallocate", "ENOSPC", [1, 2, "1+"]),
    "fallocate-eio": failing_call("fallocate", "EIO", [1, 2, "1+"]),
    "rename-eio": failing_call("rename", "EIO", WHENS),
    "fsync-eio": failing_call("fsync", "EIO", WHENS),
    "damage": damage,
    **{
        f"backend-{mode.replace('_', '-')}": backend(mode)
        for mode in ("refused", "black_hole", "slow")
    },
    **{
        f"backend-{mode.replace('_', '-')}": backend(mode, heals=False)
        for mode in ("reset", "half_503", "throttled", "partial", "wrong_type", "too_large", "poison")
    },
    "overload": overload("healthy"),
    "overload-slow-disk": overload("slow disk"),
    "overload-dead-backend": overload("dead backend"),
    "large-trace": large_trace,
    "open-traces": open_traces,
    "clock-steps": clock_steps,
}


def run(name, folder, short, seed):
    """One fault; a row in every case, with its own failure as a problem."""
    begun = time.monotonic()
    try:
        row = FAULTS[name](folder, short, random.Random(seed))
    except AssertionError as failure:
        row = Row(name)
        row.problems.append(str(failure)[:2000])
    row.seconds = time.monotonic() - begun
    return row


def to_json(row):
    return json.dumps(dataclasses.asdict(row))
