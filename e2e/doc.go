// Package e2e tests the programs from the outside. It builds osgate, osemu and osdemo,
// runs them as an operator would, with a real Redis and without one, and proves the
// promises of docs/promises.md. Each file of tests proves one promise.
//
// The package imports no code of the gateway. The tests use only the contract: paths,
// headers, variables and commands. osemu's request log shows the requests that reached
// Object Store; the gateway's own statements do not count. The tests need redis-server,
// curl and chromium in PATH, and fail if one is missing. Screenshots of the operator's
// page are kept in the folder that OSGATE_E2E_ARTIFACTS names, or in the folder
// artifacts next to this file.
package e2e
