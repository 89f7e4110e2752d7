// Formats of numbers and times. All functions are pure.

export const whole = new Intl.NumberFormat("en");
export const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

// big formats whole numbers that are not compared with each other: 12,345 and then
// 123K.
export const big = (n) => (n < 100000 ? whole.format(n) : short.format(n));

// rate formats a number per second.
export function rate(n) {
  if (n === 0) return "0";
  if (n < 0.1) return "<0.1";
  return n >= 100 ? big(Math.round(n)) : n.toFixed(1);
}

// milliseconds formats a duration as a number and its unit.
export function milliseconds(ms) {
  if (ms >= 10000) return [(ms / 1000).toFixed(1), "s"];
  if (ms >= 1000) return [(ms / 1000).toFixed(2), "s"];
  if (ms >= 100) return [ms.toFixed(0), "ms"];
  return [ms >= 1 ? ms.toFixed(1) : ms.toFixed(2), "ms"];
}

// duration formats a duration as one text; a dash if there is none.
export const duration = (ms) => (ms === null || ms === undefined ? "–" : milliseconds(ms).join(" "));

export function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  while (n >= 1024 && i < units.length - 1) [n, i] = [n / 1024, i + 1];
  return `${i === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${units[i]}`;
}

export function percent(part, of) {
  if (of === 0) return "–";
  const p = 100 * part / of;
  return `${p > 0 && p < 10 || p > 99 && p < 100 ? p.toFixed(1) : Math.round(p)} %`;
}

// age formats a number of seconds in its two largest units.
export function age(seconds) {
  const [d, h, m] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (d > 0) return `${d} d ${h} h`;
  if (h > 0) return `${h} h ${m} min`;
  return m > 0 ? `${m} min` : `${Math.max(0, Math.floor(seconds))} s`;
}

// clock formats the time of day in the reader's time zone.
export const clock = (time) => new Date(time).toLocaleTimeString("en-GB");

// moment formats the time of day, with the date if it is not today.
export function moment(time) {
  const at = new Date(time);
  if (at.toDateString() === new Date().toDateString()) return clock(at);
  return `${at.toLocaleDateString("en-GB", { day: "numeric", month: "short" })}, ${clock(at)}`;
}

// plural formats a number with its noun.
export const plural = (n, one, many) => `${whole.format(n)} ${n === 1 ? one : many}`;
