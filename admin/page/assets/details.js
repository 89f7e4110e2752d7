// The views of one client, one store and one refused request.

import { Chart } from "/assets/chart.js";
import { element, fill, id, line, setNumber, setText, timeOf } from "/assets/dom.js";
import { big, bytes, clock, duration, moment, percent, rate, whole } from "/assets/format.js";
import { clientLink, hasName, idOf, learn, link, nameOf, placeText, requestLink, storeLink } from "/assets/names.js";
import { current, whenShown } from "/assets/router.js";
import { Span } from "/assets/span.js";
import { codes } from "/assets/words.js";

const period = 2000; // milliseconds
let due = 0;
let shown = "";

const made = {};
const span = new Span(900, () => {
  for (const one of Object.values(made)) one.draw(true);
});
const perSecond = (n) => (n == null ? "–" : `${rate(n)}/s`);

function chart(name, title, options) {
  return made[name] ??= new Chart(id(name), {
    title, when: (time) => clock(time * 1000), style: "lines", span, step: 15, sync: "detail", text: perSecond, tick: (n) => `${n}/s`, empty: "no request", ...options,
  });
}

function times(trail) {
  const end = Date.parse(trail.end) / 1000;
  return trail.requests.map((_, i) => end - (trail.requests.length - 1 - i) * trail.step);
}

// about writes names and values; a value may be an element.
function about(name, pairs) {
  const list = id(`${name}-about`);
  const text = JSON.stringify(pairs.map(([n, v]) => [n, v?.textContent ?? v]));
  if (list.dataset.shown === text) return;
  list.dataset.shown = text;
  list.replaceChildren(...pairs.filter(([, v]) => v !== "" && v !== undefined && v !== null).map(([n, v]) => {
    const pair = element("div");
    const value = element("dd");
    value.append(v);
    pair.append(element("dt", "", n), value);
    return pair;
  }));
}

// copied makes an id with a button that copies it.
function copied(text) {
  const box = element("span", "copied");
  const button = element("button", "copy", "Copy");
  button.type = "button";
  button.setAttribute("aria-label", `Copy ${text}`);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      setText(button, "Copied");
    } catch { // not over plain HTTP from another machine
      getSelection().selectAllChildren(box.firstChild);
      setText(button, "Selected");
    }
  });
  box.append(idOf(text), " ", button);
  return box;
}

const quotaText = (c) => (c.quota === undefined ? "none" : `${whole.format(c.quota)} in ${c.period} s, ${c.over ? "over quota" : `${whole.format(c.remaining)} of ${whole.format(c.burst)} left at once`}`);

function tallies(name, list, texts = {}) {
  fill(name, list, {
    key: (t) => t.name, make: (t) => line(t.name, texts[t.name] ?? "", 1, false),
    update: (row, t) => setNumber(row.cells[1], big(t.count), false), empty: "None.",
  });
}

function linkedRow(href, text, small) {
  const row = line("", "", 2, false);
  row.cells[0].append(link(href, text));
  if (small) row.cells[0].append(element("small", "", small));
  return row;
}

const counted = (row, c) => {
  setNumber(row.cells[1], big(c.requests), false);
  setNumber(row.cells[2], percent(c.hits, c.requests), c.hits === 0);
};

function showClient(d) {
  setText(id("client-name"), nameOf(d.principal));
  about("client", [
    ["Id", copied(d.principal)], ["Now", `${rate(d.perSecond)}/s, ${big(d.requests)} in the last minute, ${big(d.refused)} refused`], ["Quota", quotaText(d)],
    ["Policy rule that decided last", d.rule ?? ""], ["Counted since", moment(d.trail.since)], ["Bodies in / out", `${bytes(d.trail.received)} / ${bytes(d.trail.sent)}`],
  ]);
  const at = times(d.trail);
  chart("client-rate", "Requests per second").show(at, [
    { key: "all", name: "All", color: "c-forwarded", values: d.trail.requests }, { key: "refused", name: "Refused", color: "c-refused", dash: [6, 4], values: d.trail.refused },
  ]);
  chart("client-quota", "Quota left", { text: (n) => (n == null ? "–" : whole.format(n)), tick: (n) => (Number.isInteger(n) ? whole.format(n) : ""), empty: "no quota was charged", zeros: true }).show(at, [
    { key: "left", name: "Left at once", color: "c-hit", values: d.trail.remaining },
  ]);
  fill("client-stores", d.stores, { key: storeLink, make: (s) => linkedRow(storeLink(s), s.store, placeText(s)), update: counted, empty: "None." });
  tallies("client-codes", d.trail.codes, codes);
  tallies("client-operations", d.trail.operations);
  fill("client-refusals", d.refusals, { key: (r) => `${r.time} ${r.requestId}`, make: refusalRow, update: () => {}, empty: "None among the last of all clients." });
}

function refusalRow(r) {
  const row = element("tr");
  const when = element("td", "time");
  when.append(timeOf(r.time, clock(r.time)));
  const request = element("td", "across");
  request.append(link(requestLink(r.requestId), r.requestId));
  row.append(when, element("td", "answer", `${r.status} ${r.code}`), element("td", "across", r.operation ?? "no operation"), request);
  return row;
}

function showStore(d) {
  setText(id("store-name"), d.store);
  about("store", [
    ["Location", `${d.plane}/${d.region}`], ["Organization", named(d.organization)], ["Environment", named(d.environment)],
    ["Now", `${rate(d.perSecond)}/s, ${big(d.requests)} in the last minute, ${big(d.hits)} hits, ${big(d.misses)} misses`],
    ["Bodies in / out", `${bytes(d.trail.received)} / ${bytes(d.trail.sent)}`], ["Counted since", moment(d.trail.since)],
  ]);
  chart("store-rate", "Requests per second").show(times(d.trail), [
    { key: "all", name: "All", color: "c-forwarded", values: d.trail.requests }, { key: "hits", name: "Cache hits", color: "c-hit", dash: [6, 4], values: d.trail.hits },
  ]);
  fill("store-clients", d.clients, { key: (c) => c.principal, make: (c) => linkedRow(clientLink(c.principal), nameOf(c.principal), hasName(c.principal) ? c.principal : ""), update: counted, empty: "None." });
  tallies("store-operations", d.trail.operations);
}

// named makes a name with its id.
function named(of) {
  const box = element("span");
  if (hasName(of)) box.append(nameOf(of), " ");
  box.append(copied(of));
  return box;
}

function showRequest(r) {
  setText(id("request-name"), `${r.status} ${r.code}`);
  const linked = (href, text) => (text ? link(href, text) : "");
  about("request", [
    ["Request id", copied(r.requestId)], ["Why", codes[r.code] ?? ""], ["Cause, for operators", r.cause ?? ""], ["Time", timeOf(r.time, `${moment(r.time)}, took ${duration(r.durationMs)}${r.waitedMs ? `, waited ${duration(r.waitedMs)} for the quota` : ""}`)],
    ["Client", r.principal ? link(clientLink(r.principal), nameOf(r.principal)) : "not identified"], ["Client address", r.clientAddr],
    ["Request", [r.method, r.route].filter(Boolean).join(" ")], ["Operation", r.operation ?? "no operation"],
    ["Store", linked(storeLink(r), r.store)], ["Where", r.plane && r.organization ? placeText(r) : ""], ["Policy rule", r.rule ?? ""],
    ["Quota", r.quota ? `${whole.format(r.quota)} in ${r.period} s, ${whole.format(r.remaining ?? 0)} left` : "not charged"],
    ["Object Store", r.upstreamAttempts ? [`${r.upstreamAttempts} sent`, r.upstreamStatus && `answered ${r.upstreamStatus}`, r.upstreamError, r.upstreamRequestId].filter(Boolean).join(", ") : "not reached"],
  ]);
}

const kinds = {
  client: { path: "/api/client", show: showClient, query: ([name]) => ({ id: name }), title: ([name]) => nameOf(name) },
  store: { path: "/api/store", show: showStore, query: ([plane, region, organization, environment, store]) => ({ plane, region, organization, environment, store }), title: (parts) => parts.at(-1) },
  request: { path: "/api/request", show: showRequest, query: ([name]) => ({ id: name }), title: ([name]) => name },
};

// refreshDetail fetches the thing of the view, and again from time to time.
export async function refreshDetail(now) {
  const { name, parts } = current();
  const kind = kinds[name];
  if (!kind || now < due) return;
  due = now + period;
  const address = location.hash;
  if (shown !== address) setText(id(`${name}-name`), kind.title(parts));
  let problem = "";
  let answer;
  try {
    const target = `${kind.path}?${new URLSearchParams(kind.query(parts))}`;
    const response = await fetch(target, { signal: AbortSignal.timeout(5000) });
    answer = await response.json();
    if (!response.ok) problem = response.status === 404 ? "This replica has seen nothing of it within the last minutes. Another replica may know more." : answer.detail;
  } catch {
    return;
  }
  if (address !== location.hash) return;
  shown = address;
  setText(id(`${name}-problem`), problem);
  id(`${name}-problem`).hidden = problem === "";
  id(`${name}-body`).hidden = problem !== "";
  if (problem) return;
  learn(answer.names);
  kind.show(answer.detail);
}

export function prepareDetails() {
  whenShown(() => {
    due = 0;
    refreshDetail(Date.now());
  });
}
