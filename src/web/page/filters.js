// filters.js - a search as the form, the address and the API spell it.

// What the form shows when nobody has asked for anything; also the list of its fields.
export const DEFAULTS = {
  service: "",
  operation: "",
  tags: "",
  errors: "",
  minDuration: "",
  maxDuration: "",
  lookback: "60",
  limit: "100",
};

export function fromAddress(search) {
  const query = new URLSearchParams(search);
  return Object.fromEntries(
    Object.entries(DEFAULTS).map(([name, value]) => [name, query.get(name) || value]),
  );
}

export function toAddress(filters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(DEFAULTS)) {
    const wanted = (filters[name] || "").trim();
    if (wanted && wanted !== value) query.set(name, wanted);
  }
  const text = query.toString();
  return text ? `/search?${text}` : "/";
}

// Whether fewer traces can be found than were received in that time.
export function isNarrowed(filters) {
  return Object.entries(DEFAULTS).some(
    ([name, value]) => name !== "limit" && name !== "lookback" && filters[name] !== value,
  );
}

const WORD = /\s*("(?:[^"\\]|\\.)*"|[^\s"=]+)=("(?:[^"\\]|\\.)*"|[^\s"]*)(?=\s|$)/y;

const unquote = (word) => (word.startsWith('"') ? word.slice(1, -1).replace(/\\(.)/gs, "$1") : word);
const quote = (word, plain) => (plain.test(word) ? word : `"${word.replace(/["\\]/g, "\\$&")}"`);

// 'key=value "a key"="a value"' as {key: value}.
export function parseTags(text) {
  const tags = new Map();
  WORD.lastIndex = 0;
  let at = 0;
  while (text.slice(at).trim()) {
    const match = WORD.exec(text);
    if (!match)
      throw new Error(
        `attributes are written key=value or key="a value", and this is not: ${text.slice(at).trim()}`,
      );
    tags.set(unquote(match[1]), unquote(match[2]));
    at = WORD.lastIndex;
  }
  return Object.fromEntries(tags);
}

// One attribute as parseTags() reads it.
export function writeTag(key, value) {
  return `${quote(key, /^[^\s"=\\]+$/)}=${quote(value, /^[^\s"\\]+$/)}`;
}

// The parameters of /api/v1/traces.
export function toQuery(filters) {
  const query = new URLSearchParams();
  const tags = parseTags(filters.tags);
  const minutes = BigInt(/^\d{1,6}$/.test(filters.lookback) ? filters.lookback : DEFAULTS.lookback);
  const now = BigInt(Date.now());

  for (const name of ["service", "operation", "minDuration", "maxDuration", "limit"]) {
    if (filters[name]) query.set(name, filters[name]);
  }
  if (filters.errors) tags.error = "true";
  if (Object.keys(tags).length > 0) query.set("tags", JSON.stringify(tags));
  query.set("start", `${(now - minutes * 60000n) * 1000000n}`);
  query.set("end", `${(now + 60000n) * 1000000n}`); // clocks of senders may run ahead
  return query;
}
