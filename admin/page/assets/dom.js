// Functions that write into the page. They set a text only if it changes, so that
// selections, the focus and screen readers are not disturbed.

export const id = (name) => document.getElementById(name);

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setClass(node, name) {
  if (node.className !== name) node.className = name;
}

export function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

// figure writes a tile: a number with its unit, and a tone if it is a warning.
export function figure(name, [value, unit], tone = "") {
  const node = id(name);
  if (node.dataset.shown === value + unit + tone) return;
  node.dataset.shown = value + unit + tone;
  node.dataset.tone = tone;
  node.replaceChildren(value);
  if (unit) node.append(element("span", "unit", unit));
}

// The rows of a long table that are shown, before and after a click on the button below.
const few = 10;
const many = 200;

// fill makes the rows of a table match items. A row is identified by its key and keeps
// its place if possible.
export function fill(name, all, { key, make, update, empty, most = few }) {
  const body = id(name);
  const items = limit(body, all, most);
  body.refill = () => fill(name, all, { key, make, update, empty, most });
  if (items.length === 0) return showEmpty(body, empty);
  delete body.dataset.empty;
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
}

// showEmpty shows a text in a table without rows.
function showEmpty(body, text) {
  if (body.dataset.empty === text) return;
  body.dataset.empty = text;
  const row = element("tr");
  const cell = element("td", "empty", text);
  cell.colSpan = body.parentElement.tHead.rows[0].cells.length;
  row.append(cell);
  nameCells(row, body.parentElement);
  body.replaceChildren(row);
}

// nameCells labels the cells of a table whose rows are shown as blocks on narrow
// screens, visibly and for screen readers.
function nameCells(row, table) {
  if (!table.matches(".stack")) return;
  row.setAttribute("role", "row");
  [...row.cells].forEach((cell, i) => {
    cell.setAttribute("role", cell.tagName === "TH" ? "rowheader" : "cell");
    if (cell.matches(".n, .named")) cell.dataset.label = table.tHead.rows[0].cells[i].textContent;
  });
}

// limit returns the items of a table that are shown, and puts a button below the table
// for the rest. The page stays small with any number of items.
function limit(body, all, most) {
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
  more.hidden = all.length <= most;
  const rest = all.length > many ? `Show ${many} of ${all.length}` : `Show all ${all.length}`;
  setText(more, complete ? `Show the first ${most}` : rest);
  more.setAttribute("aria-expanded", String(complete));
  return all.slice(0, complete ? many : most);
}

// line makes a row with a heading, a small text and a bar, and the given number of
// cells for numbers.
export function line(title, small, numbers, bar = true) {
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

export function setShare(row, part, of) {
  row.querySelector(".share").style.setProperty("--share", of > 0 ? (part / of).toFixed(3) : "0");
}

export function setNumber(cell, text, zero, tone = "") {
  setText(cell, text);
  setClass(cell, ["n", zero ? "zero" : tone].filter(Boolean).join(" "));
}

// setPairs writes names and values into a <dl>.
export function setPairs(list, pairs) {
  if (list.children.length !== 2 * pairs.length) list.replaceChildren(...pairs.flatMap(() => [element("dt"), element("dd")]));
  pairs.forEach(([name, value], i) => {
    setText(list.children[2 * i], name);
    setText(list.children[2 * i + 1], value);
  });
}

// timeOf makes a <time> that shows text, and the whole instant as a tooltip.
export function timeOf(instant, text) {
  return Object.assign(element("time", "", text), { dateTime: instant, title: instant });
}
