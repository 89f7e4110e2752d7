// Package e2e is the view from outside: it builds osgate, osemu and osdemo, runs them as an operator would, beside a real Redis, and keeps the
// README's promises to the letter. Each file of tests is one promise.
//
// The idea a reader needs: nothing of the gateway is imported here. What a test knows it knows from the contract (paths, headers, variables,
// commands), and the witness for what reached Object Store is osemu's request log, not anything that osgate says of itself. It needs
// redis-server and curl in PATH, and fails where they are missing.
package e2e
