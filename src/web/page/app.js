// app.js - which page the address asks for, and the line that says how the gateway is doing.
import * as api from "./api.js";
import { el, note, replace } from "./dom.js";
import { count } from "./format.js";
import { showSearch } from "./search.js";
import { showSetup } from "./setup.js";
import { showTrace, traceIdOf } from "./trace.js";

const main = document.getElementById("main");
let visit = new AbortController();

function pageOf(path) {
  if (path.startsWith("/trace/")) return ["trace", showTrace];
  return path === "/setup" ? ["setup", showSetup] : ["search", showSearch];
}

// moved: somebody came here from another page of ours, so that is where the keyboard goes on.
async function show(moved) {
  visit.abort();
  visit = new AbortController();
  const { signal } = visit;
  const [name, page] = pageOf(location.pathname);
  for (const link of document.querySelectorAll("[data-nav]")) {
    if (link.dataset.nav === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  try {
    await page(main, signal);
  } catch (error) {
    if (!signal.aborted) replace(main, note("bad", `This cannot be shown: ${error.message}.`));
  }
  if (moved && !signal.aborted) {
    scrollTo(0, 0);
    (main.querySelector("[role=listbox]") || main).focus({ preventScroll: true });
  }
}

function navigate(address) {
  history.pushState(null, "", address);
  show(true);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='/']");
  if (!link || event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  if (link.hasAttribute("download")) return;
  event.preventDefault();
  navigate(link.getAttribute("href"));
});

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the part of the address after # belongs to the page that is shown
  main.focus();
});

document.getElementById("open-trace").addEventListener("submit", (event) => {
  event.preventDefault();
  const id = new FormData(event.target).get("id").trim();
  if (id) navigate(`/trace/${encodeURIComponent(traceIdOf(id) || id)}`);
});

const statusLine = document.getElementById("status");
let problems = "";

function showStatus(figures, wrong) {
  const now = wrong.join(" · ");
  const dot = el("span", { class: now ? "dot bad" : "dot", "aria-hidden": "true" });
  if (now && now === problems) {
    statusLine.lastChild.textContent = figures; // not again: it is read aloud when it changes
    return;
  }
  problems = now;
  replace(
    statusLine,
    dot,
    now && el("strong", { role: "alert" }, now),
    now && figures && " · ",
    el("span", {}, figures),
  );
}

async function refreshStatus() {
  try {
    const status = await api.status();
    const { accepted, refused } = status.spans;
    const wrong = status.exporters.filter((e) => e.lastError).map((e) => `${e.name}: ${e.lastError}`);
    if (!status.ready) wrong.unshift(`not ready: ${status.reason}`);
    showStatus(
      `${count(accepted, "span")} received${refused > 0 ? `, ${refused.toLocaleString("en")} refused` : ""}`,
      wrong,
    );
  } catch {
    showStatus("", ["The gateway does not answer"]);
  }
}

addEventListener("popstate", () => show(false));
api.poll(refreshStatus, () => 3000, new AbortController().signal);
show(false);
