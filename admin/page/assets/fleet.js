// The replicas of this gateway.

import { element, fill, id, line, setNumber, setText } from "/assets/dom.js";
import { age, big, percent, rate } from "/assets/format.js";
import { idOf } from "/assets/names.js";
import { current } from "/assets/router.js";
import { statuses } from "/assets/words.js";

const period = 5000; // milliseconds
let due = 0;

function makeRow(r, self) {
  const row = line(r.host || "without a name", "", 7, false);
  const head = row.cells[0];
  if (r.id === self) head.append(" ", element("span", "tag", "this page"));
  const small = element("small");
  small.append(idOf(r.id));
  head.append(small);
  row.cells[1].className = "named";
  row.cells[1].append(element("span", "pill"));
  row.cells[2].className = "named";
  return row;
}

function show(fleet) {
  setText(id("fleet-problem"), fleet.problem ? `${fleet.problem}.` : fleet.shared ? "" : "Without Redis, replicas do not see each other: this is the one that serves the page.");
  fill("fleet", fleet.replicas, {
    key: (r) => `${r.id} ${r.host}`,
    make: (r) => makeRow(r, fleet.self),
    update: (row, r) => {
      const pill = row.cells[1].firstChild;
      pill.dataset.status = r.status;
      setText(pill, statuses[r.status] ?? r.status);
      setText(row.cells[2], r.version);
      setNumber(row.cells[3], age((Date.parse(r.time) - Date.parse(r.start)) / 1000), false);
      setNumber(row.cells[4], rate(r.perSecond), r.perSecond === 0);
      setNumber(row.cells[5], r.hitRatio === undefined ? "–" : percent(r.hitRatio, 1), r.hitRatio === undefined);
      setNumber(row.cells[6], big(r.refused), r.refused === 0, "warn");
      setNumber(row.cells[7], big(r.failed), r.failed === 0, "bad");
    },
    empty: "",
  });
}

// refreshFleet fetches the replicas from time to time while they are visible.
export async function refreshFleet(now) {
  if (now < due || current().name !== "overview") return;
  due = now + period;
  try {
    const answer = await fetch("/api/fleet", { signal: AbortSignal.timeout(5000) });
    if (answer.ok) show(await answer.json());
  } catch {
    due = now + 1000; // the stream of overviews reports the problem
  }
}
