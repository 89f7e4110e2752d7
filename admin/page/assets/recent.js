// The charts of the last 15 minutes: requests by outcome, latencies, hit ratio.

import { Chart } from "/assets/chart.js";
import { id, setText } from "/assets/dom.js";
import { clock, duration, rate, short } from "/assets/format.js";
import { Span } from "/assets/span.js";
import { outcomes } from "/assets/words.js";

const seconds = 900; // how far back the charts reach
const span = new Span(seconds, showSpan);

const when = (time) => clock(time * 1000);
const perSecond = (n) => (n == null ? "–" : `${rate(n)}/s`);
const tick = (n) => `${short.format(n)}/s`;
const tickOfTime = (ms) => (ms >= 1000 ? `${ms / 1000} s` : `${Number(ms.toPrecision(3))} ms`);

const charts = {
  requests: ["Requests per second by outcome", { style: "stack", text: perSecond, tick, empty: "no request" }],
  latency: ["Latency", { style: "log", text: duration, tick: tickOfTime, empty: "no durations", hide: ["all p99", "upstream p50", "upstream p95", "upstream p99"] }],
  ratio: ["Hit ratio", { style: "lines", text: (p) => (p == null ? "–" : `${Math.round(p)} %`), tick: (p) => `${p} %`, range: [0, 100], empty: "no cacheable read" }],
};

const made = {};

// chart returns the chart with a name. It is made when it is first shown.
function chart(name) {
  const [title, options] = charts[name];
  return made[name] ??= new Chart(id(`${name}-chart`), { title, when, span, step: 5, sync: "recent", ...options });
}

// showSpan draws the charts of the selected time, and marks its button.
function showSpan() {
  for (const button of document.querySelectorAll("[data-span]")) button.setAttribute("aria-pressed", String(span.from === null && Number(button.dataset.span) === span.seconds));
  id("span-reset").hidden = span.from === null;
  for (const one of Object.values(made)) one.draw(true);
}

export function prepareRecent() {
  for (const button of document.querySelectorAll("[data-span]")) button.addEventListener("click", () => span.last(Number(button.dataset.span)));
  id("span-reset").addEventListener("click", () => span.last(span.seconds));
}

const colors = {
  hit: "c-hit", upstream_ok: "c-forwarded", upstream_client_error: "c-said", upstream_error: "c-failed", local: "c-local", client_left: "c-left",
};
const refusedColors = ["c-refused", "c-refused-2", "c-refused-3"];
const always = ["hit", "upstream_ok", "upstream_error"];

// outcomeLines returns the outcomes that occurred, and the refusals by reason: the most
// frequent ones separately, the rest together.
function outcomeLines(recent) {
  const total = (values) => values.reduce((a, b) => a + b, 0);
  const line = (key, name, color, values) => ({ key, name, color, values });
  const lines = Object.keys(colors)
    .filter((name) => always.includes(name) || total(recent.outcomes[name] ?? []) > 0)
    .map((name) => line(name, outcomes[name][0], colors[name], recent.outcomes[name] ?? []));
  const reasons = Object.entries(recent.refused).filter(([code, values]) => !code.startsWith("upstream-") && total(values) > 0)
    .sort(([, a], [, b]) => total(b) - total(a));
  const named = reasons.length > refusedColors.length ? reasons.slice(0, refusedColors.length - 1) : reasons;
  named.forEach(([code, values], i) => lines.push(line(code, `Refused: ${code}`, refusedColors[i], values)));
  const shown = named.map(([, values]) => values);
  const rest = (recent.outcomes.refused ?? []).map((n, i) => Math.max(0, n - total(shown.map((values) => values[i]))));
  if (total(rest) > 0.01) lines.push(line("refused", named.length ? "Refused: other" : "Refused", refusedColors.at(-1), rest));
  return lines;
}

const quantiles = [["p50", [1, 3], 1.5], ["p95", undefined, 2], ["p99", [6, 4], 1.5]];
const sides = [["all", "osgate", "c-forwarded"], ["upstream", "Object Store", "c-refused"]];

function latencyLines(recent) {
  return sides.flatMap(([side, name, color]) => quantiles.map(([quantile, dash, width]) => ({
    key: `${side} ${quantile}`, name: `${name} ${quantile}`, color, dash, width, values: recent.latency[side][quantile],
  })));
}

function show(recent) {
  const count = recent.hitRatio.length;
  const end = Date.parse(recent.end) / 1000;
  const times = recent.hitRatio.map((_, i) => end - (count - 1 - i) * recent.step);
  setText(id("recent-empty"), count ? "" : "The first figures appear a few seconds after the start.");
  chart("requests").show(times, outcomeLines(recent));
  chart("latency").show(times, latencyLines(recent));
  chart("ratio").show(times, [{ key: "ratio", name: "From the cache", color: "c-hit", values: recent.hitRatio.map((p) => p === null ? null : 100 * p) }]);
}

let due = 0; // when the next slot is complete

// showRecent fetches the series whenever there is a new slot. If the request fails, the
// charts stay as they are; the stream of overviews reports the problem.
export async function showRecent(now) {
  if (now < due) return;
  due = now + 5000;
  let recent;
  try {
    const answer = await fetch(`/api/recent?seconds=${seconds}`, { signal: AbortSignal.timeout(5000) });
    if (answer.ok) recent = await answer.json();
  } catch {
    due = now + 1000;
  }
  if (recent) show(recent);
}
