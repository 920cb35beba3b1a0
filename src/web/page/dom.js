// dom.js - building elements. Text is only ever set as text, so nothing a span says becomes markup.

// el("a", {class: "x", href: "/", onclick: fn}, child, "text", …): attributes, listeners, children.
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...present(children));
  return node;
}

function present(children) {
  return children.flat(Infinity).filter((c) => c !== undefined && c !== null && c !== false);
}

export function replace(node, ...children) {
  node.replaceChildren(...present(children));
}

export function note(kind, ...children) {
  return el("p", { class: `note ${kind}`.trim(), role: kind === "bad" ? "alert" : undefined }, ...children);
}

export function button(label, onclick, more = {}) {
  return el("button", { type: "button", onclick, ...more }, label);
}

async function copy(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  // Browsers offer the clipboard on https and localhost only; this older way works elsewhere too.
  const field = el("textarea", { class: "skip", readonly: true });
  field.value = text;
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  if (!done) throw new Error("refused");
}

// A button that copies what text() gives at that moment, and says so.
export function copyButton(label, text, more = {}) {
  const node = button(
    label,
    async () => {
      let said = "Copied";
      try {
        await copy(text());
      } catch {
        said = "Copying is not allowed here";
      }
      node.textContent = said;
      setTimeout(() => {
        node.textContent = label;
      }, 1500);
    },
    more,
  );
  return node;
}
