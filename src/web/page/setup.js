// setup.js - how to send data to this very gateway, and what has arrived.
import * as api from "./api.js";
import { copyButton, el, note, replace } from "./dom.js";

const CURL = `id=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \\n'); now=$(date +%s)
curl -i {url}/v1/traces \\
  -H 'Content-Type: application/json' -d '{"resourceSpans":[{
  "resource":{"attributes":[{"key":"service.name",
    "value":{"stringValue":"my-service"}}]},
  "scopeSpans":[{"spans":[{"traceId":"'$id'",
    "spanId":"'$(echo $id | cut -c1-16)'","name":"hello","kind":2,
    "startTimeUnixNano":"'$now'000000000",
    "endTimeUnixNano":"'$now'005000000"}]}]}]}'`;

function environment(url, protocol) {
  return `export OTEL_EXPORTER_OTLP_ENDPOINT=${url}
export OTEL_EXPORTER_OTLP_PROTOCOL=${protocol}
export OTEL_SERVICE_NAME=my-service
export OTEL_METRICS_EXPORTER=none OTEL_LOGS_EXPORTER=none`;
}

function collector(grpc) {
  return `exporters:
  otlp/spangate:
    endpoint: ${grpc}
    tls: {insecure: true}
service:
  pipelines:
    traces: {receivers: [otlp], exporters: [otlp/spangate]}`;
}

function block(title, text, ...more) {
  return el(
    "div",
    { class: "block" },
    el(
      "div",
      { class: "block-head" },
      el("h3", {}, title),
      copyButton("Copy", () => text, { "aria-label": `Copy: ${title}` }),
    ),
    el("pre", {}, text),
    ...more,
  );
}

// Whether an address like "127.0.0.1:4318" is reached from this machine only.
const isLocal = (endpoint) => /^(localhost|127\.|\[::1\])/.test(endpoint);

function recipes(receivers) {
  const http = receivers.find((r) => r.protocol === "http");
  const grpc = receivers.find((r) => r.protocol === "grpc");
  const host = location.hostname;
  const address = (receiver) => `${host}:${receiver.port}`;
  const local = receivers.filter((r) => isLocal(r.endpoint));

  if (!http && !grpc) return note("warn", "This gateway has no OTLP receiver: add one to its configuration.");
  return [
    el("h2", {}, "Send a trace now"),
    el(
      "div",
      { class: "blocks" },
      http &&
        block(
          "From the gateway's program",
          `spangate demo --endpoint http://${address(http)}`,
          el("p", { class: "soft" }, "One trace over four services; one of them fails."),
        ),
      http && block("With curl", CURL.replace("{url}", `http://${address(http)}`)),
    ),
    el("h2", {}, "From your own service"),
    el("p", {}, "Any OpenTelemetry SDK or Collector can send here. SDKs read these variables:"),
    el(
      "div",
      { class: "blocks" },
      http && block("SDK, OTLP/HTTP", environment(`http://${address(http)}`, "http/protobuf")),
      grpc && block("SDK, OTLP/gRPC", environment(`http://${address(grpc)}`, "grpc")),
      grpc && block("OpenTelemetry Collector", collector(address(grpc))),
    ),
    el(
      "p",
      { class: "soft" },
      "From inside a container, this machine is ",
      el("code", {}, "host.docker.internal"),
      " or the address of the bridge, not localhost. ",
      local.length > 0 && [
        "Receivers here listen on ",
        local.map((r) => r.endpoint).join(" and "),
        " only; for senders elsewhere, set ",
        el("code", {}, "SPANGATE_LISTEN_HOST=0.0.0.0"),
        " or the receiver's endpoint.",
      ],
    ),
  ];
}

function counters(status) {
  const { spans } = status;
  const one = (label, value, kind) =>
    el("div", { class: kind }, el("dt", {}, label), el("dd", {}, value.toLocaleString("en")));
  return el(
    "dl",
    { class: "counters", "aria-label": "Received so far" },
    one("Requests", status.requests),
    one("Spans accepted", spans.accepted),
    one("Spans refused", spans.refused, spans.refused > 0 ? "bad" : undefined),
    one("Repeats dropped", spans.duplicate),
    one("Spans stored", spans.stored),
  );
}

function exporters(list) {
  if (list.length === 0) return undefined;
  const number = (value) => el("td", { class: "number" }, value.toLocaleString("en"));
  const head = (title, kind) => el("th", { scope: "col", class: kind }, title);
  return [
    el("h2", {}, "Passed on"),
    el(
      "div",
      { class: "table", role: "region", "aria-label": "Passed on", tabindex: "0" },
      el(
        "table",
        {},
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            head("Exporter"),
            head("Spans sent", "number"),
            head("Dropped", "number"),
            head("Refused there", "number"),
            head("Retries", "number"),
            head("Bytes waiting", "number"),
            head("Last error"),
          ),
        ),
        el(
          "tbody",
          {},
          list.map((e) =>
            el(
              "tr",
              {},
              el("th", { scope: "row" }, e.name),
              number(e.sent),
              number(e.failed),
              number(e.rejected),
              number(e.retries),
              number(e.lagBytes),
              el("td", { class: "wrap" }, e.lastError || "–"),
            ),
          ),
        ),
      ),
    ),
  ];
}

// {node, update(status)}: recipes with the ports of this gateway below live counters.
export function sendGuide() {
  const figures = el("div", {});
  const steps = el("div", {});
  let drawn = "";
  return {
    node: el("section", { class: "guide", "aria-label": "How to send data" }, figures, steps),
    update(status) {
      replace(figures, counters(status));
      const receivers = JSON.stringify(status.receivers);
      if (receivers !== drawn) replace(steps, recipes(status.receivers));
      drawn = receivers;
    },
  };
}

export async function showSetup(main, signal) {
  document.title = "Send data – Spangate";
  const guide = sendGuide();
  const passedOn = el("section", { "aria-label": "Exporters" });
  const gateway = el("p", { class: "soft" });
  const problem = el("div", {});
  let shown = "";
  replace(main, el("h1", {}, "Send data"), problem, guide.node, passedOn, gateway);
  await api.poll(
    async () => {
      try {
        const status = await api.status();
        guide.update(status);
        const now = JSON.stringify(status.exporters);
        if (now !== shown) replace(passedOn, exporters(status.exporters));
        shown = now;
        gateway.textContent = `Spangate ${status.version} · durability ${status.durability} · data in ${status.dataDir}`;
        replace(problem);
      } catch (error) {
        replace(problem, note("bad", `The gateway's state cannot be read: ${error.message}.`));
      }
    },
    () => 1000,
    signal,
  );
}
