// format.js - times, durations and attribute values as text. Times are BigInt nanoseconds.

const UNITS = [
  ["ns", 1],
  ["µs", 1e3],
  ["ms", 1e6],
  ["s", 1e9],
];
const DEPTH_MAX = 64; // of arrays and maps in attribute values

// In the unit that reads best, with three digits: "1.52 ms".
export function duration(ns) {
  const seconds = Math.round(Number(ns) / 1e9);
  if (seconds >= 86400) return `${Math.floor(seconds / 86400)} d ${Math.floor(seconds / 3600) % 24} h`;
  if (seconds >= 3600) return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
  if (seconds >= 60) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  // 999.9 µs would round to 1000 µs: it is 1.00 ms.
  const [unit, size] = UNITS.findLast(([, s]) => Number(ns) >= s * 0.9995) || UNITS[0];
  const value = Number(ns) / size;
  return `${unit === "ns" || value >= 99.95 ? Math.round(value) : value.toPrecision(3)} ${unit}`;
}

const pad = (n, width = 2) => String(n).padStart(width, "0");

// Wall time in the reader's zone, to the millisecond.
export function time(ns) {
  const date = new Date(Number(ns / 1000000n));
  if (Number.isNaN(date.getTime())) return `${ns} ns since 1970`;
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${clock(date)}`;
}

// The same without the date when that is today.
export function shortTime(ns) {
  const date = new Date(Number(ns / 1000000n));
  return date.toDateString() === new Date().toDateString() ? clock(date) : time(ns);
}

function clock(date) {
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}.${pad(date.getMilliseconds(), 3)}`;
}

// The decimal text of a 64-bit number, 0 when it is none.
export function big(text) {
  return /^\d{1,20}$/.test(text) ? BigInt(text) : 0n;
}

// An OTLP/JSON AnyValue as text; arrays and maps as indented JSON.
export function anyValue(value) {
  const shown = plain(value, 0);
  return typeof shown === "object" && shown !== null ? JSON.stringify(shown, null, 2) : String(shown ?? "");
}

function plain(value, depth) {
  if (value === undefined || value === null || depth > DEPTH_MAX) return null;
  if ("stringValue" in value) return value.stringValue;
  if ("boolValue" in value) return value.boolValue;
  if ("intValue" in value) return String(value.intValue);
  if ("doubleValue" in value) return String(value.doubleValue);
  if ("bytesValue" in value) return `base64 ${value.bytesValue}`;
  if ("arrayValue" in value) return (value.arrayValue.values || []).map((v) => plain(v, depth + 1));
  if ("kvlistValue" in value) {
    return Object.fromEntries(
      (value.kvlistValue.values || []).map((kv) => [kv.key, plain(kv.value, depth + 1)]),
    );
  }
  return null;
}

// A part of an address; as it stands when its escapes are broken.
export function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function attribute(list, key) {
  const found = (list || []).find((kv) => kv.key === key);
  return found ? anyValue(found.value) : undefined;
}

export const KINDS = ["unspecified", "internal", "server", "client", "producer", "consumer"];
export const STATUSES = ["unset", "ok", "error"];

export function count(n, word) {
  return `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
}
