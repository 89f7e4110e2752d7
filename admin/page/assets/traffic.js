// The traffic of the last minute and since the start: the tiles, and the tables of
// outcomes, latencies, clients, stores and refusals.

import { element, figure, fill, id, line, setNumber, setPairs, setShare, setText, timeOf } from "/assets/dom.js";
import { big, bytes, clock, duration, milliseconds, percent, rate, whole } from "/assets/format.js";
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

function showClients(t) {
  const most = Math.max(1, ...t.clients.map((c) => c.requests));
  fill("clients", t.clients, {
    key: (c) => c.principal,
    make: (c) => {
      const row = line(c.principal, "", 4);
      row.cells[0].title = c.principal;
      row.cells[4].append(element("span"), element("meter"));
      return row;
    },
    update: (row, c) => {
      setNumber(row.cells[1], rate(c.perSecond), false);
      setNumber(row.cells[2], big(c.requests), false);
      setNumber(row.cells[3], big(c.refused), c.refused === 0, "warn");
      showQuota(row.cells[4], c);
      setShare(row, c.requests, most);
    },
    empty: "No client in the last minute.",
  });
}

// showQuota shows how much of its quota a client has left, and whether a request was
// refused for it just now.
function showQuota(cell, c) {
  const [text, meter] = cell.children;
  meter.hidden = c.quota === undefined;
  if (c.quota === undefined) return setText(text, "none");
  setText(text, c.over ? "over quota" : `${whole.format(c.remaining)} of ${whole.format(c.burst)}`);
  text.className = c.over ? "over" : "";
  const period = c.period === 1 ? "second" : `${c.period} seconds`;
  const label = `${c.principal}: ${c.remaining} of ${c.burst} left, ${c.quota} per ${period}${c.over ? ", over quota" : ""}`;
  Object.assign(meter, { max: c.burst, low: c.burst / 4, high: c.burst, optimum: c.burst, value: c.over ? 0 : c.remaining });
  if (meter.ariaLabel !== label) Object.assign(meter, { ariaLabel: label, title: label });
}

function showStores(t) {
  const most = Math.max(1, ...t.stores.map((s) => s.requests));
  fill("stores", t.stores, {
    key: (s) => JSON.stringify([s.plane, s.region, s.organization, s.environment, s.store]),
    make: (s) => {
      const row = line(s.store, `${s.plane}/${s.region} · environment ${s.environment}`, 3);
      row.querySelector("small").after(element("small", "", `organization ${s.organization}`));
      return row;
    },
    update: (row, s) => {
      setNumber(row.cells[1], rate(s.perSecond), false);
      setNumber(row.cells[2], big(s.requests), false);
      setNumber(row.cells[3], percent(s.hits, s.requests), s.hits === 0);
      setShare(row, s.requests, most);
    },
    empty: "No store in the last minute.",
  });
  showLocations([...new Set(t.stores.map((s) => `${s.plane}/${s.region}`))].sort());
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

// showShadow lists the requests that policy rules in shadow mode would have refused,
// and the rules that could not be evaluated. The section is hidden if there are none.
function showShadow(t) {
  const failed = t.policyErrors.map((c) => ({ ...c, failed: true }));
  const rules = [...failed, ...t.shadow];
  id("shadow-part").hidden = rules.length === 0;
  fill("shadow", rules, {
    key: (c) => `${c.failed} ${c.rule}`,
    make: (c) => line(c.rule, c.failed ? "could not be evaluated" : "would have refused", 2, false),
    update: (row, c) => {
      setNumber(row.cells[1], big(c.window), c.window === 0, c.failed ? "bad" : "warn");
      setNumber(row.cells[2], big(c.total), false);
    },
    empty: "None.",
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
      const client = element("td", "across", r.principal ?? "not identified");
      client.append(element("small", "", r.operation ?? "no operation"));
      const request = element("td", "across");
      request.append(element("span", "id", r.requestId));
      row.append(when, answer, client, request);
      return row;
    },
    update: () => {},
    empty: "None since the start.",
  });
}

export function showTraffic(t) {
  for (const part of [showFigures, showOutcomes, showLatencies, showCache, showClients, showStores, showCodes, showShadow, showRefusals]) part(t);
}
