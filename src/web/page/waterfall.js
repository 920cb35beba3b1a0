// waterfall.js - the spans of a trace as a tree over time. Only the visible rows are in the document, so
// that a hundred thousand spans scroll as well as ten.
import { button, el, replace } from "./dom.js";
import { anyValue, big, count, duration } from "./format.js";
import { extent } from "./layout.js";

const ROW = 26; // pixels, as in style.css
const MARGIN = 12; // rows drawn beyond the visible ones
const INDENT = 14; // pixels a level
const INDENT_MAX = 168; // of the deepest level, less in narrow windows: the name stays readable
const EVENTS_MAX = 50; // marks in a row
const COLORS = 10;
const UNCOVERED = 0.54; // of the window's height above the span when it lies over the page, as in style.css

// --- looking for text ---

function textOf(span) {
  if (span.text === undefined) {
    const values = (list) => (list || []).map((kv) => `${kv.key}=${anyValue(kv.value)}`);
    const { raw } = span;
    span.text = [
      span.service,
      span.name,
      raw.spanId,
      raw.status?.message || "",
      ...values(raw.attributes),
      ...(raw.events || []).flatMap((e) => [e.name || "", ...values(e.attributes)]),
    ]
      .join("\n")
      .toLowerCase();
  }
  return span.text;
}

// --- what one row shows ---

// What the row shows by place, colour or shape only.
function remarks(span, folded) {
  const parts = [`level ${span.depth + 1}`];
  if (span.error) parts.push("error");
  if (span.children.length > 0)
    parts.push(`${count(span.children.length, "child span")}${folded ? ", folded" : ""}`);
  if (span.circle) parts.push("its parents form a circle");
  else if (span.orphan) parts.push("its parent is not in this trace");
  return parts.join(", ");
}

// scale: {begin, share(ns), step, color(service)}
function rowNode(span, index, folded, scale, on) {
  const indent = span.depth * scale.step;
  const said = remarks(span, folded);
  const guides = el("span", { class: "guides" });
  guides.style.width = `${indent}px`;
  guides.style.backgroundSize = `${Math.max(scale.step, 3)}px 100%`;
  const fold = el(
    "span",
    { class: "fold", "aria-hidden": "true" },
    span.children.length > 0 ? (folded ? "▸" : "▾") : "",
  );
  if (span.children.length > 0) {
    fold.classList.add("can");
    fold.addEventListener("click", (event) => {
      event.stopPropagation();
      on.toggle(span);
    });
  }
  const bar = el("span", { class: `span ${scale.color(span.service)}` });
  bar.style.left = `${scale.share(span.start - scale.begin)}%`;
  bar.style.width = `${scale.share(span.end - span.start)}%`;
  const events = (span.raw.events || []).slice(0, EVENTS_MAX).map((event) => {
    const at = big(event.timeUnixNano);
    const mark = el("span", {
      class: event.name === "exception" ? "event bad" : "event",
      title: event.name || "event",
    });
    mark.style.left = `${Math.min(100, Math.max(0, scale.share(at - scale.begin)))}%`;
    return at > 0n && mark;
  });
  const node = el(
    "div",
    {
      class: span.error ? "row error" : "row",
      role: "option",
      id: `row-${index}`,
      "data-span": span.raw.spanId,
      "aria-selected": "false",
      title: `${span.service}: ${span.name}, ${said}`,
    },
    el(
      "span",
      { class: "label" },
      guides,
      fold,
      el("span", { class: `tint ${scale.color(span.service)}` }),
      span.error && el("span", { class: "mark", "aria-hidden": "true" }, "!"),
      span.orphan && el("span", { class: "mark orphan", "aria-hidden": "true" }, "?"),
      el("span", { class: "service" }, span.service),
      el("span", { class: "span-name" }, span.name),
    ),
    el("span", { class: "took" }, duration(span.end - span.start)),
    el("span", { class: "track" }, bar, events),
    el("span", { class: "unseen" }, said),
  );
  node.style.top = `${index * ROW}px`;
  node.addEventListener("click", () => on.select(index));
  return node;
}

// Colours by service, the one that appears first first.
function legend(all) {
  const known = new Map();
  for (const { service } of all) {
    const of = known.get(service) || { color: `c${known.size % COLORS}`, spans: 0 };
    of.spans += 1;
    known.set(service, of);
  }
  const node = el(
    "ul",
    { class: "legend", "aria-label": "Services" },
    [...known]
      .slice(0, 30)
      .map(([service, { color, spans }]) =>
        el(
          "li",
          {},
          el("span", { class: `tint ${color}` }),
          el("span", { class: "span-name" }, service),
          " ",
          el("span", { class: "soft" }, spans.toLocaleString("en")),
        ),
      ),
  );
  if (known.size > 30) node.append(el("li", { class: "soft" }, `and ${known.size - 30} more`));
  return { node, color: (service) => known.get(service).color };
}

// --- the waterfall ---

// all: what arrange() gave. on: select(span) when somebody chooses one, enter() to go to what is said about
// it, leave() to come back.
export function waterfall(all, on) {
  const { begin, finish } = extent(all);
  const total = finish > begin ? finish - begin : 1n;
  const deepest = all.reduce((max, s) => Math.max(max, s.depth), 1);
  const services = legend(all);
  const scale = {
    begin,
    share: (ns) => (Number(ns) / Number(total)) * 100,
    step: Math.min(INDENT, Math.min(INDENT_MAX, innerWidth * 0.15) / deepest),
    color: services.color,
  };
  const folded = new Set();
  const found = new Set();
  let drawn = new Map(); // index to node
  let rows = all;
  let selected; // a span

  const list = el("div", { class: "rows", role: "listbox", tabindex: "0", "aria-label": "Spans" });
  const ticks = el(
    "div",
    { class: "ticks", "aria-hidden": "true" },
    [0n, 1n, 2n, 3n, 4n].map((i) => el("span", {}, i === 0n ? "0" : duration((total * i) / 4n))),
  );
  const scroller = el(
    "div",
    { class: "fall" },
    el(
      "div",
      { class: "ruler" },
      el("span", {}, "Service and operation"),
      el("span", { class: "took" }, "Duration"),
      ticks,
    ),
    list,
  );

  const shownRows = () => Math.max(1, Math.floor((scroller.clientHeight - 2 * ROW) / ROW));
  const at = () => rows.indexOf(selected);

  function mark(index, node) {
    const chosen = rows[index] === selected;
    node.setAttribute("aria-selected", String(chosen));
    node.classList.toggle("found", found.has(rows[index]));
    node.classList.toggle("dim", found.size > 0 && !found.has(rows[index]));
  }

  // Take rows out and put rows in so that what is in view is there, and the chosen one (which the list box
  // names as its active one).
  function draw() {
    const top = Math.max(0, Math.floor(scroller.scrollTop / ROW) - MARGIN);
    const bottom = Math.min(
      rows.length,
      Math.ceil((scroller.scrollTop + scroller.clientHeight) / ROW) + MARGIN,
    );
    const chosen = at();
    const wanted = (index) => (index >= top && index < bottom) || index === chosen;
    for (const [index, node] of drawn) {
      if (wanted(index)) continue;
      node.remove();
      drawn.delete(index);
    }
    const put = (index) => {
      if (!drawn.has(index)) {
        const node = rowNode(rows[index], index, folded.has(rows[index]), scale, { toggle, select: choose });
        node.setAttribute("aria-posinset", String(index + 1));
        node.setAttribute("aria-setsize", String(rows.length));
        drawn.set(index, node);
        list.append(node);
      }
      mark(index, drawn.get(index));
    };
    for (let index = top; index < bottom; index++) put(index);
    if (chosen >= 0) {
      put(chosen);
      list.setAttribute("aria-activedescendant", `row-${chosen}`);
    } else {
      list.removeAttribute("aria-activedescendant");
    }
  }

  // After folding: which rows there are.
  function refold() {
    let hiddenBelow = Infinity;
    rows = all.filter((span) => {
      if (span.depth > hiddenBelow) return false;
      hiddenBelow = folded.has(span) ? span.depth : Infinity;
      return true;
    });
    const before = selected;
    while (selected && !rows.includes(selected)) selected = selected.parent;
    drawn.clear();
    replace(list);
    list.style.height = `${rows.length * ROW}px`;
    draw();
    if (selected !== before) on.select(selected);
  }

  function reveal(index) {
    const above = index * ROW;
    const room = scroller.clientHeight - 2 * ROW; // without the ruler
    if (above < scroller.scrollTop) scroller.scrollTop = above;
    else if (above > scroller.scrollTop + room) scroller.scrollTop = above - room;
  }

  function choose(index) {
    if (index < 0 || index >= rows.length) return;
    selected = rows[index];
    reveal(index);
    draw();
    on.select(selected);
    // On narrow windows the span covers the lower half.
    requestAnimationFrame(() => {
      const row = drawn.get(at());
      if (row && row.getBoundingClientRect().bottom > innerHeight * UNCOVERED)
        scroller.scrollIntoView({ block: "start" });
      reveal(at());
      draw();
    });
  }

  // Choose a span wherever it is folded away.
  function chooseSpan(span) {
    let hidden = false;
    for (let up = span.parent; up; up = up.parent) hidden = folded.delete(up) || hidden;
    if (hidden) refold();
    choose(rows.indexOf(span));
  }

  function toggle(span) {
    if (folded.has(span)) folded.delete(span);
    else folded.add(span);
    refold();
  }

  // The next span after the chosen one, in the order of the whole tree, for which fits(span).
  function step(by, fits) {
    const from = selected ? all.indexOf(selected) : by > 0 ? -1 : 0;
    for (let i = 1; i <= all.length; i++) {
      const span = all[(from + by * i + all.length * 2) % all.length];
      if (fits(span)) {
        chooseSpan(span);
        return;
      }
    }
  }
  const nextError = (by) => step(by, (span) => span.error);

  function foldAll() {
    for (const span of all) if (span.children.length > 0 && span.depth > 0) folded.add(span);
    refold();
  }
  function unfoldAll() {
    folded.clear();
    refold();
  }
  function inward() {
    if (!selected) choose(0);
    else if (folded.has(selected)) toggle(selected);
    else if (selected.children.length > 0) choose(at() + 1);
  }
  function outward() {
    if (selected && selected.children.length > 0 && !folded.has(selected)) toggle(selected);
    else if (selected?.parent) choose(rows.indexOf(selected.parent));
  }
  const move = (by) => choose(selected ? Math.min(rows.length - 1, Math.max(0, at() + by)) : 0);

  const keys = {
    ArrowDown: () => move(1),
    j: () => move(1),
    ArrowUp: () => move(-1),
    k: () => move(-1),
    PageDown: () => move(shownRows()),
    PageUp: () => move(-shownRows()),
    Home: () => choose(0),
    End: () => choose(rows.length - 1),
    ArrowRight: inward,
    l: inward,
    ArrowLeft: outward,
    h: outward,
    e: () => nextError(1),
    E: () => nextError(-1),
    "[": foldAll,
    "]": unfoldAll,
    Enter: () => on.enter(),
    " ": () => on.enter(),
    Escape: () => on.leave(),
  };
  list.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  });

  const hits = el("span", { class: "soft", role: "status" });
  const finder = el("input", {
    type: "search",
    "aria-label": "Find in this trace",
    placeholder: "Find in this trace",
    spellcheck: "false",
  });
  finder.addEventListener("input", () => {
    const text = finder.value.trim().toLowerCase();
    found.clear();
    if (text) for (const span of all) if (textOf(span).includes(text)) found.add(span);
    hits.textContent = text ? `${count(found.size, "span")} found` : "";
    draw();
  });
  finder.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || found.size === 0) return;
    event.preventDefault();
    step(event.shiftKey ? -1 : 1, (span) => found.has(span));
  });

  const nested = all.some((s) => s.depth > 0 && s.children.length > 0);
  const tools = [
    finder,
    hits,
    all.some((s) => s.error) && button("Next error", () => nextError(1), { title: "Key: e, back: E" }),
    nested && button("Fold", foldAll, { title: "Key: [" }),
    nested && button("Unfold", unfoldAll, { title: "Key: ]" }),
    el("span", { class: "soft keys" }, "Keys in the list: ↑ ↓ move, ← → fold, Enter details, e next error"),
  ];
  let asked = false;
  scroller.addEventListener(
    "scroll",
    () => {
      if (asked) return;
      asked = true;
      requestAnimationFrame(() => {
        asked = false;
        draw();
      });
    },
    { passive: true },
  );
  new ResizeObserver(() => draw()).observe(scroller);

  return {
    node: el("div", { class: "fall-box" }, services.node, scroller),
    tools,
    focus: () => list.focus({ preventScroll: true }),
    // Where the reader is, for a later state of the same trace.
    place: () => ({
      scrollTop: scroller.scrollTop,
      folded: new Set([...folded].map((s) => s.raw.spanId)),
      text: finder.value,
    }),
    start(spanId, place) {
      if (place) {
        for (const span of all)
          if (place.folded.has(span.raw.spanId) && span.children.length > 0) folded.add(span);
        finder.value = place.text;
      }
      refold();
      if (place) scroller.scrollTop = place.scrollTop;
      if (finder.value) finder.dispatchEvent(new Event("input"));
      const span = spanId && all.find((s) => s.raw.spanId === spanId);
      if (!span) return;
      if (place) {
        selected = rows.includes(span) ? span : undefined;
        draw();
        on.select(span);
      } else {
        chooseSpan(span);
        const index = at();
        if (index > shownRows()) scroller.scrollTop = index * ROW - scroller.clientHeight / 2;
        draw();
      }
    },
  };
}
