// api.js - the requests this page makes, and asking again and again while somebody looks.

async function get(path) {
  const response = await fetch(path, { headers: { Accept: "application/json" } });
  const text = await response.text();
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    body = undefined;
  }
  if (response.ok && body !== undefined) return body;
  const said = body?.error?.message ?? body?.error ?? body?.errors?.[0]?.msg;
  const error = new Error(
    typeof said === "string" && said ? said : `the gateway answered ${response.status}`,
  );
  error.status = response.status;
  throw error;
}

export const status = () => get("/api/v1/status");
export const services = async () => (await get("/api/services")).data || [];
export const operations = async (service) =>
  (await get(`/api/services/${encodeURIComponent(service)}/operations`)).data || [];
export const trace = (id) => get(`/api/v1/traces/${encodeURIComponent(id)}`);
export const traces = (query) => get(`/api/v1/traces?${query}`);

// Call work now and then again, period() milliseconds after it has ended, until signal says stop.
// Nothing is asked while the page is hidden; it catches up when it is shown again.
export function poll(work, period, signal) {
  let timer;
  let busy = false;
  const turn = async () => {
    if (busy || signal.aborted) return;
    clearTimeout(timer);
    busy = true;
    try {
      if (!document.hidden) await work();
    } finally {
      busy = false;
      if (!signal.aborted) timer = setTimeout(turn, period());
    }
  };
  document.addEventListener(
    "visibilitychange",
    () => {
      if (!document.hidden) turn();
    },
    { signal },
  );
  signal.addEventListener("abort", () => clearTimeout(timer));
  return turn();
}
