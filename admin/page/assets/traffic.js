// The traffic of the last minute and since the start: the tiles, and the tables of
// outcomes, latencies, clients, stores and refusals.

import { element, figure, fill, id, line, setNumber, setPairs, setShare, setText, timeOf } from "/assets/dom.js";
import { big, bytes, clock, duration, milliseconds, percent, rate, whole } from "/assets/format.js";
import { clientLink, hasName, idOf, link, nameOf, placeText, requestLink, storeLink } from "/assets/names.js";
import { codes, outcomes } from "/assets/words.js";

export const sum = (list, of) => list.reduce((total, item) => total + of(item), 0);
const outcome = (traffic, name) => traffic.outcomes.find((o) => o.outcome === name);
const split = (text) => text.split(" ").concat("").slice(0, 2);

function showFigures(t) {
  const window = sum(t.outcomes, (o) => o.window);
  const [refused, failed] = [outcome(t, "refused").window, outcome(t, "upstream_error").window];
  const quantile = (q) => (q.count === 0 ? ["–", ""] : milliseconds(q.p95));
  figure("f-requests", [rate(sum(t.outcomes, (o) => o.perSecond)), "/s"]);
  figure("f-ratio", split(percent(outcome(t, "hit").window, t.lookups.window)));
  figure("f-p95", quantile(t.latencies.all));
  figure("f-up95", quantile(t.latencies.upstream));
  figure("f-refused", [big(refused), refused ? percent(refused, window) : ""], refused > 0 ? "warn" : "");
  figure("f-failed", [big(failed), failed ? percent(failed, window) : ""], failed > 0 ? "bad" : "");
  figure("f-saved", [big(t.saved.requests.total), ""]);
  figure("f-units", [big(t.saved.units.total), ""]);
}

function showOutcomes(t) {
  const most = sum(t.outcomes, (o) => o.window);
  fill("outcomes", t.outcomes, {
    key: (o) => o.outcome,
    make: (o) => line(...(outcomes[o.outcome] ?? [o.outcome, ""]), 3),
    update: (row, o) => {
      const tone = { refused: "warn", upstream_error: "bad" }[o.outcome] ?? "";
      setNumber(row.cells[1], rate(o.perSecond), o.perSecond === 0, tone);
      setNumber(row.cells[2], big(o.window), o.window === 0, tone);
      setNumber(row.cells[3], big(o.total), o.total === 0, tone);
      setShare(row, o.window, most);
    },
  });
}

function showLatencies(t) {
  const rows = [
    ["Whole exchange", "to the last byte", t.latencies.all],
    ["Cache hit", "to the last byte", t.latencies.hit],
    ["Object Store", "to the first byte", t.latencies.upstream],
  ];
  fill("latencies", rows, {
    key: ([title]) => title,
    make: ([title, small]) => line(title, small, 3, false),
    update: (row, [, , q]) => [q.p50, q.p95, q.p99].forEach((ms, i) => {
      setNumber(row.cells[i + 1], q.count === 0 ? "–" : duration(ms), q.count === 0);
    }),
  });
}

function showCache(t) {
  const hits = outcome(t, "hit");
  const pairs = [
    ["Hit ratio, since start", percent(hits.total, t.lookups.total)],
    ["Requests saved, last minute / since start", `${big(t.saved.requests.window)} / ${big(t.saved.requests.total)}`],
    ["Billing units saved, last minute / since start", `${big(t.saved.units.window)} / ${big(t.saved.units.total)}`],
    ["Requests sent to Object Store", big(t.upstream.total)],
    ["Billing units of Object Store", big(t.upstreamUnits.total)],
    ["Bodies in / out", `${bytes(t.received.total)} / ${bytes(t.sent.total)}`],
  ];
  if (t.cacheEntries !== undefined) pairs.push(["Cached answers here", `${big(t.cacheEntries)}${t.cacheBytes === undefined ? "" : `, ${bytes(t.cacheBytes)}`}`]);
  if (t.exchangesUnderWay !== undefined) pairs.push(["Exchanges under way", big(t.exchangesUnderWay)]);
  setPairs(id("cache"), pairs);
}

// matching returns the items of which a text contains what the reader has typed.
function matching(field, items, texts) {
  const wanted = id(field).value.trim().toLowerCase();
  return wanted === "" ? items : items.filter((item) => texts(item).some((text) => text.toLowerCase().includes(wanted)));
}

// setName writes the name that a row's link shows, and the id below it if it has one.
function setName(row, of) {
  setText(row.querySelector("a"), nameOf(of));
  row.querySelector(".id").hidden = !hasName(of);
}

function showClients(t) {
  const most = Math.max(1, ...t.clients.map((c) => c.requests));
  fill("clients", matching("clients-filter", t.clients, (c) => [c.principal, nameOf(c.principal)]), {
    key: (c) => c.principal,
    make: (c) => {
      const row = line("", "", 4);
      const small = element("small");
      small.append(idOf(c.principal));
      row.cells[0].prepend(link(clientLink(c.principal), c.principal), small);
      row.cells[4].append(element("span"), element("meter"));
      return row;
    },
    update: (row, c) => {
      setName(row, c.principal);
      setNumber(row.cells[1], rate(c.perSecond), false);
      setNumber(row.cells[2], big(c.requests), false);
      setNumber(row.cells[3], big(c.refused), c.refused === 0, "warn");
      showQuota(row.cells[4], c);
      setShare(row, c.requests, most);
    },
    empty: id("clients-filter").value ? "No client matches." : "No client in the last minute.",
  });
}

// showQuota shows how much of its quota a client has left, and whether a request was
// refused for it just now.
function showQuota(cell, c) {
  const [text, meter] = cell.children;
  meter.hidden = c.quota === undefined;
  if (c.quota === undefined) return setText(text, "none");
  const period = c.period === 1 ? "second" : `${c.period} seconds`;
  const own = c.period === 1 ? `${whole.format(c.quota)}/s` : `${whole.format(c.quota)} in ${c.period} s`;
  setText(text, `${own}, ${c.over ? "over quota" : `${whole.format(c.remaining)} of ${whole.format(c.burst)} left`}`);
  text.className = c.over ? "over" : "";
  const label = `${nameOf(c.principal)}: ${c.remaining} of ${c.burst} left, ${c.quota} per ${period}${c.over ? ", over quota" : ""}`;
  Object.assign(meter, { max: c.burst, low: c.burst / 4, high: c.burst, optimum: c.burst, value: c.over ? 0 : c.remaining });
  if (meter.ariaLabel !== label) Object.assign(meter, { ariaLabel: label, title: label });
}

const storeTexts = (s) => [s.store, s.organization, s.environment, placeText(s)];

// makeStore makes a row that leads to a store, with so many cells for numbers.
function makeStore(s, numbers) {
  const row = line("", " ", numbers);
  row.cells[0].prepend(link(storeLink(s), s.store));
  row.cells[0].title = `organization ${s.organization}, environment ${s.environment}`;
  return row;
}

function showStores(t) {
  const most = Math.max(1, ...t.stores.map((s) => s.requests));
  const shown = matching("stores-filter", t.stores, storeTexts);
  fill("stores", shown, {
    key: storeLink,
    make: (s) => makeStore(s, 3),
    update: (row, s) => {
      setText(row.querySelector("small"), placeText(s));
      setNumber(row.cells[1], rate(s.perSecond), false);
      setNumber(row.cells[2], big(s.requests), false);
      setNumber(row.cells[3], percent(s.hits, s.requests), s.hits === 0);
      setShare(row, s.requests, most);
    },
    empty: id("stores-filter").value ? "No store matches." : "No store in the last minute.",
  });
  showLocations([...new Set(t.stores.map((s) => `${s.plane}/${s.region}`))].sort());
}

// showCached shows what the cache answered of each store.
function showCached(t) {
  const shown = matching("cached-filter", t.stores, storeTexts);
  fill("cached", shown, {
    key: storeLink,
    make: (s) => makeStore(s, 4),
    update: (row, s) => {
      setText(row.querySelector("small"), placeText(s));
      setNumber(row.cells[1], big(s.hits), s.hits === 0);
      setNumber(row.cells[2], big(s.misses), s.misses === 0);
      setNumber(row.cells[3], big(s.requests - s.hits - s.misses), s.requests === s.hits + s.misses);
      setNumber(row.cells[4], percent(s.hits, s.hits + s.misses), s.hits === 0);
      setShare(row, s.hits, s.hits + s.misses);
    },
    empty: id("cached-filter").value ? "No store matches." : "No store in the last minute.",
  });
}

// showLocations offers the locations in use as suggestions of the purge form.
function showLocations(locations) {
  const list = id("locations");
  if (list.dataset.shown === locations.join()) return;
  list.dataset.shown = locations.join();
  list.replaceChildren(...locations.map((l) => Object.assign(element("option"), { value: l })));
}

function showCodes(t) {
  const shown = t.codes.filter((c) => c.total > 0).sort((a, b) => b.window - a.window || b.total - a.total || a.code.localeCompare(b.code));
  fill("codes", shown, {
    key: (c) => c.code,
    make: (c) => line(c.code, codes[c.code] ?? "", 2, false),
    update: (row, c) => {
      setNumber(row.cells[1], big(c.window), c.window === 0, c.code.startsWith("upstream-") ? "bad" : "warn");
      setNumber(row.cells[2], big(c.total), false);
    },
    empty: "None since the start.",
  });
}

function showRefusals(t) {
  fill("refusals", t.refusals, {
    key: (r) => `${r.time} ${r.requestId}`,
    make: (r) => {
      const row = element("tr");
      const when = element("td", "time");
      when.append(timeOf(r.time, clock(r.time)));
      const answer = element("td", "answer", `${r.status} ${r.code}`);
      if (r.rule) answer.append(element("small", "", `rule ${r.rule}`));
      const client = element("td", "across");
      client.append(r.principal ? link(clientLink(r.principal), nameOf(r.principal)) : "not identified");
      client.append(element("small", "", r.operation ?? "no operation"));
      const request = element("td", "across");
      request.append(Object.assign(link(requestLink(r.requestId), r.requestId), { className: "id" }));
      row.append(when, answer, client, request);
      return row;
    },
    update: (row, r) => r.principal && setText(row.cells[2].firstChild, nameOf(r.principal)),
    empty: "None since the start.",
  });
}

export function showTraffic(t) {
  for (const part of [showFigures, showOutcomes, showLatencies, showCache, showClients, showStores, showCached, showCodes, showRefusals]) part(t);
}
