// Package e2e is the view from outside: it builds osgate, osemu and osdemo, runs them as an operator would, beside a real Redis, and keeps the
// README's promises to the letter. Each file of tests is one promise.
//
// The idea a reader needs: nothing of the gateway is imported here. What a test knows it knows from the contract (paths, headers, variables,
// commands), and the witness for what reached Object Store is osemu's request log, not anything that osgate says of itself. It needs
// redis-server, curl and chromium in PATH, and fails where they are missing. Pictures of the operator's page are kept in the folder that
// OSGATE_E2E_ARTIFACTS names, or in artifacts beside this file.
package e2e
