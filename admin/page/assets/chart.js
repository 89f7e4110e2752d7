// A chart: the drawing by uPlot, a legend with buttons that hide and show the lines,
// and a table with the numbers. For screen readers the drawing is an image; its name
// contains the latest values.

import { element, setText } from "/assets/dom.js";
import { Numbers } from "/assets/numbers.js";

const { uPlot } = window; // /assets/vendor/uplot-1.6.32/uPlot.iife.min.js
const dark = matchMedia("(prefers-color-scheme: dark)");

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const two = (n) => String(n).padStart(2, "0");

// isolated returns the indexes of values without a neighbor. A line cannot show them,
// so they are drawn as points.
function isolated(plot, line) {
  const values = plot.data[line];
  const found = values.flatMap((v, i) => (v != null && values[i - 1] == null && values[i + 1] == null ? [i] : []));
  return found.length ? found : null;
}

export class Chart {
  // box is the element that contains the chart. options has the title, the format of a
  // value (text), of a tick of its axis (tick) and of a time in the legend and the
  // table (when), the text of an empty chart (empty), the range of the axis ([low,
  // high], or null for the range of the values), and the style: "lines", "log" for
  // lines on a logarithmic axis, "stack" for stacked areas, or "bars". Charts of all
  // styles but bars show the time of a Span (span) with one value per step, and share a
  // pointer with the charts of the same sync. A chart without another value than zero
  // is empty, unless zeros is true. hide lists the lines that are shown only
  // on request. brush is called with the two times of a drag across the chart; without
  // it the span is.
  constructor(box, options) {
    this.options = { utc: false, range: null, hide: [], ...options };
    this.hidden = new Set(this.options.hide);
    this.lines = [];
    this.times = [];
    this.drawing = element("div", "drawing");
    this.drawing.setAttribute("role", "img");
    this.at = element("li", "at");
    this.keys = element("ul", "keys");
    this.numbers = new Numbers(options);
    box.replaceChildren(this.drawing, this.keys, this.numbers.root);
    new ResizeObserver(() => this.fit()).observe(this.drawing);
    this.drawing.addEventListener("dblclick", () => this.options.span?.last(this.options.span.seconds));
    dark.addEventListener("change", () => this.draw(true));
  }

  // show draws lines [{key, name, color, dash, width, values}] over times in seconds
  // since 1970.
  show(times, lines) {
    const other = lines.map((l) => l.key).join() !== this.lines.map((l) => l.key).join();
    Object.assign(this, { times, lines });
    if (other) this.makeKeys();
    this.drawing.dataset.empty = lines.some((l) => l.values.some((v) => (this.options.zeros ? v != null : v))) ? "" : this.options.empty;
    this.draw(other);
    this.numbers.show(times, lines);
    this.name();
  }

  // name describes the chart in words, for screen readers.
  name() {
    const { title, text } = this.options;
    const last = this.times.length - 1;
    const latest = this.lines.map((l) => `${l.name} ${text(l.values[last])}`).join(", ");
    this.drawing.setAttribute("aria-label", last < 0 || this.drawing.dataset.empty ? `${title}: ${this.options.empty}` : `${title}. Latest, ${this.options.when(this.times[last])}: ${latest}`);
  }

  draw(again) {
    if (this.plot && !again) {
      this.plot.setData(this.data());
      return this.follow(null);
    }
    this.plot?.destroy();
    this.plot = undefined;
    if (this.times.length === 0 || this.drawing.clientWidth === 0) return;
    this.plot = new uPlot(this.settings(), this.data(), this.drawing);
    this.follow(null);
  }

  // shown returns the visible lines in the order in which they are drawn. Of a stack
  // the total comes first, so that the parts lie on top of it.
  shown() {
    const visible = this.lines.filter((l) => !this.hidden.has(l.key));
    return this.options.style === "stack" ? visible.reverse() : visible;
  }

  data() {
    const lines = this.shown();
    if (this.options.style === "log") return [this.times, ...lines.map((l) => l.values.map((v) => v || null))];
    if (this.options.style !== "stack") return [this.times, ...lines.map((l) => l.values)];
    const sums = new Array(this.times.length).fill(0);
    const stacked = lines.toReversed().map((l) => l.values.map((v, i) => sums[i] += v)).reverse();
    return [[this.times[0] - this.options.step, ...this.times], ...stacked.map((values) => [values[0], ...values])]; // a step ends at its time; no step comes before the first
  }

  settings() {
    const { style, range, span, utc, sync } = this.options;
    const grid = { stroke: color("line"), width: 1 };
    const axis = { stroke: color("muted"), grid, ticks: { ...grid, size: 4 }, font: "12px system-ui, sans-serif", gap: 5 };
    return {
      ...this.size(), legend: { show: false }, padding: [10, 24, 0, 0],
      tzDate: utc ? (ts) => uPlot.tzDate(new Date(ts * 1000), "Etc/UTC") : undefined,
      cursor: { drag: { x: true, y: false, setScale: false }, y: false, points: { show: style === "lines" || style === "log" }, sync: sync && { key: sync, setSeries: false } },
      scales: { x: { range: style === "bars" ? roomForBars : (_, low, high) => span.range(high) }, y: style === "log" ? { distr: 3 } : { range: range ? () => range : fromZero } },
      axes: [
        { ...axis, values: (plot, ticks, _, space, step) => ticks.map((t) => this.tickOfTime(t, step)), space: 70, size: 32 },
        { ...axis, ...this.lattice(axis), values: (_, ticks) => ticks.map((t) => t === null ? "" : this.options.tick(t)), size: widthOf, space: 36 },
      ],
      series: [{}, ...this.shown().map((l) => this.series(l))],
      hooks: {
        setSelect: [(plot) => this.brushed(plot)],
        setCursor: [(plot) => this.follow(plot.cursor.left >= 0 ? plot.cursor.idx : null)],
      },
    };
  }

  // brushed selects the time of a drag that is wider than a click.
  brushed(plot) {
    const { left, width } = plot.select;
    if (width < 8) return;
    const [from, to] = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    if (this.options.brush) this.options.brush(from, to);
    else this.options.span?.between(from, to);
  }

  series(l) {
    const { style } = this.options;
    const stroke = color(l.color);
    if (style === "bars") return { fill: stroke, paths: uPlot.paths.bars({ size: [l.width, 60] }), points: { show: false } };
    if (style === "stack") return { fill: stroke, stroke, width: 0, paths: uPlot.paths.stepped({ align: -1 }), points: { show: false } };
    return { stroke, width: l.width ?? 2, dash: l.dash, points: { show: false, filter: isolated, size: 5, fill: stroke } };
  }

  // lattice restricts a logarithmic axis to powers of ten.
  lattice({ grid, ticks }) {
    if (this.options.style !== "log") return {};
    const filter = (_, values) => values.map((v) => (Number.isInteger(Number(Math.log10(v).toFixed(6))) ? v : null));
    return { filter, grid: { ...grid, filter }, ticks: { ...ticks, filter } };
  }

  tickOfTime(t, step) {
    const at = this.options.utc ? uPlot.tzDate(new Date(t * 1000), "Etc/UTC") : new Date(t * 1000);
    if (step >= 28 * 86400) return at.toLocaleDateString("en-GB", { month: "short", year: "2-digit" });
    if (step >= 86400) return at.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
    const clock = `${two(at.getHours())}:${two(at.getMinutes())}`;
    return step < 60 ? `${clock}:${two(at.getSeconds())}` : clock;
  }

  size() {
    return { width: this.drawing.clientWidth, height: this.drawing.clientHeight };
  }

  fit() {
    if (!this.plot) return this.draw(true);
    const { width, height } = this.size();
    if (width > 0 && (width !== this.plot.width || height !== this.plot.height)) this.plot.setSize({ width, height });
  }

  makeKeys() {
    this.keys.replaceChildren(...this.lines.map((l) => {
      const key = element("button", "key");
      key.type = "button";
      const sample = element("span", `sample ${this.options.style}`);
      sample.style.color = `var(--${l.color})`;
      sample.style.borderTopStyle = l.dash ? (l.dash[0] < 4 ? "dotted" : "dashed") : "solid";
      key.append(sample, l.name, element("b"));
      key.setAttribute("aria-pressed", String(!this.hidden.has(l.key)));
      key.addEventListener("click", () => this.toggle(l.key, key));
      const item = element("li");
      item.append(key);
      return item;
    }), this.at);
  }

  toggle(name, key) {
    if (!this.hidden.delete(name)) this.hidden.add(name);
    key.setAttribute("aria-pressed", String(!this.hidden.has(name)));
    this.draw(true);
  }

  // follow shows the values under the pointer, or the last ones, in the legend.
  follow(index) {
    const i = index === null ? this.times.length - 1 : Math.max(0, this.options.style === "stack" ? index - 1 : index);
    this.lines.forEach((l, n) => setText(this.keys.children[n].querySelector("b"), i < 0 ? "" : this.options.text(l.values[i])));
    setText(this.at, i < 0 ? "" : `at ${this.options.when(this.times[i])}`);
  }
}

// fromZero returns the range from zero to a little above the highest value, or from
// zero to one if all values are zero.
function fromZero(_, low, high) {
  return high > 0 ? [0, uPlot.rangeNum(0, high, 0.1, true)[1]] : [0, 1];
}

// roomForBars returns a range with half a bucket free on either side.
function roomForBars(plot, low, high) {
  const times = plot.data[0];
  const half = times.length > 1 ? (times.at(-1) - times[0]) / (times.length - 1) / 2 : 1800;
  return [low - half, high + half];
}

// widthOf returns the width that the labels of an axis need.
function widthOf(_, labels) {
  return 16 + 7 * Math.max(3, ...(labels ?? []).map((label) => label.length));
}
