// The health of the gateway: its state, the reasons, and a table of the parts.

import { element, fill, id, line, setClass, setText, timeOf } from "/assets/dom.js";
import { duration, moment } from "/assets/format.js";
import { runbookOf, states, statuses } from "/assets/words.js";

const titles = {
  degraded: "Degraded: requests are served, but",
  starting: "Starting: not ready for traffic yet",
  draining: "Draining: this replica wants no new traffic",
  unready: "Not ready: requests are refused, because",
};

// showState shows the state of the gateway in the page and in the title of its tab. It
// is announced only when it changes.
export function showState(name) {
  const node = id("status");
  node.dataset.status = name;
  setText(node, statuses[name] ?? name);
  document.title = name === "ready" ? "osgate" : `${statuses[name] ?? name} – osgate`;
}

export function showHealth(health) {
  showState(health.status);
  showReasons(health);
  setText(id("summary"), health.reasons.length ? "" : health.summary); // the reasons contain it, with details
  fill("parts", health.parts, { key: (p) => p.part, make: makePart, update: writePart, empty: "No part has been used yet." });
}

function showReasons(health) {
  const box = id("health");
  box.hidden = health.status === "ready" && health.reasons.length === 0;
  setText(id("health-title"), titles[health.status] ?? "Note");
  const text = JSON.stringify(health.reasons);
  if (box.dataset.shown === text) return;
  box.dataset.shown = text;
  id("reasons").replaceChildren(...health.reasons.map((reason) => {
    const item = element("li");
    item.append(element("b", "", partName(reason.part)), reason.detail, " ", element("small", "runbook", `What to do: ${runbookOf(reason.part)}`));
    return item;
  }));
}

// partName formats the name of a part: "Region us/us-east-1".
const partName = (part) => part.charAt(0).toUpperCase() + part.slice(1);

function makePart(p) {
  const row = line(partName(p.part), "", 6, false);
  setClass(row.cells[1], "named");
  setClass(row.cells[2], "across");
  const state = element("span", "state");
  state.append(Object.assign(element("span", "sign"), { ariaHidden: "true" }), element("span"));
  row.cells[1].replaceChildren(state, element("small"));
  return row;
}

function writePart(row, p) {
  const [word, sign] = states[p.state] ?? [p.state, "●"];
  const [state, since] = row.cells[1].children;
  state.dataset.state = p.state;
  setText(state.children[0], sign);
  setText(state.children[1], word);
  showSince(since, p.since);
  setText(row.cells[2], p.detail);
  const times = p.latencyMs;
  [times?.p50, times?.p95, times?.p99].forEach((ms, i) => {
    setText(row.cells[i + 3], duration(ms));
    setClass(row.cells[i + 3], times ? "n" : "n none");
  });
  setText(row.cells[6], p.breaker ?? "–");
  setClass(row.cells[6], `n ${{ open: "bad", "half-open": "warn", closed: "" }[p.breaker] ?? "none"}`);
}

// showSince shows since when a part has been in its state, if that is known.
function showSince(node, since) {
  if (node.dataset.shown === since) return;
  if (since === undefined) return node.replaceChildren();
  node.dataset.shown = since;
  node.replaceChildren("since ", timeOf(since, moment(since)));
}
