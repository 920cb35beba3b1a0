// search.js - the list of traces and the form that narrows it. The address holds the whole search; the
// list fills by itself while somebody looks.
import * as api from "./api.js";
import { el, note, replace } from "./dom.js";
import { DEFAULTS, fromAddress, isNarrowed, toAddress, toQuery } from "./filters.js";
import { big, count, duration, shortTime, time } from "./format.js";
import { sendGuide } from "./setup.js";
import { reasonText } from "./trace.js";

const LOOKBACKS = [
  ["15", "15 minutes"],
  ["60", "1 hour"],
  ["360", "6 hours"],
  ["1440", "1 day"],
  ["10080", "7 days"],
  ["43200", "30 days"],
];
const LIMITS = ["20", "100", "500", "1500"].map((n) => [n, n]);
const DURATION = {
  pattern: "\\s*([0-9]+(\\.[0-9]+)?(ns|us|µs|ms|s|m|h))+\\s*",
  title: "A number with ns, us, ms, s, m or h, like 1.5s",
  size: "7",
};

// --- the form ---

const options = (list, chosen) => {
  const all = chosen && !list.some(([value]) => value === chosen) ? [...list, [chosen, chosen]] : list;
  return all.map(([value, text]) => el("option", { value, selected: value === chosen }, text));
};
const names = (list) => [["", "any"], ...list.map((name) => [name, name])];

function field(label, input, kind) {
  return el("label", { class: kind }, el("span", {}, label), input);
}

function filterForm(filters, search) {
  const service = el("select", { name: "service" }, options(names([]), filters.service));
  const operation = el("select", { name: "operation" }, options(names([]), filters.operation));
  const tags = el("input", {
    name: "tags",
    value: filters.tags,
    placeholder: 'http.route="/pay" retry=3',
    spellcheck: "false",
    autocapitalize: "off",
  });
  const text = (name, placeholder) => el("input", { name, value: filters[name], placeholder, ...DURATION });
  const choice = (name, list) => el("select", { name }, options(list, filters[name]));
  const form = el(
    "form",
    { class: "filters", "aria-label": "Filter" },
    field("Service", service),
    field("Operation", operation),
    field("Attributes", tags, "wide"),
    field("Shortest", text("minDuration", "100ms")),
    field("Longest", text("maxDuration", "2s")),
    field("Started in the last", choice("lookback", LOOKBACKS)),
    field("At most", choice("limit", LIMITS)),
    el(
      "label",
      { class: "check" },
      el("input", { type: "checkbox", name: "errors", value: "1", checked: Boolean(filters.errors) }),
      "Errors only",
    ),
    el("button", { class: "primary" }, "Find traces"),
  );

  tags.addEventListener("input", () => tags.setCustomValidity(""));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = { ...DEFAULTS, errors: "", ...Object.fromEntries(new FormData(form)) };
    try {
      toQuery(wanted);
    } catch (error) {
      tags.setCustomValidity(error.message);
      tags.reportValidity();
      return;
    }
    search(wanted);
  });
  const fillOperations = async () => {
    const of = service.value;
    const list = of ? await api.operations(of).catch(() => []) : [];
    if (service.value === of) replace(operation, options(names(list), operation.value));
  };
  service.addEventListener("change", () => {
    operation.value = "";
    fillOperations();
  });
  let known = "";
  const refresh = async () => {
    const list = await api.services();
    if (known === list.join("\n")) return;
    known = list.join("\n");
    replace(service, options(names(list), service.value));
    await fillOperations();
  };
  return { form, refresh };
}

// --- the list ---

const root = (t) => (t.rootName ? `${t.rootService}: ${t.rootName}` : "");
const COLUMNS = [
  { title: "Started", class: "when", key: (t) => big(t.startTimeUnixNano), order: -1 },
  { title: "Trace", class: "name", key: root, order: 1 },
  { title: "Duration", class: "number", key: (t) => big(t.durationNanos), order: -1 },
  { title: "Spans", class: "number", key: (t) => t.spanCount, order: -1 },
  { title: "Errors", class: "number", key: (t) => t.errorCount, order: -1 },
  { title: "Services", class: "number extra", key: (t) => t.serviceCount, order: -1 },
  { title: "State", class: "extra", key: (t) => `${t.state} ${t.revision}`, order: -1 },
];

function stateChip(t) {
  if (t.state === "open") return el("span", { class: "chip open" }, "open");
  const late = t.revision > 1;
  return el(
    "span",
    { class: "chip", title: reasonText(t.reason) },
    late ? `revision ${t.revision}` : "finished",
  );
}

function row(t, longest) {
  const bar = el("span", { class: "bar" });
  bar.style.width = `${Math.max(1, Math.round((Number(big(t.durationNanos)) / longest) * 100))}%`;
  const start = big(t.startTimeUnixNano);
  const title = t.rootName
    ? [el("span", { class: "service" }, t.rootService), " ", el("span", { class: "span-name" }, t.rootName)]
    : `${t.traceId.slice(0, 8)}…, ${t.state === "open" ? "its root span has not come yet" : "without a root span"}`;
  return el(
    "tr",
    { "data-trace": t.traceId },
    el(
      "td",
      { class: "when" },
      el(
        "time",
        { datetime: new Date(Number(start / 1000000n)).toJSON(), title: time(start) },
        shortTime(start),
      ),
    ),
    el(
      "td",
      { class: "name" },
      el("a", { href: `/trace/${t.traceId}` }, title),
      el("span", { class: "small" }, shortTime(start), " ", t.state === "open" && stateChip(t)),
    ),
    el(
      "td",
      { class: "number" },
      duration(big(t.durationNanos)),
      el("span", { class: "gauge", "aria-hidden": "true" }, bar),
    ),
    el("td", { class: "number" }, t.spanCount.toLocaleString("en")),
    el(
      "td",
      { class: "number" },
      t.errorCount > 0
        ? el("span", { class: "chip bad" }, t.errorCount.toLocaleString("en"))
        : el("span", { class: "soft" }, "0"),
    ),
    el("td", { class: "number extra" }, String(t.serviceCount)),
    el("td", { class: "extra" }, stateChip(t)),
  );
}

// A table that keeps its rows (and so the focus) while traces come in.
function traceTable() {
  const body = el("tbody");
  const rows = new Map(); // trace id to what its row shows
  let traces = [];
  let sorted = { column: COLUMNS[0], order: -1 };

  const heads = COLUMNS.map((column) =>
    el(
      "th",
      { scope: "col", class: column.class },
      el(
        "button",
        {
          type: "button",
          class: "sort",
          onclick: () => {
            sorted = { column, order: sorted.column === column ? -sorted.order : column.order };
            draw();
          },
        },
        column.title,
      ),
    ),
  );

  function draw() {
    const { column, order } = sorted;
    heads.forEach((head, i) => {
      if (COLUMNS[i] === column) head.setAttribute("aria-sort", order > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    const list = traces
      .map((t) => ({ t, key: column.key(t) }))
      .sort((a, b) => (a.key < b.key ? -order : a.key > b.key ? order : 0))
      .map(({ t }) => t);
    const longest = Math.max(1, ...list.map((t) => Number(big(t.durationNanos))));
    let at = body.firstChild;
    const kept = new Set(list.map((t) => t.traceId));
    for (const [id, { node }] of rows) {
      if (kept.has(id)) continue;
      if (at === node) at = node.nextSibling;
      node.remove();
      rows.delete(id);
    }
    for (const t of list) {
      const shows = `${JSON.stringify(t)} ${longest}`;
      const old = rows.get(t.traceId);
      let node = old?.node;
      if (old?.shows !== shows) {
        node = row(t, longest);
        if (old) {
          const focused = old.node.contains(document.activeElement);
          if (at === old.node) at = node;
          old.node.replaceWith(node);
          if (focused) node.querySelector("a").focus();
        }
        rows.set(t.traceId, { node, shows });
      }
      if (node === at) at = at.nextSibling;
      else body.insertBefore(node, at);
    }
  }
  return {
    node: el("table", { class: "traces" }, el("thead", {}, el("tr", {}, heads)), body),
    update(list) {
      traces = list;
      draw();
    },
  };
}

// --- the page ---

export async function showSearch(main, signal) {
  let filters = fromAddress(location.search);
  let news = 0; // counts searches: an answer to an earlier one is dropped
  const heading = el("h1", {});
  const summary = el("p", { class: "soft", role: "status" });
  const results = el("section", { "aria-label": "Results" });
  const table = traceTable();
  const guide = sendGuide();
  const { form, refresh: refreshNames } = filterForm(filters, (wanted) => {
    history.pushState(null, "", toAddress(wanted));
    filters = fromAddress(location.search);
    say();
    update();
  });
  const wide = matchMedia("(min-width: 48rem)");
  const fold = el(
    "details",
    { class: "fold-filters", open: wide.matches || isNarrowed(filters) },
    el("summary", {}, "Filter"),
    form,
  );
  wide.addEventListener(
    "change",
    () => {
      if (wide.matches) fold.open = true;
    },
    { signal },
  );

  function say() {
    const narrowed = isNarrowed(filters);
    heading.textContent = narrowed ? "Traces found" : "Recent traces";
    document.title = `${heading.textContent} – Spangate`;
  }

  async function nothing() {
    const hours =
      LOOKBACKS.find(([value]) => value === filters.lookback)?.[1] || `${filters.lookback} minutes`;
    summary.textContent = "";
    if (isNarrowed(filters)) {
      replace(
        results,
        note(
          "",
          "No trace matches. One span must meet all conditions. ",
          el("a", { href: "/" }, "Show all recent traces"),
        ),
      );
      return;
    }
    const status = await api.status();
    const waiting = status.spans.accepted === 0 && status.spans.replayed === 0;
    guide.update(status);
    if (results.firstChild?.dataset.waiting === String(waiting) && results.contains(guide.node)) return;
    const said = waiting
      ? note("", "Nothing has been received yet. This list fills by itself.")
      : note(
          "",
          `No trace began in the last ${hours}. `,
          el("a", { href: "/search?lookback=43200" }, "Look at 30 days"),
        );
    said.dataset.waiting = String(waiting);
    replace(results, said, guide.node);
  }

  async function update() {
    const mine = ++news;
    try {
      const answer = await api.traces(toQuery(filters));
      if (signal.aborted || mine !== news) return;
      if (answer.traces.length === 0) {
        await nothing();
        return;
      }
      table.update(answer.traces);
      const more = answer.truncated ? "; there are more: narrow the search or allow more" : "";
      const text = `${count(answer.traces.length, "trace")}${more}`;
      if (summary.textContent !== text) summary.textContent = text;
      if (!results.contains(table.node)) replace(results, table.node);
    } catch (error) {
      if (signal.aborted || mine !== news) return;
      summary.textContent = "";
      if (results.textContent !== `The search failed: ${error.message}.`)
        replace(results, note("bad", `The search failed: ${error.message}.`));
    }
  }

  say();
  replace(main, el("div", { class: "head" }, heading, summary), fold, results);
  refreshNames().catch(() => {});
  await api.poll(
    async () => {
      await update();
      await refreshNames().catch(() => {}); // the list says it when the gateway does not answer
    },
    () => (results.contains(table.node) ? 2000 : 800),
    signal,
  );
}
