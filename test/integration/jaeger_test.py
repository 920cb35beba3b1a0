"""Jaeger's HTTP API on the real program: the golden answer for F1, and searching.

The expected objects are written out here from the rules of Jaeger's model, not taken from what the
program once said.
"""
import json

import fixtures
import pytest
import requests
from fixtures import MS, START_NS, f1, f2a, f2b, f2c, f5, f8, f10a, span_id, trace_id
from gateway import Gateway

PROTOBUF = {"Content-Type": "application/x-protobuf"}
START_US = START_NS // 1000


def post(gateway, request):
    answer = requests.post(
        gateway.http("/v1/traces"), data=request.SerializeToString(), headers=PROTOBUF, timeout=30
    )
    assert answer.status_code == 200, answer.content


def tag(key, value):
    kinds = {str: "string", bool: "bool", int: "int64", float: "float64"}
    return {"key": key, "type": kinds[type(value)], "value": value}


def tags(*scope, **values):
    """The scope's two, then the span's by key as given; `__` stands for a dot."""
    first = [tag("otel.scope.name", scope[0]), tag("otel.scope.version", scope[1])]
    return first + [tag(key.replace("__", "."), value) for key, value in values.items()]


def span(name, start_ms, duration_ms, process, tag_list, parent=None, logs=()):
    reference = {"refType": "CHILD_OF", "traceID": trace_id(1).hex()}
    return {
        "traceID": trace_id(1).hex(),
        "spanID": span_id(name).hex(),
        "operationName": name,
        "references": [{**reference, "spanID": span_id(parent).hex()}] if parent else [],
        "startTime": START_US + start_ms * 1000,
        "duration": duration_ms * 1000,
        "tags": tag_list,
        "logs": list(logs),
        "processID": process,
        "warnings": None,
    }


F1_IN_JAEGER = {
    "traceID": trace_id(1).hex(),
    "spans": [
        span(
            "POST /checkout", 0, 120, "p1",
            tags("http.server", "1.0", http__request__method="POST", http__response__status_code=502,
                 span__kind="server"),
        ),
        span(
            "POST payments", 10, 100, "p1",
            tags("http.client", "1.0", http__request__method="POST", peer__service="payments", span__kind="client"),
            parent="POST /checkout",
        ),
        span(
            "POST /charge", 15, 90, "p2",
            tags("http.server", "1.0", amount__cents=12950, peer__service="frontend", span__kind="server",
                 otel__status_code="ERROR", error=True, otel__status_description="card declined"),
            parent="POST payments",
            logs=[
                {
                    "timestamp": START_US + 100_000,
                    "fields": [
                        tag("event", "exception"),
                        tag("exception.message", "card declined"),
                        tag("exception.type", "CardDeclined"),
                    ],
                }
            ],
        ),
        span(
            "SELECT cards", 20, 40, "p2",
            tags("db.client", "0.3", db__rows=1, db__system="postgresql", peer__service="db.internal",
                 span__kind="client"),
            parent="POST /charge",
        ),
    ],
    "processes": {
        "p1": {"serviceName": "frontend", "tags": [tag("host.name", "web-1")]},
        "p2": {"serviceName": "payments", "tags": [tag("host.name", "pay-1"), tag("service.version", "2.1")]},
    },
    "warnings": None,
}


def envelope(data, total=0):
    return {"data": data, "total": total, "limit": 0, "offset": 0, "errors": None}


def test_a_trace_is_the_golden_one_while_it_is_open_and_once_it_is_stored(tmp_path):
    with Gateway(tmp_path) as gateway:
        post(gateway, f1())
        url = gateway.query(f"/api/traces/{trace_id(1).hex()}")
        answer = requests.get(url, timeout=10)
        assert answer.headers["Content-Type"] == "application/json"
        assert "Content-Encoding" not in answer.headers
        assert answer.json() == envelope([F1_IN_JAEGER])
        gateway.wait_finalized(trace_id(1).hex())
        assert requests.get(url, timeout=10).json() == envelope([F1_IN_JAEGER])
        shouted = gateway.query(f"/api/traces/{trace_id(1).hex().upper()}")
        assert requests.get(shouted, timeout=10).json() == envelope([F1_IN_JAEGER])
        assert requests.get(url, params={"prettyPrint": "true"}, timeout=10).json() == envelope([F1_IN_JAEGER])


def test_every_kind_of_value_has_its_type_and_numbers_stay_exact(tmp_path):
    with Gateway(tmp_path) as gateway:
        post(gateway, f5())
        answer = requests.get(gateway.query(f"/api/traces/{trace_id(6).hex()}"), timeout=10).json()
        [got] = answer["data"][0]["spans"]
        by_key = {}
        for one in got["tags"]:
            by_key.setdefault(one["key"], []).append((one["type"], one["value"]))
        assert by_key["big"] == [("int64", "9007199254740993")]
        assert by_key["least"] == [("int64", "-9223372036854775808")]
        assert by_key["zero"] == [("int64", 0)]
        assert by_key["half"] == [("float64", 0.5)]
        assert by_key["not_a_number"] == [("string", "NaN")]
        assert by_key["infinite"] == [("string", "Infinity")]
        assert by_key["yes"] == [("bool", True)]
        assert by_key["bytes"] == [("binary", "AQID")]
        assert by_key["no value"] == by_key["empty value"] == by_key["empty"] == [("string", "")]
        assert by_key["twice"] == [("int64", 1), ("int64", 2)]
        assert [kind for kind, _ in by_key["array"] + by_key["map"]] == ["string", "string"]
        assert json.loads(by_key["array"][0][1]) == ["a", 1, [True], None]
        assert json.loads(by_key["map"][0][1])["inner"] == {"deep": 1e-7}
        assert by_key["w3c.tracestate"] == [("string", "vendor=value,other=1")]
        assert by_key["otel.status_code"] == [("string", "OK")]
        assert "span.kind" not in by_key, "99 is no kind that Jaeger knows"
        assert got["flags"] == 1
        assert got["operationName"] == "nul \0 and ünïcødé 🚀"
        assert got["references"] == [
            {"refType": "FOLLOWS_FROM", "traceID": trace_id(999).hex(), "spanID": span_id("elsewhere").hex()}
        ]


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A gateway with F8's hundred traces, F1, and the lonely ones of F2."""
    with Gateway(tmp_path_factory.mktemp("searched")) as gateway:
        for request in (f8(), f1(), f2a(), f2b(), f2c()):
            post(gateway, request)
        for trace in (1, 199):
            gateway.wait_finalized(trace_id(trace).hex())
        yield gateway


def found(gateway, **params):
    """Numbers of F8's traces, or the ids of others, in the order of the answer."""
    answer = requests.get(gateway.query("/api/traces"), params={"start": "0", **params}, timeout=30)
    assert answer.status_code == 200, answer.text
    assert answer.json()["errors"] is None and answer.json()["total"] == 0
    numbers = {trace_id(trace).hex(): trace for trace in range(1, 200)}
    return [numbers[trace["traceID"]] for trace in answer.json()["data"]]


def test_a_search_finds_by_service_and_operation(searched):
    assert found(searched, service="frontend") == [1]
    assert found(searched, service="payments", operation="POST /charge") == [1]
    assert found(searched, service="payments", operation="POST /checkout") == [], "that is the frontend's"
    assert found(searched, service="srv", limit=1000) == list(range(199, 99, -1)), "newest first"
    assert found(searched, service="nobody") == []


def test_a_search_brings_whole_traces(searched):
    answer = requests.get(
        searched.query("/api/traces"), params={"start": 0, "service": "payments", "operation": "SELECT cards"},
        timeout=10,
    ).json()
    assert answer["data"] == [F1_IN_JAEGER]


def test_a_search_has_a_limit(searched):
    assert found(searched, service="srv", limit=3) == [199, 198, 197]
    assert len(found(searched, service="srv")) == 100
    assert len(found(searched, service="srv", limit=0)) == len(found(searched, service="srv", limit=-5)) == 100


def test_a_search_compares_durations_of_spans(searched):
    serve = {"service": "srv", "operation": "serve"}  # 10, 20 … 1000 ms
    assert found(searched, **serve, minDuration="990ms") == [199, 198]
    assert found(searched, **serve, minDuration="0.99s", maxDuration="999.999ms") == [198]
    assert found(searched, **serve, maxDuration="20ms") == [101, 100]
    assert found(searched, service="frontend", operation="POST /charge", minDuration="1ms") == []


def test_a_search_compares_tags_within_one_span(searched):
    declined = {"error": "true", "otel.status_description": "card declined", "peer.service": "frontend"}
    assert found(searched, service="payments", tags=json.dumps(declined)) == [1]
    assert found(searched, service="payments", tag=["error:true", "amount.cents:12950"]) == [1]
    assert found(searched, service="payments", tags=json.dumps({**declined, "db.system": "postgresql"})) == []
    assert found(searched, service="payments", tag="host.name:pay-1") == [1], "process tags count"
    assert found(searched, service="payments", tag="exception.type:CardDeclined") == [1], "so do events"
    assert found(searched, service="payments", tag="event:exception") == [1]
    assert found(searched, service="srv", tag="number:42") == [142], "numbers are compared as text"
    assert found(searched, service="srv", tag="number:42", tags='{"number":"43"}') == [143], "the later one counts"


def test_a_search_has_a_window_of_microseconds(searched):
    at = lambda number: START_US + (number - 100) * 1_000_000
    window = {"service": "cli", "start": at(110), "end": at(112)}
    assert found(searched, **window) == [112, 111, 110]
    assert found(searched, **{**window, "end": at(112) - 1}) == [111, 110]
    assert found(searched, service="cli", start=0, end=0) == []
    # The default is the last two days; the fixtures are older.
    answer = requests.get(searched.query("/api/traces"), params={"service": "cli"}, timeout=10).json()
    assert answer["data"] == []


BAD_SEARCHES = [
    ("", "parameter 'service' is required"),
    ("service=", "parameter 'service' is required"),
    ("service=a&limit=x", 'strconv.ParseInt: parsing "x": invalid syntax'),
    ("service=a&limit=99999999999", 'strconv.ParseInt: parsing "99999999999": value out of range'),
    ("service=a&start=x", "unable to parse param 'start': strconv.ParseInt: parsing \"x\": invalid syntax"),
    ("service=a&end=1.5", "unable to parse param 'end': strconv.ParseInt: parsing \"1.5\": invalid syntax"),
    ("service=a&minDuration=5", "unable to parse param 'minDuration': time: missing unit in duration \"5\""),
    ("service=a&maxDuration=x", "unable to parse param 'maxDuration': time: invalid duration \"x\""),
    ("service=a&minDuration=2s&maxDuration=1s", "'maxDuration' should be greater than 'minDuration'"),
    ("service=a&tag=novalue", "malformed 'tag' parameter, expecting key:value, received: novalue"),
    ("service=a&tags={", "malformed 'tags' parameter, cannot unmarshal JSON: "),
    ('service=a&tags={"a":1}', "malformed 'tags' parameter, cannot unmarshal JSON: "),
    ("service=a&raw=perhaps", "unable to parse param 'raw': "),
    ("traceID=xyz", "cannot parse traceID param: "),
    ("traceID=" + "1" * 33, "cannot parse traceID param: TraceID cannot be longer than 32 hex characters: "),
]


@pytest.mark.parametrize("query, message", BAD_SEARCHES, ids=[query or "nothing" for query, _ in BAD_SEARCHES])
def test_a_search_that_cannot_be_is_refused_in_jaegers_words(searched, query, message):
    answer = requests.get(searched.query(f"/api/traces?{query}"), timeout=10)
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert error["code"] == 400
    assert error["msg"].startswith(message) if message.endswith(": ") else error["msg"] == message
    assert {**answer.json(), "errors": None} == envelope(None)


def test_empty_parameters_of_the_page_are_no_parameters(searched):
    assert found(searched, service="frontend", minDuration="", maxDuration="", tags="", limit="", lookback="1h") == [1]


def test_traces_are_found_by_several_ids_and_the_missing_are_named(searched):
    answer = requests.get(
        searched.query("/api/traces"), params={"traceID": [trace_id(1).hex(), "1"], "start": 0}, timeout=10
    )
    assert answer.status_code == 200
    assert answer.json()["data"] == [F1_IN_JAEGER]
    assert answer.json()["errors"] == [{"msg": "trace not found", "traceID": "0000000000000001"}]


def test_an_unknown_trace_is_not_found(searched):
    answer = requests.get(searched.query("/api/traces/abc"), timeout=10)
    assert answer.status_code == 404
    assert answer.json() == {**envelope(None), "errors": [{"code": 404, "msg": "trace not found"}]}


def test_services_and_operations_are_listed(searched):
    get = lambda path: requests.get(searched.query(path), timeout=10).json()
    services = ["billing", "cli", "frontend", "orders", "payments", "shop", "srv"]
    assert get("/api/services") == envelope(services, len(services))
    assert get("/api/services/payments/operations") == envelope(["POST /charge", "SELECT cards"], 2)
    assert get("/api/operations?service=payments&spanKind=client") == envelope(
        [{"name": "SELECT cards", "spanKind": "client"}], 1
    )


def test_dependencies_are_calls_between_services_of_one_trace(searched):
    """A client without a server, or with no more than its name, is no call that anybody saw."""
    end_ms = START_NS // MS + 200_000
    answer = requests.get(
        searched.query("/api/dependencies"), params={"endTs": end_ms, "lookback": 300_000}, timeout=30
    ).json()
    assert answer == envelope(
        [
            {"parent": "cli", "child": "srv", "callCount": 100},
            {"parent": "frontend", "child": "payments", "callCount": 1},
            {"parent": "orders", "child": "billing", "callCount": 1},
        ]
    )


def test_a_parent_that_is_missing_is_a_warning(tmp_path):
    with Gateway(tmp_path) as gateway:
        post(gateway, fixtures.f10b())
        answer = requests.get(gateway.query(f"/api/traces/{trace_id(1).hex()}"), timeout=10).json()
        charge = next(s for s in answer["data"][0]["spans"] if s["operationName"] == "POST /charge")
        missing = span_id("POST payments").hex()
        assert charge["references"][0]["spanID"] == missing
        assert charge["warnings"] == [
            f"parent span ID={missing} is not in the trace; skipping clock skew adjustment"
        ]
        post(gateway, f10a())
        answer = requests.get(gateway.query(f"/api/traces/{trace_id(1).hex()}"), timeout=10).json()
        assert [s["warnings"] for s in answer["data"][0]["spans"]] == [None] * 4
