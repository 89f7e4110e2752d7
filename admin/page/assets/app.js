// The operator's page. /api/live streams its data, once a second. /api/recent and
// /api/history are fetched for the charts.

import { id, setClass, setText } from "/assets/dom.js";
import { prepareActions, showSwitches } from "/assets/actions.js";
import { prepareDetails, refreshDetail } from "/assets/details.js";
import { refreshFleet } from "/assets/fleet.js";
import { age, clock } from "/assets/format.js";
import { showHealth, showState } from "/assets/health.js";
import { prepareHistory, refreshHistory } from "/assets/history.js";
import { Link } from "/assets/link.js";
import { learn } from "/assets/names.js";
import { refreshPolicy } from "/assets/policy.js";
import { preparePurge } from "/assets/purge.js";
import { prepareRecent, showRecent } from "/assets/recent.js";
import { whenShown, startRouter } from "/assets/router.js";
import { prepareSearch } from "/assets/search.js";
import { prepareSettings } from "/assets/settings.js";
import { showTraffic, sum } from "/assets/traffic.js";

let last; // the time of the shown figures
let traffic; // the last one
let paused = false;

function showNotice(text, tone) {
  const box = id("notice");
  setText(box, text);
  setClass(box, text ? `notice ${tone}` : "");
}

function show(o) {
  last = o.time;
  document.body.dataset.link = "up";
  learn(o.names);
  showHealth(o.health);
  setText(id("about"), [o.replica.host, o.version, `up ${age((Date.parse(o.time) - Date.parse(o.start)) / 1000)}`].filter(Boolean).join(" · "));
  setText(id("updated"), `as of ${clock(o.time)}`);
  id("logout").hidden = !o.session;
  const t = o.traffic;
  const seen = sum(t.outcomes, (c) => c.total) > 0;
  showNotice(seen ? "" : "No request yet. Send one through the gateway; it appears here at once.", "calm");
  traffic = t;
  showTraffic(t);
  showSwitches(o.switches);
  refresh();
}

// refresh fetches what is due of the view.
function refresh() {
  const now = Date.now();
  for (const part of [showRecent, refreshFleet, refreshPolicy, refreshDetail, refreshHistory]) part(now);
}

function showLost(reason) {
  document.body.dataset.link = "lost";
  showState("lost");
  const since = last ? ` since ${clock(last)}` : "";
  showNotice(`${reason ? `${reason}: not reachable` : "Not reachable"}${since}. Trying again.${last ? " The figures are from that time." : ""}`, "bad");
}

const link = new Link({ show, lost: showLost, loggedOut: () => location.reload() }); // the login form is at the same address

// updateStream opens the stream. It closes the stream while the page is paused or
// hidden, because the gateway has few of them.
function updateStream() {
  if (paused || document.hidden) link.close();
  else link.open();
}

id("pause").addEventListener("click", (event) => {
  paused = !paused;
  event.target.setAttribute("aria-pressed", String(paused));
  if (paused) setText(id("updated"), `paused${last ? ` at ${clock(last)}` : ""}`);
  updateStream();
});
document.addEventListener("visibilitychange", updateStream);

for (const filter of ["clients-filter", "stores-filter", "cached-filter"]) id(filter).addEventListener("input", () => traffic && showTraffic(traffic));
for (const prepare of [prepareActions, preparePurge, prepareHistory, prepareRecent, prepareSettings, prepareDetails, prepareSearch]) prepare();
whenShown(() => last && refresh());
startRouter();
updateStream();
