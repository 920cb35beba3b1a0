// trace.js - one trace: what is known about it, its waterfall, and the span one looks at. A trace that is
// open or not here yet is asked for again and again.
import * as api from "./api.js";
import { copyButton, el, note, replace } from "./dom.js";
import { attribute, big, count, decode, duration, time } from "./format.js";
import { arrange, extent, flatten } from "./layout.js";
import { spanDetail } from "./span.js";
import { waterfall } from "./waterfall.js";

const REASONS = {
  root_quiet: "its root span had ended and nothing more came",
  end_trace: "its sender said it was complete",
  idle: "nothing came for a while, although its root had not ended or a parent was missing",
  max_age: "it had been open for as long as a trace may be",
  max_spans: "it had as many spans as a trace may have; later ones are in later revisions",
  memory: "memory was short",
  shutdown: "the gateway was stopped",
  admin: "somebody asked for it",
};

export const reasonText = (reason) => (reason ? `because ${REASONS[reason] || reason}` : undefined);

// The 32 digits of a trace id as people paste it: hex in either case, with or without dashes, or base64.
// undefined: it is none.
export function traceIdOf(text) {
  const hex = text.replaceAll("-", "").toLowerCase();
  if (/^[0-9a-f]{1,32}$/.test(hex)) return hex.padStart(32, "0");
  if (!/^[A-Za-z0-9+/]{22}(==)?$/.test(text)) return undefined;
  return Array.from(atob(text), (c) => c.charCodeAt(0).toString(16).padStart(2, "0")).join("");
}

function facts(spans, trace) {
  const { begin, finish } = extent(spans);
  const errors = spans.filter((s) => s.error).length;
  const item = (label, value, kind) => el("li", {}, `${label} `, el("b", { class: kind }, value));
  return el(
    "ul",
    { class: "facts" },
    item("Started", begin > 0n ? time(begin) : "unknown"),
    item("Duration", duration(finish - begin)),
    item("Spans", spans.length.toLocaleString("en")),
    item("Services", String(new Set(spans.map((s) => s.service)).size)),
    item("Errors", errors.toLocaleString("en"), errors > 0 ? "bad" : undefined),
    item("Id", trace.traceId, "mono"),
  );
}

function stateNotes(trace, spans) {
  const orphans = spans.filter((s) => s.orphan && !s.circle).length;
  const circles = spans.filter((s) => s.circle).length;
  const open = trace.state === "open";
  const notes = [];
  if (open) {
    const late =
      trace.revision > 0
        ? ` It had been finished before (revision ${trace.revision}); late spans opened it again.`
        : "";
    notes.push(
      note(
        "warn",
        el("span", { class: "chip open" }, "open"),
        ` More spans may come; this page shows them as they do.${late}`,
      ),
    );
  } else {
    const late =
      trace.revision > 1
        ? ` This is revision ${trace.revision}: late spans came after an earlier finish.`
        : "";
    notes.push(
      note(
        "",
        el("span", { class: "chip" }, "finished"),
        ` ${reasonText(trace.reason) || "for good"}.${late}`,
      ),
    );
  }
  if (circles > 0)
    notes.push(
      note("warn", "Some spans are each other's parents: the tree begins at the earliest of each circle."),
    );
  if (orphans > 0)
    notes.push(
      note(
        "warn",
        `${count(orphans, "span")} ${orphans === 1 ? "has a parent that is" : "have parents that are"} not in this trace; shown at the top level.`,
      ),
    );
  if (orphans + circles === 0 && !spans.some((s) => !s.raw.parentSpanId))
    notes.push(note("warn", "There is no root span."));
  return notes;
}

// Keep the chosen span in the address. Not with each of many quick steps: browsers refuse that at some point.
function addressKeeper(signal) {
  let timer;
  signal.addEventListener("abort", () => clearTimeout(timer));
  return (address) => {
    clearTimeout(timer);
    if (!signal.aborted) timer = setTimeout(() => history.replaceState(null, "", address), 150);
  };
}

// Where the keyboard may be when a trace is drawn again, and what takes its place there.
const PLACES = [
  [".tools input", ".tools input"],
  [".detail", ".detail h2"],
  ["[role=listbox]", "[role=listbox]"],
];

// Draw a trace; before: what draw() returned for an earlier state of it.
function draw(main, trace, spans, spanId, before, keepAddress) {
  const place = PLACES.find(([part]) => main.querySelector(part)?.contains(document.activeElement));
  const rows = arrange(spans);
  const root = rows.find((s) => !s.raw.parentSpanId) || rows[0];
  const detail = el("section", { class: "detail", "aria-label": "Span", hidden: true });
  const split = el("div", { class: "split" });
  const close = () => {
    detail.hidden = true;
    split.classList.remove("with-detail");
    keepAddress(location.pathname);
    fall.focus();
  };
  const fall = waterfall(rows, {
    select(span) {
      detail.hidden = false;
      split.classList.add("with-detail");
      spanDetail(detail, span, close);
      detail.scrollTop = 0;
      keepAddress(`#${encodeURIComponent(span.raw.spanId)}`);
    },
    enter: () => detail.querySelector("h2")?.focus(),
    leave: close,
  });
  detail.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
  });
  replace(split, fall.node, detail);
  document.title = `${root.service}: ${root.name} – Spangate`;
  replace(
    main,
    el(
      "h1",
      {},
      el("span", { class: "service" }, root.service),
      " ",
      el("span", { class: "span-name" }, root.name),
    ),
    facts(spans, trace),
    stateNotes(trace, spans),
    el(
      "div",
      { class: "tools" },
      fall.tools,
      el(
        "span",
        { class: "right" },
        copyButton("Copy link", () => location.href),
        el(
          "a",
          { class: "button", href: `/api/v1/traces/${trace.traceId}`, download: `${trace.traceId}.json` },
          "Download JSON",
        ),
      ),
    ),
    split,
  );
  fall.start(spanId, before?.place());
  if (place) main.querySelector(place[1])?.focus({ preventScroll: true });
  return fall;
}

function missing(main, id) {
  document.title = "Trace not found – Spangate";
  replace(
    main,
    el("h1", {}, "Trace not found"),
    note(
      "warn",
      "No trace with the id ",
      el("span", { class: "mono" }, id),
      " is here. It may not have arrived yet, or retention has dropped it.",
    ),
    el("p", { class: "soft" }, "This page shows it as soon as it comes."),
  );
}

export async function showTrace(main, signal) {
  const text = decode(location.pathname.slice("/trace/".length));
  const id = traceIdOf(text);
  if (!id) {
    document.title = "No trace id – Spangate";
    replace(
      main,
      el("h1", {}, "No trace id"),
      note(
        "bad",
        el("span", { class: "mono" }, text),
        " is not a trace id: that is up to 32 hexadecimal digits.",
      ),
    );
    return;
  }
  document.title = `Trace ${id.slice(0, 8)} – Spangate`;
  const look = new AbortController();
  signal.addEventListener("abort", () => look.abort());
  const keepAddress = addressKeeper(signal);
  let shown = "";
  let fall;
  await api.poll(
    async () => {
      try {
        const trace = await api.trace(id);
        if (signal.aborted) return;
        const state = `${trace.state} ${trace.revision} ${trace.spanCount}`;
        const spans =
          state === shown
            ? []
            : flatten(
                trace.resourceSpans,
                (resource) => attribute(resource?.attributes, "service.name"),
                big,
              );
        if (spans.length > 0) {
          fall = draw(main, trace, spans, decode(location.hash.slice(1)), fall, keepAddress);
          shown = state;
        }
        if (trace.state !== "open") look.abort();
      } catch (error) {
        if (signal.aborted) return;
        if (fall) return; // what is shown stays; the line at the top tells of a gateway that is away
        if (error.status === 404) {
          if (shown !== "missing") missing(main, id);
          shown = "missing";
        } else {
          replace(main, el("h1", {}, "Trace"), note("bad", `The trace cannot be read: ${error.message}.`));
          shown = "";
        }
      }
    },
    () => 1500,
    look.signal,
  );
}
