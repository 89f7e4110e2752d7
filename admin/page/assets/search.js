// The search for clients, stores and refused requests.

import { element, id, setText } from "/assets/dom.js";
import { clientLink, hasName, idOf, learn, link, nameOf, placeText, requestLink, storeLink } from "/assets/names.js";
import { whenShown } from "/assets/router.js";

const delay = 200; // milliseconds after the last key
let timer;
let asked = 0;

function item(href, title, small) {
  const entry = element("li");
  entry.append(link(href, title));
  if (small) entry.append(" ", small);
  return entry;
}

function close() {
  clearTimeout(timer);
  asked++;
  id("found").hidden = true;
}

async function search() {
  const text = id("search").value.trim();
  if (text === "") return close();
  const request = ++asked;
  let answer;
  try {
    const target = `/api/search?${new URLSearchParams({ q: text })}`;
    answer = await (await fetch(target, { signal: AbortSignal.timeout(5000) })).json();
  } catch {
    answer = {};
  }
  if (request !== asked) return;
  learn(answer.names);
  const found = answer.detail ?? { clients: [], stores: [], requests: [] };
  const items = [
    ...found.requests.map((r) => item(requestLink(r.requestId), `${r.status} ${r.code}`, idOf(r.requestId))),
    ...found.clients.map((c) => item(clientLink(c), nameOf(c), hasName(c) ? idOf(c) : null)),
    ...found.stores.map((s) => item(storeLink(s), s.store, element("small", "muted", placeText(s)))),
  ];
  setText(id("found-title"), answer.detail ? (items.length ? `Found for “${text}”` : `Nothing found for “${text}”`) : "The gateway does not answer the search");
  id("found-list").replaceChildren(...items);
  id("found").hidden = false;
}

export function prepareSearch() {
  id("search").addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, delay);
  });
  id("search-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    clearTimeout(timer);
    await search();
    id("found-list").querySelector("a")?.focus();
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !id("found").hidden) {
      close();
      id("search").focus();
    }
  });
  whenShown(close);
}
