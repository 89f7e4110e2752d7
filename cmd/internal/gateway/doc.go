// Package gateway puts the gateway together out of its parts and runs it: it translates a validated config.Config into each package's own options,
// opens the listeners, and stops everything in order. It is what cmd/osgate and cmd/osdemo share, and the only place that knows all parts; it decides
// nothing about a request.
package gateway
