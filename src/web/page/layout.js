// layout.js - spans as a tree over time: who hangs below whom, from when to when.

// What was sent as OTLP/JSON, as one list of spans with their resource and scope at hand.
export function flatten(resourceSpans, serviceOf, big) {
  const spans = [];
  for (const rs of resourceSpans || []) {
    const service = serviceOf(rs.resource) || "unknown service";
    for (const ss of rs.scopeSpans || []) {
      for (const raw of ss.spans || []) {
        const start = big(raw.startTimeUnixNano);
        const end = big(raw.endTimeUnixNano);
        spans.push({
          raw,
          service,
          resource: rs.resource || {},
          scope: ss.scope || {},
          // Without a start it hangs where it ends, without an end it has no length.
          start: start || end,
          end: end > start ? end : start || end,
          error: raw.status?.code === 2,
          name: raw.name || "unnamed span",
        });
      }
    }
  }
  return spans;
}

const byStart = (a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0);

// Spans in the order of the tree, children by start; sets parent, children, depth, orphan and circle. A span whose
// parent is not here hangs from the top. So does one of each circle of parents, which no walk from the top
// would reach.
export function arrange(spans) {
  const byId = new Map();
  for (const span of spans) {
    Object.assign(span, { parent: undefined, children: [], depth: 0, orphan: false, circle: false });
    if (!byId.has(span.raw.spanId)) byId.set(span.raw.spanId, span);
  }
  const tops = [];
  for (const span of spans) {
    const parent = byId.get(span.raw.parentSpanId);
    if (parent && parent !== span) {
      span.parent = parent;
      parent.children.push(span);
    } else {
      span.orphan = Boolean(span.raw.parentSpanId);
      span.circle = parent === span;
      tops.push(span);
    }
  }
  const rows = [];
  const seen = new Set();
  const walk = (top) => {
    const stack = [top];
    while (stack.length > 0) {
      const span = stack.pop();
      if (seen.has(span)) continue;
      seen.add(span);
      rows.push(span);
      span.depth = span === top ? 0 : span.parent.depth + 1;
      span.children.sort(byStart);
      for (let i = span.children.length - 1; i >= 0; i--) stack.push(span.children[i]);
    }
  };
  tops.sort(byStart).forEach(walk);
  for (const span of [...spans].sort(byStart)) {
    if (seen.has(span)) continue;
    span.parent.children.splice(span.parent.children.indexOf(span), 1);
    span.parent = undefined;
    span.orphan = true;
    span.circle = true;
    walk(span);
  }
  return rows;
}

// From the first start to the last end; spans without any time do not count.
export function extent(spans) {
  let begin;
  let finish;
  for (const span of spans) {
    if (span.start === 0n) continue;
    if (begin === undefined || span.start < begin) begin = span.start;
    if (finish === undefined || span.end > finish) finish = span.end;
  }
  return { begin: begin ?? 0n, finish: finish ?? 0n };
}

// How long none of its children was at work.
export function selfTime(span) {
  let free = span.end - span.start;
  let covered = span.start;
  for (const child of [...span.children].sort(byStart)) {
    const from = child.start > covered ? child.start : covered;
    const to = child.end < span.end ? child.end : span.end;
    if (to > from) {
      free -= to - from;
      covered = to;
    }
  }
  return free;
}
