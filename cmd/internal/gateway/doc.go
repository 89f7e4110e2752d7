// Package gateway builds the gateway from its parts and runs it. It translates a
// validated config.Config into the options of each package, opens the listeners, and
// stops everything in order. cmd/osgate and cmd/osdemo share it. It is the only package
// that knows all parts, and it makes no decision about a request.
package gateway
