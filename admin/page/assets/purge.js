// The purge of the cache, with a dialog that asks for confirmation.

import { id, setText } from "/assets/dom.js";
import { clock, plural } from "/assets/format.js";

const timeout = 30000; // milliseconds
const dialog = id("purge");
const form = id("purge-form");

function readScope() {
  const all = form.elements.scope.value === "all";
  id("purge-place").disabled = all;
  setText(id("purge-go"), all ? "Purge everything" : "Purge this place");
}

function showProblem(text, field) {
  const label = field && form.elements[field]?.labels?.[0]?.textContent.trim();
  setText(id("purge-problem"), label ? `${label} ${text}` : text);
  for (const input of id("purge-place").querySelectorAll("input")) {
    if (input.name === field) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  }
  if (field && form.elements[field]) form.elements[field].focus();
}

async function purge() {
  const inputs = [...id("purge-place").querySelectorAll("input")];
  const all = form.elements.scope.value === "all";
  const missing = inputs.find((i) => !all && i.getAttribute("aria-required") && i.value === "");
  if (missing) return showProblem("is required, unless everything is purged.", missing.name);
  const place = Object.fromEntries(inputs.map((i) => [i.name, i.value]).filter(([, v]) => v !== ""));
  const what = all ? { all: true } : place;
  id("purge-go").disabled = true;
  try {
    const answer = await fetch("/cache/purge", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(what), signal: AbortSignal.timeout(timeout),
    });
    const body = await answer.json();
    if (!answer.ok) return showProblem(body.detail, body.field);
    dialog.close();
    setText(id("purged"), `Purged ${plural(body.purged, "cached answer", "cached answers")} here at ${clock(Date.now())}.`);
  } catch {
    showProblem("Gateway not reachable. It is not known whether the cache was purged.");
  } finally {
    id("purge-go").disabled = false;
  }
}

export function preparePurge() {
  id("purge-open").addEventListener("click", () => {
    form.reset();
    readScope();
    showProblem("");
    dialog.showModal();
  });
  id("purge-cancel").addEventListener("click", () => dialog.close());
  form.addEventListener("change", readScope);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    purge();
  });
}
