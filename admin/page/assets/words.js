// The texts for the gateway's names.

export const outcomes = {
  hit: ["Cache hit", "answered without Object Store"],
  upstream_ok: ["Forwarded", "Object Store answered"],
  upstream_client_error: ["Object Store answered 4xx", "its own 404, 409, 429 …"],
  upstream_error: ["Object Store failed", "5xx, timeout, cut off or unreachable"],
  refused: ["Refused by osgate", "quota, policy, identity, bad requests"],
  local: ["Answered by osgate", "statistics"],
  client_left: ["Client left", "before it received its answer"],
};

export const codes = {
  "bad-path": "an ambiguous path",
  "bad-request": "malformed, or a method that is not served",
  "bad-token": "the credential is not accepted",
  "denied": "by policy",
  "draining": "this gateway is shutting down",
  "identity-unavailable": "the control plane is unavailable",
  "loop": "the request passed this gateway before",
  "no-token": "no bearer token",
  "not-object-store": "not an Object Store operation",
  "over-budget": "the budget for Object Store is used up",
  "over-quota": "the client's rate is used up",
  "overloaded": "too many requests, or a needed service is unavailable",
  "region-not-allowed": "outside OSGATE_PLANES and OSGATE_REGIONS",
  "region-unknown": "the request names no region",
  "too-large": "the request body is too large",
  "upstream-credential": "Anypoint refuses the gateway's own credential",
  "upstream-timeout": "Object Store did not answer in time",
  "upstream-unreachable": "no connection, or it was cut",
};

// statuses has the texts for the states of the gateway, and for two states of the page.
export const statuses = {
  ready: "Ready", degraded: "Degraded", starting: "Starting", draining: "Draining", unready: "Not ready", lost: "Not reachable", connecting: "Connecting",
};

// states has the texts for the states of a part, each with a sign, so that the color is
// not the only difference.
export const states = {
  ok: ["OK", "●"], degraded: ["Degraded", "▲"], down: ["Down", "✕"], idle: ["Idle", "○"],
};

// runbooks names the section of the documentation for a part that fails, by the
// beginning of the part's name.
const runbooks = [
  ["redis rights", "docs/redis.md#rights"],
  ["redis", "docs/alerts-redis.md#osgateredisdown"],
  ["control plane ", "docs/alerts-anypoint.md#osgatecontrolplaneaway"],
  ["region ", "docs/alerts-anypoint.md#osgateregionaway"],
  ["statistics", "docs/alerts-redis.md#osgatestatisticslag"],
  ["cache", "docs/runbook.md#the-hit-ratio-fell"],
  ["policy", "docs/alerts.md#osgatepolicystale"],
  ["log", "docs/log.md#a-reader-that-stops"],
  ["audit file", "docs/audit.md#when-the-disk-fails"],
  ["connections", "docs/alerts.md#osgateconnectionsfull"],
  ["", "docs/readiness.md#reasons"],
];

export const runbookOf = (part) => runbooks.find(([name]) => part.startsWith(name))[1];
