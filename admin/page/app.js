// The operator's page. It reads /api/overview every two seconds and writes what it says into the page; there is nothing else it reads. Texts
// are set only where they differ, so that selections, focus and screen readers are left alone.

const interval = 2000;
const patience = 5000; // how long an answer may take

const outcomes = {
  hit: ["Cache hit", "answered without asking Object Store"],
  upstream_ok: ["Forwarded", "Object Store answered"],
  upstream_client_error: ["Object Store said 4xx", "its own 404, 409, 429 …"],
  upstream_error: ["Object Store failed", "5xx, late, cut off or unreachable"],
  refused: ["Refused by osgate", "quota, policy, identity, bad requests"],
  local: ["Answered by osgate", "statistics"],
  client_left: ["Client left", "before it had its answer"],
};

const codes = {
  "bad-path": "a path that could be read in two ways",
  "bad-request": "malformed, or a method that is not served",
  "bad-token": "the control plane does not know the token",
  "denied": "by policy",
  "draining": "this gateway is shutting down",
  "identity-unavailable": "the control plane cannot be asked",
  "loop": "the request came through here before",
  "no-token": "no bearer token",
  "not-object-store": "no Object Store operation",
  "over-budget": "the budget for Object Store is spent",
  "over-quota": "the client's rate is used up",
  "overloaded": "too much under way, or a part is missing",
  "region-not-allowed": "outside OSGATE_PLANES and OSGATE_REGIONS",
  "region-unknown": "nothing says where it goes",
  "too-large": "the request body is too large",
  "upstream-timeout": "Object Store did not answer in time",
  "upstream-unreachable": "no connection, or it was cut",
};

const states = {
  ready: "Ready", degraded: "Degraded", starting: "Starting", draining: "Draining", lost: "Not reachable", connecting: "Connecting",
};

const id = (name) => document.getElementById(name);
const whole = new Intl.NumberFormat("en");

// Numbers for people.

function rate(n) {
  if (n === 0) return "0";
  if (n < 0.1) return "<0.1";
  return n >= 100 ? whole.format(Math.round(n)) : n.toFixed(1);
}

function milliseconds(ms) {
  if (ms >= 10000) return [(ms / 1000).toFixed(1), "s"];
  if (ms >= 1000) return [(ms / 1000).toFixed(2), "s"];
  if (ms >= 100) return [ms.toFixed(0), "ms"];
  return [ms >= 1 ? ms.toFixed(1) : ms.toFixed(2), "ms"];
}

function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  while (n >= 1024 && i < units.length - 1) [n, i] = [n / 1024, i + 1];
  return `${i === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${units[i]}`;
}

function percent(part, of) {
  if (of === 0) return "–";
  const p = 100 * part / of;
  return `${p > 0 && p < 10 || p > 99 && p < 100 ? p.toFixed(1) : Math.round(p)} %`;
}

function age(seconds) {
  const [d, h, m] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (d > 0) return `${d} d ${h} h`;
  if (h > 0) return `${h} h ${m} min`;
  return m > 0 ? `${m} min` : `${Math.max(0, Math.floor(seconds))} s`;
}

const clock = (time) => new Date(time).toLocaleTimeString("en-GB");

// Writing into the page.

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function setClass(node, name) {
  if (node.className !== name) node.className = name;
}

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

// figure writes a tile: a number with its unit, and whether it should worry.
function figure(name, [value, unit], tone = "") {
  const node = id(name);
  if (node.dataset.shown === value + unit + tone) return;
  node.dataset.shown = value + unit + tone;
  node.dataset.tone = tone;
  node.replaceChildren(value);
  if (unit) node.append(element("span", "unit", unit));
}

const few = 10; // rows of a long table that are shown until more are asked for

// fill makes a table's rows be those of items. A row is found again by its key, and stays where it is if it can.
function fill(name, all, { key, make, update, empty }) {
  const body = id(name);
  const items = limit(body, all);
  body.refill = () => fill(name, all, { key, make, update, empty });
  if (items.length === 0 && body.dataset.empty === "true") return;
  body.dataset.empty = String(items.length === 0);
  const known = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  const wanted = new Set(items.map(key));
  for (const [k, row] of known) if (!wanted.has(k)) row.remove();
  let next = body.firstElementChild;
  for (const item of items) {
    let row = known.get(key(item));
    if (!row) {
      row = make(item);
      row.dataset.key = key(item);
      nameCells(row, body.parentElement);
    }
    update(row, item);
    if (row === next) next = next.nextElementSibling;
    else body.insertBefore(row, next);
  }
  if (items.length === 0) {
    const row = element("tr");
    const cell = element("td", "empty", empty);
    cell.colSpan = body.parentElement.tHead.rows[0].cells.length;
    row.append(cell);
    body.append(row);
  }
}

// nameCells says of the cells of a table that narrow screens stand on end what they are, to the eye and to screen readers.
function nameCells(row, table) {
  if (!table.matches(".stack")) return;
  row.setAttribute("role", "row");
  [...row.cells].forEach((cell, i) => {
    cell.setAttribute("role", cell.tagName === "TH" ? "rowheader" : "cell");
    if (cell.matches(".n")) cell.dataset.label = table.tHead.rows[0].cells[i].textContent;
  });
}

// limit returns the items that are shown of a table, and has a button below it for the others.
function limit(body, all) {
  const table = body.parentElement;
  let more = table.nextElementSibling;
  if (!more?.matches(".more")) {
    more = element("button", "more");
    more.type = "button";
    more.addEventListener("click", () => {
      body.dataset.whole = String(body.dataset.whole !== "true");
      body.refill();
    });
    table.after(more);
  }
  const complete = body.dataset.whole === "true";
  more.hidden = all.length <= few;
  setText(more, complete ? `Show the first ${few}` : `Show all ${all.length}`);
  more.setAttribute("aria-expanded", String(complete));
  return complete ? all : all.slice(0, few);
}

// line makes a row with a heading, its small print and a bar, and so many cells for numbers.
function line(title, small, numbers, bar = true) {
  const row = element("tr");
  const head = element("th", "", title);
  head.scope = "row";
  if (small) head.append(element("small", "", small));
  if (bar) {
    const share = element("span", "share");
    share.setAttribute("aria-hidden", "true");
    head.append(share);
  }
  row.append(head, ...Array.from({ length: numbers }, () => element("td", "n")));
  return row;
}

function setShare(row, part, of) {
  row.querySelector(".share").style.setProperty("--share", of > 0 ? (part / of).toFixed(3) : "0");
}

function setNumber(cell, text, zero, tone = "") {
  setText(cell, text);
  setClass(cell, ["n", zero ? "zero" : tone].filter(Boolean).join(" "));
}

// What is shown.

const sum = (list, of) => list.reduce((total, item) => total + of(item), 0);
const outcome = (traffic, name) => traffic.outcomes.find((o) => o.outcome === name);

function showFigures(t) {
  const window = sum(t.outcomes, (o) => o.window);
  const [refused, failed] = [outcome(t, "refused").window, outcome(t, "upstream_error").window];
  const quantile = (q) => q.count === 0 ? ["–", ""] : milliseconds(q.p95);
  figure("f-requests", [rate(sum(t.outcomes, (o) => o.perSecond)), "/s"]);
  figure("f-ratio", percent(outcome(t, "hit").window, t.lookups.window).split(" ").concat("").slice(0, 2));
  figure("f-p95", quantile(t.latencies.all));
  figure("f-up95", quantile(t.latencies.upstream));
  figure("f-refused", [whole.format(refused), refused ? percent(refused, window) : ""], refused > 0 ? "warn" : "");
  figure("f-failed", [whole.format(failed), failed ? percent(failed, window) : ""], failed > 0 ? "bad" : "");
}

function showOutcomes(t) {
  const most = sum(t.outcomes, (o) => o.window);
  fill("outcomes", t.outcomes, {
    key: (o) => o.outcome,
    make: (o) => line(...(outcomes[o.outcome] ?? [o.outcome, ""]), 3),
    update: (row, o) => {
      const tone = { refused: "warn", upstream_error: "bad" }[o.outcome] ?? "";
      setNumber(row.cells[1], rate(o.perSecond), o.perSecond === 0, tone);
      setNumber(row.cells[2], whole.format(o.window), o.window === 0, tone);
      setNumber(row.cells[3], whole.format(o.total), o.total === 0, tone);
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
      setNumber(row.cells[i + 1], q.count === 0 ? "–" : milliseconds(ms).join(" "), q.count === 0);
    }),
  });
}

function showCache(t) {
  const hits = outcome(t, "hit");
  const pairs = [
    ["Hit ratio, since start", percent(hits.total, t.lookups.total)],
    ["Requests that Object Store was spared", whole.format(hits.total)],
    ["Requests sent to Object Store", whole.format(t.upstream.total)],
    ["Bodies in / out", `${bytes(t.received.total)} / ${bytes(t.sent.total)}`],
  ];
  if (t.cacheEntries !== undefined) pairs.push(["Cached answers here", `${whole.format(t.cacheEntries)}${t.cacheBytes === undefined ? "" : `, ${bytes(t.cacheBytes)}`}`]);
  if (t.exchangesUnderWay !== undefined) pairs.push(["Exchanges under way", whole.format(t.exchangesUnderWay)]);
  if (t.redisUp !== undefined) pairs.push(["Redis", t.redisUp ? "answers" : "does not answer"]);
  const list = id("cache");
  if (list.children.length !== 2 * pairs.length) list.replaceChildren(...pairs.flatMap(() => [element("dt"), element("dd")]));
  pairs.forEach(([name, value], i) => {
    setText(list.children[2 * i], name);
    setText(list.children[2 * i + 1], value);
  });
}

function showClients(t) {
  const most = Math.max(1, ...t.clients.map((c) => c.requests));
  fill("clients", t.clients, {
    key: (c) => c.principal,
    make: (c) => line(c.principal, "", 3),
    update: (row, c) => {
      setNumber(row.cells[1], rate(c.perSecond), false);
      setNumber(row.cells[2], whole.format(c.requests), false);
      setNumber(row.cells[3], whole.format(c.refused), c.refused === 0, "warn");
      setShare(row, c.requests, most);
    },
    empty: "No client in the last minute.",
  });
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
      setNumber(row.cells[2], whole.format(s.requests), false);
      setNumber(row.cells[3], percent(s.hits, s.requests), s.hits === 0);
      setShare(row, s.requests, most);
    },
    empty: "No store in the last minute.",
  });
  const locations = [...new Set(t.stores.map((s) => `${s.plane}/${s.region}`))].sort();
  const list = id("locations");
  if (list.dataset.shown !== locations.join()) {
    list.dataset.shown = locations.join();
    list.replaceChildren(...locations.map((l) => Object.assign(element("option"), { value: l })));
  }
}

function showCodes(t) {
  const shown = t.codes.filter((c) => c.total > 0).sort((a, b) => b.window - a.window || b.total - a.total || a.code.localeCompare(b.code));
  fill("codes", shown, {
    key: (c) => c.code,
    make: (c) => line(c.code, codes[c.code] ?? "", 2, false),
    update: (row, c) => {
      setNumber(row.cells[1], whole.format(c.window), c.window === 0, c.code.startsWith("upstream-") ? "bad" : "warn");
      setNumber(row.cells[2], whole.format(c.total), false);
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
      when.append(Object.assign(element("time", "", clock(r.time)), { dateTime: r.time, title: r.time }));
      const who = element("td", "across", r.principal ?? "not identified");
      who.append(element("small", "", r.operation ?? "no operation"));
      const request = element("td", "across");
      request.append(element("span", "id", r.requestId));
      row.append(when, element("td", "answer", `${r.status} ${r.code}`), who, request);
      return row;
    },
    update: () => {},
    empty: "None since the start.",
  });
}

function showState(name) {
  const node = id("status");
  node.dataset.status = name;
  setText(node, states[name] ?? name);
  document.title = name === "ready" ? "osgate" : `${states[name] ?? name} – osgate`;
}

function showHealth(health) {
  showState(health.status);
  const box = id("health");
  box.hidden = health.status === "ready" && health.reasons.length === 0;
  setText(id("health-title"), {
    degraded: "Degraded: requests are served, but",
    starting: "Starting: not ready for traffic yet",
    draining: "Draining: finishing what is under way",
  }[health.status] ?? "Worth knowing");
  const text = JSON.stringify(health.reasons);
  if (box.dataset.shown === text) return;
  box.dataset.shown = text;
  id("reasons").replaceChildren(...health.reasons.map((reason) => {
    const item = element("li");
    item.append(element("b", "", reason.part), reason.detail);
    return item;
  }));
}

function showNotice(text, tone) {
  const box = id("notice");
  setText(box, text);
  setClass(box, text ? `notice ${tone}` : "");
}

let last; // the time of the figures shown

function show(o) {
  last = o.time;
  document.body.dataset.link = "up";
  showHealth(o.health);
  setText(id("about"), [o.version, `up ${age((Date.parse(o.time) - Date.parse(o.start)) / 1000)}`].filter(Boolean).join(" · "));
  setText(id("updated"), `as of ${clock(o.time)}`);
  id("logout").hidden = !o.session;
  const t = o.traffic;
  const seen = sum(t.outcomes, (c) => c.total) > 0;
  showNotice(seen ? "" : "No request yet. Send one through the gateway, and it shows here within seconds.", "calm");
  for (const part of [showFigures, showOutcomes, showLatencies, showCache, showClients, showStores, showCodes, showRefusals]) part(t);
}

function showLost(why) {
  document.body.dataset.link = "lost";
  showState("lost");
  showNotice(`${why}, retrying.${last ? ` The figures are of ${clock(last)}.` : ""}`, "bad");
}

// Asking.

async function ask() {
  let answer;
  try {
    answer = await fetch("/api/overview", { signal: AbortSignal.timeout(patience) });
    if (answer.status === 401) return location.reload(); // the session is over: the form is at this address
    if (!answer.ok) return showLost(`The gateway answers ${answer.status}`);
    answer = await answer.json();
  } catch {
    return showLost("Gateway not reachable");
  }
  show(answer);
}

let timer;
let paused = false;

async function turn() {
  clearTimeout(timer);
  if (paused || document.hidden) return;
  await ask();
  clearTimeout(timer);
  timer = setTimeout(turn, interval);
}

id("pause").addEventListener("click", (event) => {
  paused = !paused;
  event.target.setAttribute("aria-pressed", String(paused));
  if (paused) setText(id("updated"), `paused${last ? ` at ${clock(last)}` : ""}`);
  turn();
});
document.addEventListener("visibilitychange", turn);

// Purging, which asks first.

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
  const place = Object.fromEntries([...id("purge-place").querySelectorAll("input")].map((i) => [i.name, i.value]).filter(([, v]) => v !== ""));
  const what = form.elements.scope.value === "all" ? { all: true } : place;
  id("purge-go").disabled = true;
  try {
    const answer = await fetch("/cache/purge", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(what), signal: AbortSignal.timeout(6 * patience),
    });
    const body = await answer.json();
    if (!answer.ok) return showProblem(body.detail, body.field);
    dialog.close();
    setText(id("purged"), `Purged ${whole.format(body.purged)} cached ${body.purged === 1 ? "answer" : "answers"} here at ${clock(Date.now())}.`);
  } catch {
    showProblem("Gateway not reachable: nobody knows whether it was purged.");
  } finally {
    id("purge-go").disabled = false;
  }
}

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

turn();
