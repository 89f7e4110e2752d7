// The names that control planes give to ids. An id without a name is shown itself.

import { element } from "/assets/dom.js";

const known = new Map();

export function learn(names) {
  for (const [id, name] of Object.entries(names ?? {})) known.set(id, name);
}

export const nameOf = (id) => known.get(id) ?? id;
export const hasName = (id) => known.has(id);

// idOf makes an element with an id that one click selects as a whole.
export const idOf = (text) => element("span", "id", text);

// links to the views of one thing
export const clientLink = (id) => `#client=${encodeURIComponent(id)}`;
export const requestLink = (id) => `#request=${encodeURIComponent(id)}`;
export const storeLink = (s) => `#store=${[s.plane, s.region, s.organization, s.environment, s.store].map(encodeURIComponent).join("/")}`;

export function link(href, text) {
  return Object.assign(element("a", "", text), { href });
}

// placeText names where a store is: "us/us-east-1 · Acme · Production".
export const placeText = (s) => [`${s.plane}/${s.region}`, nameOf(s.organization), nameOf(s.environment)].join(" · ");
