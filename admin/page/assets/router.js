// The views of the page. The part of the address after # names the view and, for a
// client, a store or a request, which one; so every view has an address of its own.

import { id } from "/assets/dom.js";

const views = [...document.querySelectorAll("[data-view]")];
const parents = { client: "clients", store: "stores", request: "refusals" };
const listeners = [];

// current returns the view of the address, with its argument decoded; the overview if
// the address names none.
export function current() {
  const [name, argument = ""] = location.hash.slice(1).split(/=(.*)/s);
  const known = views.some((v) => v.dataset.view === name) && (name in parents) === (argument !== "");
  try {
    return known ? { name, parts: argument.split("/").map(decodeURIComponent) } : { name: "overview", parts: [] };
  } catch {
    return { name: "overview", parts: [] };
  }
}

function show(byReader) {
  const { name } = current();
  for (const view of views) view.hidden = view.dataset.view !== name;
  for (const item of document.querySelectorAll(".bar nav a")) {
    if (item.hash === `#${parents[name] ?? name}`) {
      item.setAttribute("aria-current", "page");
      item.scrollIntoView({ block: "nearest", inline: "center" });
    } else item.removeAttribute("aria-current");
  }
  for (const listener of listeners) listener();
  if (!byReader) return;
  id(`${name}-view`).focus({ preventScroll: true });
  scrollTo(0, 0);
}

// whenShown calls listener after each change of the view.
export const whenShown = (listener) => listeners.push(listener);

export function startRouter() {
  addEventListener("hashchange", () => show(true));
  show(false);
}
