// The rules of the policy with their counts.

import { fill, id, line, setNumber, setText } from "/assets/dom.js";
import { big, moment } from "/assets/format.js";
import { current } from "/assets/router.js";

const period = 3000; // milliseconds
let due = 0;

function about(p) {
  if (p.all === 0) return "There is no policy (OSGATE_POLICY): everything that Anypoint permits is permitted.";
  const mode = p.shadow ? " All are in shadow mode: nothing is refused by policy." : "";
  const rest = p.all > p.rules.length ? ` The first ${p.rules.length} are listed.` : "";
  return `${big(p.all)} rules from ${big(p.files)} files, loaded ${moment(p.loaded)}, ${p.hash.slice(0, 12)}.${mode}${rest}`;
}

function show(p) {
  setText(id("policy-about"), about(p));
  fill("rules", p.rules, {
    key: (r) => `${r.id} ${r.file}:${r.line}`,
    make: (r) => line(r.id, `${r.file}:${r.line}`, 5, false),
    update: (row, r) => {
      setText(row.cells[1], `${r.permit ? "permit" : "forbid"}${r.shadow ? ", shadow" : ""}`);
      row.cells[1].className = "named";
      setNumber(row.cells[2], big(r.window), r.window === 0);
      setNumber(row.cells[3], big(r.decided), r.decided === 0);
      setNumber(row.cells[4], big(r.shadowed), r.shadowed === 0, "warn");
      setNumber(row.cells[5], big(r.errors), r.errors === 0, "bad");
    },
    empty: "No rules.",
  });
}

// refreshPolicy fetches the rules from time to time while they are visible.
export async function refreshPolicy(now) {
  if (now < due || current().name !== "policy") return;
  due = now + period;
  try {
    const answer = await fetch("/api/policy", { signal: AbortSignal.timeout(5000) });
    if (answer.ok) show(await answer.json());
  } catch {
    due = now + 1000;
  }
}
