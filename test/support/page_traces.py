"""page_traces.py - traces as people see them on the page: shops, errors, strange names, odd trees.

Each function gives an OTLP/JSON request; send() posts it and gives its trace id.
"""

import random
import time

import requests

HOSTILE = [
    "<script>window.__xss=1</script>",
    "<img src=x onerror=window.__xss=2>",
    "<svg/onload=window.__xss=3>",
    "javascript:window.__xss=4",
    "\"><iframe srcdoc='<script>parent.__xss=5</script>'>",
    "';window.__xss=6;//",
    "{{constructor.constructor('window.__xss=7')()}}",
    "</textarea></title></style></script><script>window.__xss=8</script>",
    '<a href="javascript:window.__xss=9">x</a>',
    "\u202egnihtyna <b>bold</b> &lt;i&gt;",
]


def value(v):
    if isinstance(v, bool):
        return {"boolValue": v}
    if isinstance(v, int):
        return {"intValue": str(v)}
    if isinstance(v, float):
        return {"doubleValue": v}
    if isinstance(v, list):
        return {"arrayValue": {"values": [value(x) for x in v]}}
    if isinstance(v, dict):
        return {"kvlistValue": {"values": attributes(v)}}
    return {"stringValue": v}


def attributes(mapping):
    return [{"key": k, "value": value(v)} for k, v in mapping.items()]


class Trace:
    """Spans by service; times in ms after `start_ns`. Span ids count from 1."""

    def __init__(self, trace_id=None, start_ns=None):
        self.id = trace_id or f"{random.getrandbits(128) | 1:032x}"
        self.start_ns = start_ns or time.time_ns() - 2_000_000_000
        self.services = {}
        self.count = 0

    def span(
        self,
        service,
        name,
        start_ms,
        length_ms,
        parent=None,
        kind=1,
        attrs=None,
        error=None,
        events=(),
        links=(),
        span_id=None,
        **more,
    ):
        self.count += 1
        span_id = span_id or f"{self.count:016x}"
        at = lambda ms: str(self.start_ns + int(ms * 1e6))  # noqa: E731
        one = {
            "traceId": self.id,
            "spanId": span_id,
            "name": name,
            "kind": kind,
            "startTimeUnixNano": at(start_ms),
            "endTimeUnixNano": at(start_ms + length_ms),
            "attributes": attributes(attrs or {}),
            "events": [
                {"timeUnixNano": at(ms), "name": event, "attributes": attributes(a)} for ms, event, a in events
            ],
            "links": [{"traceId": t, "spanId": s, "attributes": attributes(a)} for t, s, a in links],
            **more,
        }
        if parent:
            one["parentSpanId"] = parent
        if error is not None:
            one["status"] = {"code": 2, "message": error}
        self.services.setdefault(service, []).append(one)
        return span_id

    def request(self, resource=None):
        return {
            "resourceSpans": [
                {
                    "resource": {"attributes": attributes({"service.name": service, **(resource or {})})},
                    "scopeSpans": [{"scope": {"name": "shop.tracer", "version": "1.4.2"}, "spans": spans}],
                }
                for service, spans in self.services.items()
            ]
        }

    def send(self, gateway):
        answer = requests.post(
            gateway.http("/v1/traces"),
            json=self.request({"host.name": "node-7", "deployment.environment.name": "test"}),
            timeout=30,
        )
        assert answer.status_code == 200 and answer.json() == {}, answer.text
        return self.id


def checkout(failing=False, scale=1.0, **kwargs):
    """A purchase over five services, with events, an exception and a link."""
    t = Trace(**kwargs)
    ms = lambda x: x * scale  # noqa: E731
    root = t.span(
        "frontend",
        "POST /checkout",
        0,
        ms(182),
        kind=2,
        attrs={
            "http.request.method": "POST",
            "http.route": "/checkout",
            "http.response.status_code": 500 if failing else 200,
            "user.name": "Zoë Ångström",
        },
        error="the card was declined" if failing else None,
    )
    pay = t.span(
        "checkout",
        "PlaceOrder",
        ms(6),
        ms(170),
        root,
        kind=2,
        attrs={
            "order.items": 3,
            "order.total": 59.9,
            "order.gift": False,
            "order.skus": ["A-17", "B-2", "C-99"],
        },
        events=[(ms(8), "cart validated", {"items": 3}), (ms(150), "order persisted", {})],
    )
    cart = t.span("cart", "GetCart", ms(9), ms(21), pay, kind=3)
    t.span(
        "cart",
        "HGETALL cart:1812",
        ms(12),
        ms(14),
        cart,
        kind=3,
        attrs={"db.system.name": "redis", "db.query.text": "HGETALL cart:1812"},
    )
    t.span("checkout", "convert currency", ms(33), ms(2.4), pay)
    charge = t.span(
        "payments",
        "Charge",
        ms(40),
        ms(96),
        pay,
        kind=2,
        attrs={"payment.provider": "acme", "retry": 1},
        error="acme: 402 card declined" if failing else None,
        events=(
            [
                (
                    ms(120),
                    "exception",
                    {
                        "exception.type": "CardDeclined",
                        "exception.message": "402",
                        "exception.stacktrace": "CardDeclined: 402\n  at charge (pay.js:17:9)\n  at async place (order.js:88:3)",
                    },
                )
            ]
            if failing
            else [(ms(60), "authorised", {})]
        ),
        links=[("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", {"why": "retry of"})],
    )
    t.span(
        "payments",
        "POST https://api.acme.example/charges",
        ms(44),
        ms(88),
        charge,
        kind=3,
        attrs={"http.request.method": "POST", "server.address": "api.acme.example"},
        error="402" if failing else None,
    )
    t.span(
        "postgres",
        "INSERT orders",
        ms(141),
        ms(9),
        pay,
        kind=3,
        attrs={
            "db.system.name": "postgresql",
            "db.query.text": "INSERT INTO orders (id, total) VALUES ($1, $2)",
        },
    )
    t.span("mail", "queue receipt 📬 für Zoë", ms(155), ms(11), pay, kind=4)
    return t


def large(spans=5000, services=12):
    """Many spans, some deep, each hundredth with an error."""
    rng = random.Random(7)
    t = Trace()
    root = t.span("gateway", "GET /report", 0, 9000, kind=2)
    parents = [(root, 0.0, 9000.0)]
    for i in range(spans - 1):
        parent, start, length = parents[max(0, len(parents) - 1 - int(rng.expovariate(0.15)))]
        begin = start + length * rng.uniform(0.0, 0.5)
        took = max(0.001, (start + length - begin) * rng.uniform(0.3, 0.95))
        service = f"service-{rng.randrange(services):02d}"
        one = t.span(
            service,
            f"step {i} of the report",
            begin,
            took,
            parent,
            error="timed out" if i % 100 == 50 else None,
            attrs={"step": i},
        )
        if took > 1:
            parents.append((one, begin, took))
    return t


def hostile():
    """Markup and script in every text a span has."""
    t = Trace()
    root = None
    for i, text in enumerate(HOSTILE):
        root = t.span(
            f"svc {text}",
            text,
            i,
            20,
            root,
            attrs={text: text, f"list{i}": [text, {text: text}]},
            error=text,
            events=[(i + 1, text, {text: text, "exception.stacktrace": text})],
            links=[("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", {text: text})],
            traceState="vendor=" + "x",
        )
    return t


def orphans():
    """A root, a span whose parent never came, and a span that begins before its parent."""
    t = Trace()
    root = t.span("frontend", "GET /orphans", 0, 50)
    late = t.span("worker", "clock runs behind", 10, 20, root)
    t.span("worker", "starts before its parent", 4, 6, late)
    t.span("worker", "parent never came", 20, 10, "00000000deadbeef")
    return t


def circle():
    """Three spans that are each other's parents, and one that is its own."""
    t = Trace()
    t.span("loop", "first of the circle", 0, 30, "000000000000000c", span_id="000000000000000a")
    t.span("loop", "second of the circle", 5, 20, "000000000000000a", span_id="000000000000000b")
    t.span("loop", "third of the circle", 8, 10, "000000000000000b", span_id="000000000000000c")
    t.span("loop", "its own parent", 12, 3, "000000000000000d", span_id="000000000000000d")
    return t


def unfinished():
    """Children whose root has not come: the trace stays open."""
    t = Trace()
    t.span("frontend", "render", 5, 20, "00000000000000ff")
    t.span("backend", "load", 8, 10, "0000000000000001")
    return t
