// The configuration: every variable with its value, where that comes from, its default
// and its meaning.

import { element, fill, id, setText } from "/assets/dom.js";
import { current, whenShown } from "/assets/router.js";

let all = [];

function matches(v) {
  const text = id("settings-filter").value.trim().toLowerCase();
  if (text === "" && !id("settings-all").checked && (v.source ?? "default") === "default" && !v.problem) return false;
  return [v.name, v.value, v.description].some((field) => field.toLowerCase().includes(text));
}

function makeRow(v) {
  const row = element("tr");
  const head = element("th");
  head.scope = "row";
  head.append(element("code", "", v.name));
  const value = element("td", "named value");
  const rest = [element("td", "named", v.source ?? ""), element("td", "named value", v.default || "–"), element("td", "across", v.description)];
  value.append(element("code", "", v.value === "" ? "–" : v.value));
  if (v.problem) value.append(element("small", "bad", v.problem));
  row.append(head, value, ...rest);
  return row;
}

function show() {
  fill("settings", all.filter(matches), {
    key: (v) => JSON.stringify(v), make: makeRow, update: () => {}, most: 200,
    empty: id("settings-filter").value ? "No variable matches." : "Every variable has its default.",
  });
}

async function load() {
  if (current().name !== "settings") return;
  try {
    const answer = await fetch("/config", { signal: AbortSignal.timeout(5000) });
    all = await answer.json();
    setText(id("settings-problem"), "");
  } catch {
    setText(id("settings-problem"), "The configuration could not be read.");
  }
  show();
}

export function prepareSettings() {
  id("settings-filter").addEventListener("input", show);
  id("settings-all").addEventListener("change", show);
  whenShown(load);
}
