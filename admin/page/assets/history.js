// The counts of the statistics: requests and billing units by hour, day and month, from
// all organizations down to one store.

import { Chart } from "/assets/chart.js";
import { element, fill, id, line, setNumber, setShare, setText } from "/assets/dom.js";
import { percent, short, whole } from "/assets/format.js";
import { learn, nameOf } from "/assets/names.js";
import { current } from "/assets/router.js";
import { Range } from "/assets/range.js";

const levels = ["organization", "environment", "region", "store"];
const plurals = { organization: "Organizations", environment: "Environments", region: "Regions", store: "Stores" };
const counts = {
  requests: { client: "client", upstream: "upstream", names: ["Answered to clients", "Answered by Object Store"], unit: "requests" },
  units: { client: "clientUnits", upstream: "upstreamUnits", names: ["Answered to clients", "Answered by Object Store"], unit: "billing units" },
};
const formats = {
  "1hour": { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZone: "UTC" },
  "1day": { weekday: "short", day: "numeric", month: "short", timeZone: "UTC" },
  "1month": { month: "long", year: "numeric", timeZone: "UTC" },
};

let place = []; // the names chosen so far, from the organization down
let plane = "";
let last; // the shown answer
let requests = 0; // sent so far
let due = 0; // when to fetch again
let lastQuery = ""; // the query of the latest request
let temporary = false; // the last answer was an error that may go away without a change of the query
let chart;
let range;

const unit = () => counts[id("history-form").elements.unit.value];
const when = (seconds) => new Date(seconds * 1000).toLocaleString("en-GB", formats[last.period]);

function query() {
  const q = new URLSearchParams(range.query());
  if (plane) q.set("plane", plane);
  place.forEach((name, i) => q.set(levels[i], name));
  return q;
}

// load fetches the selected counts. If answers overtake each other, the answer to the
// latest request is shown.
function load() {
  lastQuery = query().toString();
  return fetchHistory();
}

async function fetchHistory() {
  const request = ++requests;
  id("history").setAttribute("aria-busy", "true");
  let problem = "";
  let mayPass = true;
  let answer;
  try {
    const response = await fetch(`/api/history?${lastQuery}`, { signal: AbortSignal.timeout(15000) });
    answer = await response.json();
    mayPass = response.status >= 500;
    if (!response.ok) problem = problemText(response.status, answer);
  } catch {
    problem = "Gateway not reachable. The history appears again when it is.";
  }
  if (request !== requests) return;
  temporary = problem !== "" && mayPass;
  id("history").removeAttribute("aria-busy");
  due = Date.now() + (problem ? 3000 : 10000);
  if (problem) return showProblem(problem);
  last = answer;
  learn(answer.names);
  show();
}

function problemText(status, answer) {
  if (!answer.detail) return `The gateway answers ${status}.`;
  const name = { from: "From", to: "To", period: "The period" }[answer.field] ?? "";
  const text = `${name} ${answer.detail}`.trim();
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

function showProblem(text) {
  setText(id("history-problem"), text);
  id("history-counts").hidden = true;
}

function show() {
  setText(id("history-problem"), "");
  id("history-counts").hidden = false;
  showPath();
  const of = unit();
  const [client, upstream] = [of.client, of.upstream].map((name) => last.buckets.reduce((total, b) => total + b[name], 0));
  setText(id("history-total"), client + upstream === 0 ? "There are no counts for this place and time." : sentence(client, upstream, of.unit));
  chart ??= new Chart(id("history-chart"), { title: "History", style: "bars", utc: true, text: (n) => (n == null ? "–" : whole.format(n)), tick: short.format, empty: "no counts", when, brush: (from, to) => range.between(from, to) });
  chart.show(last.buckets.map((b) => Date.parse(b.time) / 1000), [
    { key: `client ${of.unit}`, name: of.names[0], color: "c-client", width: 0.9, values: last.buckets.map((b) => b[of.client]) },
    { key: `upstream ${of.unit}`, name: of.names[1], color: "c-forwarded", width: 0.5, values: last.buckets.map((b) => b[of.upstream]) },
  ]);
  showChildren(of);
}

function sentence(client, upstream, name) {
  const saved = client > upstream ? `; ${percent(client - upstream, client)} did not need Object Store` : "";
  return `${whole.format(client)} ${name} answered to clients, ${whole.format(upstream)} answered by Object Store${saved}.`;
}

function showChildren(of) {
  const level = levels[place.length];
  id("history-children").hidden = level === undefined;
  if (level === undefined) return;
  setText(id("children-title"), plurals[level]);
  setText(id("children-level"), plurals[level].slice(0, -1));
  id("children-more").hidden = !last.truncated;
  const most = Math.max(1, ...last.children.map((c) => c[of.client]));
  const wanted = id("children-filter").value.trim().toLowerCase();
  const shown = last.children.filter((c) => [c.name, nameOf(c.name)].some((name) => name.toLowerCase().includes(wanted)));
  fill("children", shown, {
    key: (c) => `${level} ${c.plane} ${c.name}`,
    make: (c) => childRow(c, level),
    update: (row, c) => {
      setNumber(row.cells[1], whole.format(c[of.client]), c[of.client] === 0);
      setNumber(row.cells[2], whole.format(c[of.upstream]), c[of.upstream] === 0);
      setNumber(row.cells[3], percent(Math.max(0, c[of.client] - c[of.upstream]), c[of.client]), c[of.client] <= c[of.upstream]);
      setShare(row, c[of.client], most);
    },
    empty: wanted ? `None of the ${plurals[level].toLowerCase()} matches.` : `No counts of ${plurals[level].toLowerCase()} in this time.`,
  });
}

// childRow makes a row whose name leads one level down.
function childRow(c, level) {
  const name = nameOf(c.name);
  const row = line("", [name === c.name ? "" : c.name, level === "organization" ? `control plane ${c.plane}` : ""].filter(Boolean).join(" · "), 3);
  const down = element("button", "link", name);
  down.type = "button";
  down.addEventListener("click", () => go([...place, c.name], c.plane));
  row.cells[0].prepend(down);
  return row;
}

// go selects another place and moves the focus to its name.
async function go(to, itsPlane) {
  [place, plane] = [to, to.length ? itsPlane : ""];
  id("children-filter").value = "";
  showPath();
  id("history-path").querySelector("[aria-current]").focus();
  await load();
}

function showPath() {
  const names = ["All organizations", ...place];
  const shown = JSON.stringify([plane, names, names.map(nameOf)]);
  const list = id("history-path");
  if (list.dataset.shown === shown) return;
  list.dataset.shown = shown;
  list.replaceChildren(...names.map((name, i) => {
    const item = element("li");
    const here = i === names.length - 1;
    const step = element(here ? "span" : "button", here ? "" : "link", nameOf(name));
    if (here) Object.assign(step, { ariaCurrent: "true", tabIndex: -1 });
    else Object.assign(step, { type: "button", onclick: () => go(place.slice(0, i), plane) });
    if (i > 0) step.title = `${levels[i - 1]} ${name}`;
    item.append(step);
    return item;
  }));
}

export function prepareHistory() {
  range = new Range(id("history-form"), load);
  for (const choice of id("history-form").elements.unit) choice.addEventListener("change", () => last && show());
  id("children-filter").addEventListener("input", () => last && showChildren(unit()));
  showPath();
}

// refreshHistory fetches the history again from time to time if the range ends now. For
// another range it repeats the request until there is an answer. Dates that are being
// edited are used only after a click on the button.
export function refreshHistory(now) {
  if (current().name !== "history" && last) return;
  if (!(range.moves() || temporary) || now < due) return;
  due = now + 10000;
  if (range.moves()) load();
  else fetchHistory();
}
