// The table behind a chart: its numbers, the latest first.

import { element, setText } from "/assets/dom.js";

export class Numbers {
  constructor({ title, text, when }) {
    Object.assign(this, { text, when, times: [], lines: [] });
    this.root = element("details", "numbers");
    this.root.append(element("summary", "", "The numbers"));
    const scroll = element("div", "scroll");
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", `${title}: the numbers`);
    this.table = element("table");
    this.table.append(element("caption", "visually-hidden", title), element("thead"), element("tbody"));
    scroll.append(this.table);
    this.root.append(scroll);
    this.root.addEventListener("toggle", () => this.write());
  }

  show(times, lines) {
    Object.assign(this, { times, lines });
    this.write();
  }

  // write fills the table if it is open.
  write() {
    if (!this.root.open) return;
    this.head();
    const body = this.table.tBodies[0];
    while (body.rows.length > this.times.length) body.lastElementChild.remove();
    while (body.rows.length < this.times.length) body.append(element("tr"));
    const last = this.times.length - 1;
    [...body.rows].forEach((row, i) => this.row(row, last - i));
  }

  head() {
    const names = ["Time", ...this.lines.map((l) => l.name)];
    const head = this.table.tHead;
    if (head.dataset.shown === names.join()) return;
    head.dataset.shown = names.join();
    const row = element("tr");
    row.append(...names.map((name, i) => {
      const cell = element("th", i ? "n" : "", name);
      cell.scope = "col";
      return cell;
    }));
    head.replaceChildren(row);
    this.table.tBodies[0].replaceChildren();
  }

  row(row, i) {
    if (row.cells.length === 0) {
      const head = element("th");
      head.scope = "row";
      row.append(head, ...this.lines.map(() => element("td", "n")));
    }
    setText(row.cells[0], this.when(this.times[i]));
    this.lines.forEach((l, n) => setText(row.cells[n + 1], this.text(l.values[i])));
  }
}
