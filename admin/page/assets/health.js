// The health of the gateway: its state, the reasons, and a table of the parts.

import { element, fill, id, line, setClass, setNumber, setText, timeOf } from "/assets/dom.js";
import { big, duration, moment } from "/assets/format.js";
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
  const regions = health.parts.filter(isRegion);
  const rest = health.parts.filter((p) => !isRegion(p));
  fill("parts", rest, { key: (p) => p.part, make: (p) => makePart(partName(p.part), 6), update: writePart, empty: "No part has been used yet." });
  fill("regions", regions, { key: (p) => p.part, make: (p) => makePart(p.part.slice(region.length), 8), update: writeRegion, empty: "No request to Object Store yet." });
}

const region = "region "; // begins the name of a part that is a region

const isRegion = (p) => p.part.startsWith(region);

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

// makePart makes a row for a part: its name and so many cells.
function makePart(name, cells) {
  const row = line(name, "", cells, false);
  setClass(row.cells[1], "named");
  setClass(row.cells[2], "across");
  const state = element("span", "state");
  state.append(Object.assign(element("span", "sign"), { ariaHidden: "true" }), element("span"));
  row.cells[1].replaceChildren(state, element("small"));
  return row;
}

function writePart(row, p) {
  writeState(row, p);
  writeTimes(row, 3, p);
}

function writeRegion(row, p) {
  writeState(row, p);
  setNumber(row.cells[3], big(p.requests), p.requests === 0);
  setNumber(row.cells[4], big(p.errors), p.errors === 0, "bad");
  writeTimes(row, 5, p);
}

function writeState(row, p) {
  const [word, sign] = states[p.state] ?? [p.state, "●"];
  const [state, since] = row.cells[1].children;
  state.dataset.state = p.state;
  setText(state.children[0], sign);
  setText(state.children[1], word);
  showSince(since, p.since);
  setText(row.cells[2], p.detail);
}

// writeTimes writes the latency and the state of the breaker, from a cell on.
function writeTimes(row, first, p) {
  const times = p.latencyMs;
  [times?.p50, times?.p95, times?.p99].forEach((ms, i) => {
    setText(row.cells[first + i], duration(ms));
    setClass(row.cells[first + i], times ? "n" : "n none");
  });
  const breaker = row.cells[first + 3];
  setText(breaker, p.breaker ?? "–");
  setClass(breaker, `n ${{ open: "bad", "half-open": "warn", closed: "" }[p.breaker] ?? "none"}`);
}

// showSince shows since when a part has been in its state, if that is known.
function showSince(node, since) {
  if (node.dataset.shown === since) return;
  if (since === undefined) return node.replaceChildren();
  node.dataset.shown = since;
  node.replaceChildren("since ", timeOf(since, moment(since)));
}
