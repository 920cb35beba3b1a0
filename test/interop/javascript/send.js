// send.js SPANS PROTOCOL COMPRESSION ENDPOINT: the fixed spans through the OpenTelemetry JavaScript SDK.
import { readFileSync } from "node:fs";
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, trace } from "@opentelemetry/api";
import { CompressionAlgorithm } from "@opentelemetry/otlp-exporter-base";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";

const [spansPath, protocol, compressionName, endpoint] = process.argv.slice(2);
const fixed = JSON.parse(readFileSync(spansPath, "utf8"));

const exporters = {
  "http/json": "@opentelemetry/exporter-trace-otlp-http",
  "http/protobuf": "@opentelemetry/exporter-trace-otlp-proto",
  grpc: "@opentelemetry/exporter-trace-otlp-grpc",
};
const { OTLPTraceExporter } = await import(exporters[protocol]);
const exporter = new OTLPTraceExporter({
  url: protocol === "grpc" ? `http://${endpoint}` : `${endpoint}/v1/traces`,
  compression: compressionName === "gzip" ? CompressionAlgorithm.GZIP : CompressionAlgorithm.NONE,
});
let failed = false;
const send = exporter.export.bind(exporter);
exporter.export = (spans, done) => send(spans, (result) => {
  if (result.code !== 0) {
    failed = true;
    console.error(result.error);
  }
  done(result);
});

const ids = fixed.spans.map((s) => s.spanId);
const provider = new TracerProvider({
  resource: resourceFromAttributes({ "service.name": fixed.service }),
  idGenerator: { generateTraceId: () => fixed.traceId, generateSpanId: () => ids.shift() },
  spanProcessors: [new BatchSpanProcessor({ exporter })],
});
const tracer = provider.getTracer(fixed.scope.name, fixed.scope.version);

const time = (ns) => [Number(BigInt(ns) / 1000000000n), Number(BigInt(ns) % 1000000000n)];
const attributes = (typed) => Object.fromEntries(Object.entries(typed).map(([k, v]) => [k, Object.values(v)[0]]));
const made = [];
for (const one of fixed.spans) {
  const context = one.parent === null ? ROOT_CONTEXT : trace.setSpan(ROOT_CONTEXT, made[one.parent]);
  const span = tracer.startSpan(one.name, {
    kind: SpanKind[one.kind],
    startTime: time(one.start),
    attributes: attributes(one.attributes),
    links: one.links.map((l) => ({
      context: { traceId: l.traceId, spanId: l.spanId, traceFlags: TraceFlags.NONE, isRemote: true },
      attributes: attributes(l.attributes),
    })),
  }, context);
  for (const event of one.events) span.addEvent(event.name, attributes(event.attributes), time(event.time));
  if (one.status.code !== "UNSET") {
    span.setStatus({ code: SpanStatusCode[one.status.code], message: one.status.message || undefined });
  }
  made.push(span);
}
fixed.spans.forEach((one, i) => made[i].end(time(one.end)));
await provider.shutdown();
process.exit(failed ? 1 : 0);
