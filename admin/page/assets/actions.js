// The actions on this replica: reload, drain, shadow mode. Each one asks first.

import { id, setText } from "/assets/dom.js";
import { clock } from "/assets/format.js";

const timeout = 60000; // milliseconds; a reload waits until files no longer change
const dialog = id("confirm");
let switches = { withdrawn: false, policy: false, shadow: false };
let chosen;

const actions = {
  reload: () => ({
    title: "Reload?", go: "Reload", path: "/reload", body: {},
    text: "Certificates, policy and settings files are read again. An invalid file changes nothing: what is in force stays.",
    done: (answer) => (answer.reasons.length ? `Reloaded, but not in force: ${answer.reasons.map((r) => `${r.part}: ${r.detail}`).join("; ")}` : "Reloaded. All files are in force."),
  }),
  drain: () => (switches.withdrawn ? {
    title: "Put this replica back?", go: "Put back", path: "/drain", body: { on: false },
    text: "/readyz answers as the state of the gateway is, so that load balancers send requests again.",
    done: () => "This replica is back.",
  } : {
    title: "Drain this replica?", go: "Drain", path: "/drain", body: { on: true },
    text: "/readyz answers 503, so that load balancers send no new requests. Requests that arrive are served, and clients are made to close their connections. The process goes on until it is stopped; this can be undone.",
    done: () => "This replica is drained: it reports that it wants no traffic.",
  }),
  shadow: () => (switches.shadow ? {
    title: "End shadow mode?", go: "Enforce the policy", path: "/shadow", body: { on: false },
    text: "This replica refuses again what the policy forbids, except by rules that are in shadow mode themselves.",
    done: () => "The policy is enforced.",
  } : {
    title: "Set shadow mode?", go: "Set shadow mode", path: "/shadow", body: { on: true },
    text: "This replica refuses nothing by policy until shadow mode ends or the process does, and counts what it would have refused. Other replicas do not change.",
    done: () => "The policy is in shadow mode on this replica: it refuses nothing.",
  }),
};

function open(name) {
  chosen = actions[name]();
  setText(id("confirm-title"), chosen.title);
  setText(id("confirm-text"), chosen.text);
  setText(id("confirm-go"), chosen.go);
  setText(id("confirm-problem"), "");
  dialog.showModal();
}

async function act() {
  const deed = chosen;
  id("confirm-go").disabled = true;
  try {
    const answer = await fetch(deed.path, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(deed.body), signal: AbortSignal.timeout(timeout),
    });
    const body = await answer.json();
    if (!answer.ok) return setText(id("confirm-problem"), body.detail);
    dialog.close();
    setText(id("acted"), `${clock(Date.now())} ${deed.done(body)}`);
  } catch {
    setText(id("confirm-problem"), "Gateway not reachable. It is not known whether this was done.");
  } finally {
    id("confirm-go").disabled = false;
  }
}

// showSwitches shows what operators have set on this replica.
export function showSwitches(now) {
  switches = now;
  setText(id("drain-open"), now.withdrawn ? "Put this replica back…" : "Drain this replica…");
  setText(id("drain-state"), now.withdrawn ? "It reports that it wants no traffic, and serves what arrives." : "It stays alive, and reports that it wants no more traffic.");
  id("shadow-open").disabled = !now.policy;
  setText(id("shadow-open"), now.shadow ? "End shadow mode…" : "Set shadow mode…");
  setText(id("shadow-state"), !now.policy ? "There is no policy." : now.shadow ? "The policy refuses nothing on this replica." : "The policy is enforced.");
}

export function prepareActions() {
  for (const name of Object.keys(actions)) id(`${name}-open`).addEventListener("click", () => open(name));
  id("confirm-cancel").addEventListener("click", () => dialog.close());
  id("confirm-form").addEventListener("submit", (event) => {
    event.preventDefault();
    act();
  });
}
