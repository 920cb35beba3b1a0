"""The page in a real browser, served by the real program: what people see, press and link to, and that
nothing a span says becomes markup.
"""

import pathlib
import shutil
import subprocess

import page_traces as traces
import pytest
import requests
from gateway import Gateway, wait_until

CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")
if not CHROMIUM or not DRIVER:
    pytest.skip("chromium or chromedriver is not installed", allow_module_level=True)

from selenium import webdriver  # noqa: E402
from selenium.common.exceptions import WebDriverException  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

FLAGS = """--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync
--disable-background-networking --disable-component-update --window-size=1280,860""".split()
AXE = "axe-core@4"
BUILD = pathlib.Path(__file__).resolve().parents[2] / "build"


class Page:
    """A browser window on one gateway."""

    def __init__(self, driver, gateway):
        self.driver = driver
        self.gateway = gateway

    def go(self, path):
        self.driver.get(self.gateway.query(path))
        return self

    def js(self, script, *args):
        return self.driver.execute_script(script, *args)

    def texts(self, selector):
        return self.js(
            "return [...document.querySelectorAll(arguments[0])].map((n) => n.textContent)", selector
        )

    def text(self, selector="main"):
        return "\n".join(self.texts(selector))

    def address(self):
        return self.js("return location.pathname + location.search + location.hash")

    def wait(self, check, what):
        return wait_until(check, f"{what} (at {self.address()}: {self.text()[:300]!r})")

    def wait_text(self, text, selector="main"):
        self.wait(lambda: text in self.text(selector), f"{text!r} in {selector}")

    def click(self, selector):
        self.wait(lambda: self.js("return Boolean(document.querySelector(arguments[0]))", selector), selector)
        self.driver.find_element("css selector", selector).click()

    def press(self, *keys):
        ActionChains(self.driver).send_keys(*keys).perform()

    def trace(self, trace_id, span_id=""):
        """Open a trace and wait for its rows."""
        self.go(f"/trace/{trace_id}{'#' + span_id if span_id else ''}")
        self.wait(lambda: self.js("return document.querySelectorAll('.row').length"), "rows")
        return self

    def rows(self):
        """Names of the spans whose rows are in the document, from the top."""
        return self.js("""return [...document.querySelectorAll('.row')]
                 .sort((a, b) => parseFloat(a.style.top) - parseFloat(b.style.top))
                 .map((n) => n.querySelector('.span-name').textContent)""")

    def chosen(self):
        return self.js("return document.querySelector('.row[aria-selected=true] .span-name')?.textContent")

    def listed(self):
        """Trace ids of the list, from the top."""
        return self.js("return [...document.querySelectorAll('tr[data-trace]')].map((n) => n.dataset.trace)")

    def theme(self, name):
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": name}]}
        )

    def width(self, pixels):
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": pixels, "height": 860, "deviceScaleFactor": 1, "mobile": False},
        )

    def complaints(self):
        """What the browser's console holds, but for answers 404, which a missing trace gives."""
        return [e["message"] for e in self.driver.get_log("browser") if "status of 404" not in e["message"]]


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER, log_output=subprocess.DEVNULL))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with Gateway(tmp_path_factory.mktemp("gateway"), idle="600s") as gateway:
        yield gateway


@pytest.fixture
def page(driver, gateway):
    page = Page(driver, gateway)
    page.width(1280)
    page.theme("light")
    driver.get_log("browser")  # what an earlier test left
    yield page
    # The policy of the page, a script's mistake and a file that is not there all show in the console.
    assert page.complaints() == []
    driver.get("about:blank")


def send(gateway, trace):
    trace.send(gateway)
    gateway.wait_finalized(trace.id)
    return trace.id


# --- a fresh gateway ---


def test_a_fresh_gateway_says_how_to_send_and_fills_by_itself(driver, tmp_path):
    with Gateway(tmp_path, idle="600s") as gateway:
        page = Page(driver, gateway).go("/")
        page.width(1280)
        page.wait_text("Nothing has been received yet")
        blocks = page.text("pre")
        assert f"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:{gateway.ports['http']}\n" in blocks
        assert f"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:{gateway.ports['grpc']}\n" in blocks
        assert f"endpoint: 127.0.0.1:{gateway.ports['grpc']}\n" in blocks
        assert page.texts(".counters dd") == ["0"] * 5
        page.js("window.__same = true")

        # A refused span is counted while one looks.
        bad = traces.Trace(trace_id="00")
        bad.span("shop", "x", 0, 1)
        assert requests.post(gateway.http("/v1/traces"), json=bad.request(), timeout=10).status_code == 200
        page.wait(lambda: page.texts(".counters dd")[:3] == ["1", "0", "1"], "counters")

        # What the page tells people to run works: both ways of sending a first trace.
        demo, curl = page.texts("pre")[:2]
        assert demo == f"spangate demo --endpoint {gateway.http()}"
        subprocess.run([gateway.program, *demo.split()[1:]], check=True, capture_output=True, timeout=30)
        page.wait(lambda: len(page.listed()) == 1, "the demonstration trace")
        if shutil.which("curl"):
            answer = subprocess.run(
                ["bash", "-c", curl], check=True, capture_output=True, text=True, timeout=30
            )
            assert "200 OK" in answer.stdout
            page.wait(lambda: len(page.listed()) == 2, "the trace sent with curl")
            assert "my-service hello" in page.text("table.traces")
        page.wait(
            lambda: "my-service" in page.texts("select[name=service] option"), "a new service in the form"
        )
        assert page.js("return window.__same"), "the page was loaded anew"
        assert page.complaints() == []


def test_the_list_fills_while_a_row_keeps_the_focus(page, gateway):
    first = send(gateway, traces.checkout())
    page.go("/")
    page.wait(lambda: first in page.listed(), "the first trace")
    page.js("document.querySelector(`tr[data-trace='${arguments[0]}'] a`).focus()", first)
    second = send(gateway, traces.checkout(scale=30))  # longer: every row's gauge changes
    page.wait(lambda: second in page.listed(), "the second trace")
    assert page.js("return document.activeElement.getAttribute('href')") == f"/trace/{first}"
    ids = page.listed()
    assert ids.index(second) < ids.index(first), "newest first"


def test_the_list_sorts_by_its_columns(page, gateway):
    send(gateway, traces.checkout(scale=2))
    send(gateway, traces.checkout(scale=5, failing=True))
    page.go("/")
    page.wait(lambda: len(page.listed()) >= 2, "traces")
    page.js("[...document.querySelectorAll('.sort')].find((b) => b.textContent === 'Errors').click()")
    errors = [int(t) for t in page.texts("tbody td:nth-child(5)")]
    assert errors == sorted(errors, reverse=True) and errors[0] > 0
    assert page.js("return document.querySelector('th[aria-sort]').textContent") == "Errors"
    page.js("[...document.querySelectorAll('.sort')].find((b) => b.textContent === 'Errors').click()")
    assert [int(t) for t in page.texts("tbody td:nth-child(5)")] == sorted(errors)


# --- search ---


def fill(page, **fields):
    for name, value in fields.items():
        page.js(
            """const f = document.querySelector('form.filters').elements[arguments[0]];
               if (f.type === 'checkbox') f.checked = arguments[1]; else f.value = arguments[1];
               f.dispatchEvent(new Event('change', {bubbles: true}));""",
            name,
            value,
        )


def test_filters_narrow_the_list_and_live_in_the_address(page, gateway):
    slow = traces.Trace()
    slow.span("filter-a", "slow one", 0, 900, attrs={"http.route": "/pay now", "retry": 3})
    failing = traces.Trace()
    failing.span("filter-a", "quick one", 0, 5, error="no")
    other = traces.Trace()
    other.span("filter-b", "quick one", 0, 5, attrs={"quoted": 'a "b" \\c'})
    slow, failing, other = (send(gateway, t) for t in (slow, failing, other))

    def found(address, *ids):
        page.wait(lambda: page.address() == address, address)
        page.wait(lambda: set(page.listed()) == set(ids), f"{ids} found")

    page.go("/")
    page.wait(lambda: {"filter-a", "filter-b"} <= set(page.texts("select[name=service] option")), "services")
    fill(page, service="filter-a")
    page.wait(lambda: "slow one" in page.texts("select[name=operation] option"), "operations of the service")
    page.click("form.filters .primary")
    found("/search?service=filter-a", slow, failing)

    fill(page, operation="quick one")
    page.click("form.filters .primary")
    found("/search?service=filter-a&operation=quick+one", failing)

    page.go("/search?service=filter-a&minDuration=500ms")
    found("/search?service=filter-a&minDuration=500ms", slow)
    page.go("/search?service=filter-a&maxDuration=1s&errors=1")
    found("/search?service=filter-a&maxDuration=1s&errors=1", failing)

    # The whole form comes back from the address.
    address = (
        "/search?service=filter-a&operation=slow+one&tags=http.route%3D%22%2Fpay+now%22+retry%3D3"
        "&minDuration=1ms&maxDuration=2s&lookback=15&limit=20"
    )
    page.go(address)
    found(address, slow)
    values = page.js("return Object.fromEntries(new FormData(document.querySelector('form.filters')))")
    assert values == {
        "service": "filter-a",
        "operation": "slow one",
        "tags": 'http.route="/pay now" retry=3',
        "minDuration": "1ms",
        "maxDuration": "2s",
        "lookback": "15",
        "limit": "20",
    }
    page.click("form.filters .primary")
    found(address, slow)

    page.go("/")
    page.wait(lambda: len(page.listed()) >= 3, "all")
    fill(page, tags='quoted="a \\"b\\" \\\\c"')
    page.click("form.filters .primary")
    page.wait(lambda: page.listed() == [other], "quotes in a value")
    page.driver.back()
    page.wait(lambda: len(page.listed()) >= 3, "all again, by the back button")

    fill(page, tags="no value")
    page.click("form.filters .primary")
    assert "key=value" in page.js("return document.querySelector('[name=tags]').validationMessage")
    assert page.address() == "/"

    page.go("/search?service=filter-a&minDuration=1h")
    page.wait_text("No trace matches")


def test_what_the_gateway_says_about_a_bad_search_is_shown(page):
    page.go("/search?minDuration=abc")
    page.wait_text("The search failed: ")
    # The browser notes the answer 400.
    page.driver.get_log("browser")


def test_an_attribute_of_a_span_leads_to_a_search_for_it(page, gateway):
    trace_id = send(gateway, traces.checkout())
    page.trace(trace_id, "0000000000000004")
    page.js(
        "[...document.querySelectorAll('.find')].find((a) => a.getAttribute('aria-label').includes('db.query.text')).click()"
    )
    page.wait(lambda: "/search?" in page.address(), "the search")
    page.wait(lambda: trace_id in page.listed(), "the trace")
    assert page.js("return document.querySelector('[name=tags]').value") == 'db.query.text="HGETALL cart:1812"'


# --- one trace ---


def test_a_trace_is_a_waterfall_with_everything_a_span_says(page, gateway):
    trace_id = send(gateway, traces.checkout(failing=True))
    page.trace(trace_id)
    assert page.rows() == [
        "POST /checkout",
        "PlaceOrder",
        "GetCart",
        "HGETALL cart:1812",
        "convert currency",
        "Charge",
        "POST https://api.acme.example/charges",
        "INSERT orders",
        "queue receipt 📬 für Zoë",
    ]
    assert page.texts("h1 > span") == ["frontend", "POST /checkout"]
    facts = page.text(".facts")
    for part in ("Duration 182 ms", "Spans 9", "Services 6", "Errors 3", f"Id {trace_id}"):
        assert part in facts
    assert "because its root span had ended and nothing more came" in page.text(".note")
    bars = page.js(
        "return [...document.querySelectorAll('.row .span')].map((n) => [n.style.left, n.style.width])"
    )
    assert bars[0] == ["0%", "100%"]
    assert [round(float(x[:-1]), 1) for x in bars[2]] == [round(9 / 1.82, 1), round(21 / 1.82, 1)]

    page.click("[data-span='0000000000000006']")
    detail = page.text(".detail")
    for part in (
        "Charge",
        "payments",
        "acme: 402 card declined",
        "payment.provider",
        "acme",
        "Self time8.00 ms",
        "Kindserver",
        "exception",
        "80.0 ms after the start",
        "  at charge (pay.js:17:9)",
        "0af7651916cd43dd8448eb211c80319c",
        "retry of",
        "host.name",
        "node-7",
        "shop.tracer",
        "1.4.2",
    ):
        assert part in detail, part
    assert (
        page.js("return document.querySelector('.detail a.mono').getAttribute('href')")
        == "/trace/0af7651916cd43dd8448eb211c80319c#b7ad6b7169203331"
    )
    page.click("[data-span='0000000000000002']")
    detail = page.text(".detail")
    for part in (
        "order.items3",
        "order.total59.9",
        "order.giftfalse",
        '[\n  "A-17",\n  "B-2",\n  "C-99"\n]',
        "cart validated",
        "order persisted",
    ):
        assert part in detail, part
    page.js(
        "[...document.querySelectorAll('.detail summary')].find((s) => s.textContent === 'OTLP JSON').click()"
    )
    page.wait_text('"name": "PlaceOrder"', ".detail pre")


def test_times_keep_their_nanoseconds(page, gateway):
    trace = traces.Trace(start_ns=1_700_000_000_123_456_789)
    trace.span("clock", "short", 0, 0.000_123)
    page.trace(send(gateway, trace))
    assert page.texts(".row .took") == ["123 ns"]


def test_long_values_are_cut_until_one_asks(page, gateway):
    trace = traces.Trace()
    trace.span("long", "values", 0, 1, attrs={"text": "é" * 50_000})
    page.trace(send(gateway, trace), "0000000000000001")
    assert page.text(".detail").count("é") == 2000
    page.js(
        "[...document.querySelectorAll('.detail button')].find((b) => b.textContent.startsWith('Show all 50,000')).click()"
    )
    assert page.text(".detail").count("é") == 50_000


def test_orphans_and_circles_are_shown_and_explained(page, gateway):
    page.trace(traces.orphans().send(gateway))
    assert page.rows() == ["GET /orphans", "clock runs behind", "starts before its parent", "parent never came"]
    assert "1 span has a parent that is not in this trace" in page.text(".note")
    page.click("[data-span='0000000000000004']")
    assert "Its parent is not in this trace." in page.text(".detail")
    page.click("[data-span='0000000000000003']")
    assert "It starts before its parent" in page.text(".detail")
    page.trace(traces.circle().send(gateway))
    assert page.rows() == [
        "its own parent",
        "first of the circle",
        "second of the circle",
        "third of the circle",
    ]
    assert "each other's parents" in page.text(".note")


def test_an_open_trace_says_so_and_finishes_before_ones_eyes(page, gateway):
    trace = traces.unfinished()
    trace.send(gateway)
    page.go("/")
    page.wait(lambda: trace.id in page.listed(), "the open trace in the list")
    assert (
        page.js(
            "return document.querySelector(`tr[data-trace='${arguments[0]}'] .chip.open`)?.textContent",
            trace.id,
        )
        == "open"
    )
    page.trace(trace.id, "0000000000000002")
    page.wait_text("More spans may come", ".note")
    root = traces.Trace(trace_id=trace.id, start_ns=trace.start_ns)
    root.span("frontend", "GET /late", 0, 40, span_id="00000000000000ff")
    page.js("document.querySelector('.tools input').focus()")
    page.press("loa")
    root.send(gateway)
    page.wait_text("because its root span had ended and nothing more came", ".note")
    page.press("d")
    assert page.js("return document.activeElement.value") == "load", "typing goes on where it was"
    assert page.rows() == ["GET /late", "render", "load"]
    assert page.chosen() == "load", "the chosen span stays"
    late = traces.Trace(trace_id=trace.id, start_ns=trace.start_ns)
    late.span("frontend", "straggler", 3, 4, "00000000000000ff", span_id="00000000000000fe")
    late.send(gateway)
    page.trace(trace.id)
    page.wait_text("It had been finished before (revision 1); late spans opened it again.", ".note")
    assert requests.post(gateway.query(f"/api/v1/traces/{trace.id}/finish"), timeout=10).status_code == 200
    page.wait_text("because somebody asked for it. This is revision 2", ".note")
    assert len(page.rows()) == 4
    page.go("/")
    page.wait_text("revision 2", f"tr[data-trace='{trace.id}']")


def test_a_trace_that_is_not_here_is_shown_when_it_comes(page, gateway):
    trace = traces.checkout()
    page.go(f"/trace/{trace.id.upper()}")
    page.wait_text("Trace not found")
    assert trace.id in page.text()
    trace.send(gateway)
    page.wait(lambda: len(page.rows()) == 9, "the trace")
    page.go("/trace/xyz")
    page.wait_text("is not a trace id")
    page.go("/trace/%E0%A4%A")
    page.wait_text("%E0%A4%A is not a trace id")
    page.trace(trace.id, "%E0%A4%A")
    assert len(page.rows()) == 9 and page.chosen() is None


def test_links_to_a_span_and_the_back_button_work(page, gateway):
    trace_id = send(gateway, traces.checkout())
    page.go("/")
    page.wait(lambda: trace_id in page.listed(), "the trace in the list")
    page.click(f"tr[data-trace='{trace_id}'] a")
    page.wait(lambda: page.rows(), "rows")
    page.click("[data-span='0000000000000008']")
    page.wait(lambda: page.address() == f"/trace/{trace_id}#0000000000000008", "the span in the address")
    link = page.driver.current_url
    page.driver.back()
    page.wait(lambda: page.address() == "/" and trace_id in page.listed(), "the list again")
    page.driver.forward()
    page.wait(lambda: page.chosen() == "INSERT orders", "the span again")
    page.go("/setup")
    page.wait_text("From your own service")
    page.driver.get(link)
    page.wait(lambda: page.chosen() == "INSERT orders", "the linked span")
    assert "postgresql" in page.text(".detail")

    for text in (
        trace_id.upper(),
        f"{trace_id[:8]}-{trace_id[8:12]}-{trace_id[12:16]}-{trace_id[16:20]}-{trace_id[20:]}",
    ):
        page.js("document.querySelector('#open-trace input').value = arguments[0]", text)
        page.click("#open-trace button")
        page.wait(lambda: page.address() == f"/trace/{trace_id}", "the trace by its id")


# --- large traces ---


def test_five_thousand_spans_keep_few_rows_in_the_document(page, gateway):
    trace = traces.large(5000)
    page.trace(send(gateway, trace))
    assert "Spans 5,000" in page.text(".facts")
    # Frame after frame to the end: what is in view is there, the document stays small.
    worst = page.driver.execute_async_script("""const done = arguments[0];
           const box = document.querySelector('.fall');
           const list = document.querySelector('.rows');
           const bounds = () => box.getBoundingClientRect();
           const sizes = [];
           let missing = 0;
           const turn = () => {
             const at = box.scrollTop;
             // The frame after the scroll event's own has the rows.
             requestAnimationFrame(() => requestAnimationFrame(() => {
               sizes.push(list.childElementCount);
               const y = bounds().bottom - 20;
               const inView = document.elementFromPoint(bounds().left + 60, Math.min(y, innerHeight - 5));
               if (!inView?.closest('.row')) missing++;
               if (at + box.clientHeight >= box.scrollHeight - 1) done({most: Math.max(...sizes), turns: sizes.length, missing});
               else { box.scrollTop = at + 4000; turn(); }
             }));
           };
           turn();""")
    assert worst["most"] < 100 and worst["turns"] > 20 and worst["missing"] == 0, worst
    assert page.js("return document.querySelectorAll('*').length") < 2500
    page.js("document.querySelector('.rows').focus()")
    page.press(Keys.END)
    last = page.js("return document.querySelector('[aria-selected=true]').getAttribute('aria-posinset')")
    assert last == "5000"
    page.press(Keys.HOME)
    assert page.chosen() == "GET /report"


def test_errors_and_text_are_found_in_a_large_trace(page, gateway):
    trace = traces.large(2000)
    page.trace(send(gateway, trace))
    seen = []
    for _ in range(20):
        page.js("[...document.querySelectorAll('button')].find((b) => b.textContent === 'Next error').click()")
        seen.append(page.chosen())
    assert len(set(seen)) == 20 and all(int(name.split()[1]) % 100 == 50 for name in seen)
    page.js("[...document.querySelectorAll('button')].find((b) => b.textContent === 'Next error').click()")
    assert page.chosen() == seen[0], "after the last comes the first"

    page.click("input[type=search]")
    page.press("step 1234 of", Keys.ENTER)
    page.wait_text("1 span found", ".tools")
    assert page.chosen() == "step 1234 of the report"
    in_view = page.js("""const row = document.querySelector('[aria-selected=true]').getBoundingClientRect();
           const box = document.querySelector('.fall').getBoundingClientRect();
           return row.top >= box.top && row.bottom <= box.bottom""")
    assert in_view


def test_rows_fold(page, gateway):
    page.trace(send(gateway, traces.checkout()))
    page.click("[data-span='0000000000000002'] .fold")
    assert page.rows() == ["POST /checkout", "PlaceOrder"]
    assert page.text("[data-span='0000000000000002'] .unseen") == "level 2, 5 child spans, folded"
    page.click("[data-span='0000000000000002'] .fold")
    assert len(page.rows()) == 9
    page.js("[...document.querySelectorAll('button')].find((b) => b.textContent === 'Fold').click()")
    assert page.rows() == ["POST /checkout", "PlaceOrder"]
    page.js("[...document.querySelectorAll('button')].find((b) => b.textContent === 'Unfold').click()")
    assert len(page.rows()) == 9


# --- nothing a span says becomes markup ---


def test_what_spans_say_is_only_text(page, gateway):
    trace = traces.hostile()
    send(gateway, trace)
    page.go("/")
    page.wait(lambda: trace.id in page.listed(), "the trace in the list")
    assert traces.HOSTILE[0] in page.text(f"tr[data-trace='{trace.id}']")
    page.trace(trace.id)
    assert page.rows() == traces.HOSTILE
    for i, text in enumerate(traces.HOSTILE):
        page.click(f"[data-span='{i + 1:016x}']")
        detail = page.text(".detail")
        assert detail.count(text) >= 9, text
        assert page.js("return document.querySelector('.detail').innerText").count(text) >= 5, "it can be seen"
        page.js("for (const d of document.querySelectorAll('.detail details')) d.open = true")
        page.wait(lambda: page.texts(".detail pre"), "the source")
    page.go(f"/search?service={requests.utils.quote('svc ' + traces.HOSTILE[1])}")
    page.wait(lambda: page.listed() == [trace.id], "found by its service")
    page.wait(
        lambda: f"svc {traces.HOSTILE[1]}" in page.texts("select[name=service] option"),
        "the service in the form",
    )
    page.go(
        "/search?service=%3Cimg%20src%3Dx%20onerror%3Dwindow.__xss%3D1%3E&tags=%22%3E%3Cscript%3Ewindow.__xss%3D1%3C/script%3E"
    )
    page.wait_text("The search failed: attributes are written key=value")
    page.go("/trace/%3Cscript%3Ewindow.__xss=1%3C%2Fscript%3E")
    page.wait_text("<script>window.__xss=1</script> is not a trace id")
    assert page.js("return window.__xss") is None
    assert page.js("return document.querySelectorAll('img, iframe, svg, main script').length") == 0
    assert page.js("return [...document.querySelectorAll('a')].every((a) => a.protocol === 'http:')")


def test_the_policy_refuses_markup_and_foreign_requests(page, gateway):
    answer = requests.get(gateway.query("/"), timeout=10)
    policy = answer.headers["Content-Security-Policy"]
    for part in (
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ):
        assert part in policy
    assert "unsafe" not in policy
    page.go("/setup")
    page.wait_text("From your own service")
    with pytest.raises(WebDriverException, match="TrustedHTML"):
        page.js("document.body.innerHTML = '<b>x</b>'")
    page.driver.get_log("browser")


# --- size ---


def test_a_first_visit_is_small_and_asks_nobody_else(page, gateway):
    page.trace(send(gateway, traces.checkout()))
    entries = page.js(
        """return [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
             .map((e) => [e.name, e.encodedBodySize])"""
    )
    own = gateway.query("/")
    assert all(name.startswith((own, "data:")) for name, _ in entries), entries
    files = {name: size for name, size in entries if "/api/" not in name}
    assert len(files) >= 12
    assert sum(files.values()) <= 120 * 1024


# --- keyboard, assistive technology, themes ---

FOCUSED = """const n = document.activeElement;
  return n.getAttribute('aria-label') || n.getAttribute('name') || n.textContent.trim().slice(0, 40) || n.tagName"""


def test_everything_is_reached_by_keyboard(page, gateway):
    trace_id = send(gateway, traces.checkout(failing=True))
    page.trace(trace_id)
    seen = []
    for _ in range(13):
        page.press(Keys.TAB)
        seen.append(page.js(FOCUSED))
    assert seen == [
        "Skip to content",
        "Spangate",
        "Traces",
        "Send data",
        "Trace id",
        "Open",
        "Find in this trace",
        "Next error",
        "Fold",
        "Unfold",
        "Copy link",
        "Download JSON",
        "Spans",
    ]

    steps = [
        (Keys.ARROW_DOWN, "POST /checkout"),
        (Keys.ARROW_DOWN, "PlaceOrder"),
        ("j", "GetCart"),
        ("k", "PlaceOrder"),
        (Keys.ARROW_RIGHT, "GetCart"),
        (Keys.ARROW_LEFT, "GetCart"),
        (Keys.ARROW_DOWN, "convert currency"),
        (Keys.ARROW_UP, "GetCart"),
        (Keys.ARROW_RIGHT, "GetCart"),
        (Keys.ARROW_DOWN, "HGETALL cart:1812"),
        (Keys.ARROW_LEFT, "GetCart"),
        ("e", "Charge"),
        ("e", "POST https://api.acme.example/charges"),
        ("e", "POST /checkout"),
        ("E", "POST https://api.acme.example/charges"),
        (Keys.END, "queue receipt 📬 für Zoë"),
        (Keys.ARROW_DOWN, "queue receipt 📬 für Zoë"),
        (Keys.HOME, "POST /checkout"),
        (Keys.PAGE_DOWN, "queue receipt 📬 für Zoë"),
        ("[", "PlaceOrder"),
        ("]", "PlaceOrder"),
    ]
    for key, expected in steps:
        page.press(key)
        assert page.chosen() == expected, key
        active = page.js("""const active = document.activeElement.getAttribute('aria-activedescendant');
               return document.getElementById(active).querySelector('.span-name').textContent""")
        assert active == expected
    page.press(Keys.ENTER)
    assert page.js(FOCUSED) == "PlaceOrder", "Enter goes to what the span says"
    page.press(Keys.TAB)
    assert page.js(FOCUSED) == "Close the span (Escape)"
    page.press(Keys.ESCAPE)
    assert page.js(FOCUSED) == "Spans"
    assert page.js("return document.querySelector('.detail').hidden")
    page.wait(lambda: page.address() == f"/trace/{trace_id}", "an address without the span")


def test_a_search_can_be_made_and_opened_by_keyboard(page, gateway):
    trace = traces.Trace()
    trace.span("keyboard-service", "typed", 0, 3, attrs={"found.by": "keys"})
    send(gateway, trace)
    page.go("/")
    page.wait(lambda: page.listed(), "the list")
    page.js("document.querySelector('[name=tags]').focus()")
    page.press("found.by=keys", Keys.ENTER)
    page.wait(lambda: page.listed() == [trace.id], "found")
    page.js("document.querySelector('form.filters .primary').focus()")
    for _ in range(len(page.texts("th .sort")) + 1):
        page.press(Keys.TAB)
    page.press(Keys.ENTER)
    page.wait(lambda: page.address().startswith(f"/trace/{trace.id}"), "the trace")
    page.wait(lambda: page.js(FOCUSED) == "Spans", "the keyboard in the waterfall")
    page.press(Keys.ARROW_DOWN)
    assert page.chosen() == "typed"


# Every visible text against the colour behind it.
CONTRAST = """
const lum = (rgb) => {
  const [r, g, b] = rgb.map((c) => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const behind = (node) => {
  for (; node; node = node.parentElement) {
    const color = parse(getComputedStyle(node).backgroundColor);
    if (color.length < 4 || color[3] > 0.99) return color.slice(0, 3);
  }
  return [255, 255, 255];
};
const poor = [];
let checked = 0;
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !node.checkVisibility() || node.closest('option, noscript')) continue;
  const a = lum(parse(getComputedStyle(node).color).slice(0, 3));
  const b = lum(behind(node));
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  checked++;
  if (ratio < 4.5) poor.push([walker.currentNode.data.trim().slice(0, 40), node.className, ratio.toFixed(2)]);
}
return {checked, poor};
"""


def every_page(page, gateway):
    """Open each page in turn and give its name."""
    shop = send(gateway, traces.checkout(failing=True))
    opened = traces.unfinished().send(gateway)
    page.go("/")
    page.wait(lambda: {shop, opened} <= set(page.listed()), "the list")
    yield "list"
    page.go("/search?service=nobody")
    page.wait_text("No trace matches")
    yield "nothing found"
    page.go("/setup")
    page.wait_text("From your own service")
    yield "setup"
    page.trace(shop, "0000000000000006")
    yield "trace with a span"
    page.trace(opened)
    yield "open trace"
    page.go("/trace/1234")
    page.wait_text("Trace not found")
    yield "missing trace"
    page.go("/trace/xyz")
    page.wait_text("is not a trace id")
    yield "bad id"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_text_has_contrast(page, gateway, theme):
    page.theme(theme)
    backgrounds = set()
    for name in every_page(page, gateway):
        result = page.js(CONTRAST)
        assert result["checked"] >= 8, name
        assert result["poor"] == [], name
        backgrounds.add(page.js("return getComputedStyle(document.body).backgroundColor"))
    assert len(backgrounds) == 1 and (backgrounds == {"rgb(255, 255, 255)"}) == (theme == "light")


@pytest.mark.parametrize("width", [400, 1280])
def test_no_page_is_wider_than_the_window(page, gateway, width):
    page.width(width)
    for name in every_page(page, gateway):
        assert page.js("return document.documentElement.scrollWidth") <= width, name
    page.trace(traces.hostile().send(gateway), "0000000000000003")
    assert page.js("return document.documentElement.scrollWidth") <= width
    row = page.js("return document.querySelector('[aria-selected=true]').getBoundingClientRect().top")
    sheet = page.wait(
        lambda: page.js("return document.querySelector('.detail').getBoundingClientRect().top"), "the span"
    )
    if width == 400:
        page.wait(
            lambda: page.js(
                "return document.querySelector('[aria-selected=true]').getBoundingClientRect().bottom"
            )
            < sheet,
            f"the row beside its details, from {row}",
        )


@pytest.fixture(scope="module")
def axe():
    """The source of axe-core, from npm into build/."""
    folder = BUILD / "axe"
    source = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not source.exists():
        if not shutil.which("npm"):
            pytest.skip("npm is not installed")
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [
                "npm",
                "install",
                "--prefix",
                str(folder),
                "--no-audit",
                "--no-fund",
                "--ignore-scripts",
                "--silent",
                AXE,
            ],
            capture_output=True,
            text=True,
            timeout=300,
        )
        if done.returncode != 0 or not source.exists():
            pytest.skip(f"npm cannot install {AXE}: {(done.stderr or done.stdout).strip()[-200:]}")
    return source.read_text(encoding="utf-8")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_serious_violation(page, gateway, axe, theme):
    page.theme(theme)
    for name in every_page(page, gateway):
        page.js(axe)
        result = page.driver.execute_async_script(
            "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then(done, (e) => done({error: String(e)}))"
        )
        assert "error" not in result, f"{name}: {result}"
        serious = [
            (v["id"], v["impact"], [n["html"] for n in v["nodes"]][:3])
            for v in result["violations"]
            if v["impact"] in ("serious", "critical")
        ]
        assert serious == [], name
    page.driver.get_log("browser")  # axe itself trips over the policy


# --- a gateway in trouble ---


def test_a_gateway_that_goes_away_is_told_and_what_is_shown_stays(driver, tmp_path):
    gateway = Gateway(tmp_path)
    gateway.start()
    page = Page(driver, gateway)
    page.width(1280)
    trace_id = send(gateway, traces.checkout())
    page.trace(trace_id)
    gateway.stop()
    page.wait_text("The gateway does not answer", "#status")
    assert len(page.rows()) == 9
    gateway.start()
    page.wait(
        lambda: "received" in page.text("#status") and "not answer" not in page.text("#status"), "back again"
    )
    page.go("/")
    page.wait(lambda: page.listed() == [trace_id], "the list")
    gateway.stop()
    page.wait_text("The search failed")
    gateway.start()
    page.wait(lambda: page.listed() == [trace_id], "the list again, by itself")
    assert gateway.stop() == 0
    driver.get("about:blank")
