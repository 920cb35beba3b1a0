// span.js - everything a span says about itself.
import { button, copyButton, el, replace } from "./dom.js";
import { toAddress, writeTag } from "./filters.js";
import { anyValue, big, duration, KINDS, STATUSES, time } from "./format.js";
import { selfTime } from "./layout.js";

const SHOWN_MAX = 2000; // characters of a value before one has to ask for the rest

function valueNode(text) {
  if (text.length <= SHOWN_MAX) return el("dd", {}, text);
  const node = el("dd", {}, `${text.slice(0, SHOWN_MAX)}… `);
  node.append(
    button(`Show all ${text.length.toLocaleString("en")} characters`, () => {
      node.textContent = text;
    }),
  );
  return node;
}

// A key that may be broken over lines after its dots.
function keyNode(key) {
  return el(
    "dt",
    {},
    key.split(/(?<=[._/-])/).flatMap((part, i) => (i > 0 ? [el("wbr"), part] : part)),
  );
}

// find(key, text): the address of a search for it; undefined: none.
function pairs(list, find) {
  return el(
    "dl",
    {},
    (list || []).map((kv) => {
      const text = anyValue(kv.value);
      const value = valueNode(text);
      const searchable = find && text.length <= 256 && !/[\n\0]/.test(text);
      if (searchable) {
        value.append(
          el(
            "a",
            {
              class: "find",
              href: find(kv.key, text),
              "aria-label": `Find traces with this ${kv.key}`,
              title: "Find traces with this",
            },
            "find",
          ),
        );
      }
      return [keyNode(kv.key), value];
    }),
  );
}

function section(title, open, ...children) {
  return el("details", { open }, el("summary", {}, title), ...children);
}

function facts(list) {
  return el(
    "dl",
    {},
    list
      .filter(([, value]) => value !== undefined && value !== "")
      .map(([label, value]) => [
        el("dt", {}, label),
        typeof value === "string" ? valueNode(value) : el("dd", {}, value),
      ]),
  );
}

function eventNode(event, span) {
  const at = big(event.timeUnixNano);
  const after =
    at >= span.start
      ? `${duration(at - span.start)} after the start`
      : `${duration(span.start - at)} before the start`;
  return el(
    "div",
    { class: "part" },
    el("p", {}, el("b", {}, event.name || "event"), " ", el("span", { class: "soft" }, at > 0n ? after : "")),
    pairs(event.attributes),
    event.droppedAttributesCount > 0 &&
      el("p", { class: "soft" }, `${event.droppedAttributesCount} attributes were dropped by the sender`),
  );
}

function linkNode(link) {
  return el(
    "div",
    { class: "part" },
    el(
      "p",
      {},
      el(
        "a",
        {
          class: "mono",
          href: `/trace/${encodeURIComponent(link.traceId)}#${encodeURIComponent(link.spanId)}`,
        },
        `trace ${link.traceId}, span ${link.spanId}`,
      ),
    ),
    pairs(link.attributes),
  );
}

function remarks(span) {
  const list = [];
  if (span.circle) list.push("It is among its own ancestors.");
  else if (span.orphan) list.push("Its parent is not in this trace.");
  if (span.parent && span.start > 0n && span.start < span.parent.start)
    list.push("It starts before its parent: the clocks of the two may differ.");
  if (big(span.raw.startTimeUnixNano) === 0n || big(span.raw.endTimeUnixNano) === 0n)
    list.push("It came without a start or an end.");
  for (const [name, what] of [
    ["droppedAttributesCount", "attributes"],
    ["droppedEventsCount", "events"],
    ["droppedLinksCount", "links"],
  ]) {
    if (span.raw[name] > 0) list.push(`Its sender dropped ${span.raw[name]} ${what}.`);
  }
  return list.map((text) => el("p", { class: "note warn" }, text));
}

// close(): what the button in the corner does. heading is where the keyboard goes when one enters.
export function spanDetail(target, span, close) {
  const { raw, resource, scope } = span;
  const attributes = raw.attributes || [];
  const events = raw.events || [];
  const links = raw.links || [];
  const ofResource = resource.attributes || [];
  const json = () => JSON.stringify(raw, null, 2);
  const find = (key, text) => toAddress({ service: span.service, tags: writeTag(key, text) });
  const status = STATUSES[raw.status?.code || 0] || `status ${raw.status?.code}`;
  const source = section("OTLP JSON", false);
  source.addEventListener("toggle", () => {
    if (source.open && source.childElementCount === 1)
      source.append(copyButton("Copy", json), el("pre", {}, json()));
  });
  replace(
    target,
    el(
      "div",
      { class: "detail-head" },
      el("h2", { tabindex: "-1" }, span.name),
      button("Close", close, { "aria-label": "Close the span (Escape)" }),
    ),
    remarks(span),
    facts([
      ["Service", el("a", { href: toAddress({ service: span.service }) }, span.service)],
      ["Status", span.error ? el("span", { class: "chip bad" }, "error") : status],
      ["Message", raw.status?.message],
      ["Duration", duration(span.end - span.start)],
      ["Self time", span.children.length > 0 ? duration(selfTime(span)) : ""],
      ["Started", span.start > 0n ? time(span.start) : ""],
      ["Kind", KINDS[raw.kind || 0] || `kind ${raw.kind}`],
      ["Span id", raw.spanId],
      ["Parent id", raw.parentSpanId],
      ["Trace state", raw.traceState],
    ]),
    section(`Attributes (${attributes.length})`, true, pairs(attributes, find)),
    events.length > 0 &&
      section(
        `Events (${events.length})`,
        true,
        events.map((event) => eventNode(event, span)),
      ),
    links.length > 0 && section(`Links (${links.length})`, true, links.map(linkNode)),
    section(`Resource (${ofResource.length})`, false, pairs(ofResource, find)),
    (scope.name || scope.attributes?.length > 0) &&
      section(
        "Scope",
        false,
        facts([
          ["Name", scope.name],
          ["Version", scope.version],
        ]),
        pairs(scope.attributes),
      ),
    source,
  );
}
