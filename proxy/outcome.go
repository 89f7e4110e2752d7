package proxy

import (
	"net/http"

	"osgate/cache"
)

// outcomeOf returns the outcome of a write with a complete answer from upstream. A 2xx
// means that it was applied. A 4xx except 408 means that it changed nothing and never
// will. Any other status leaves the outcome unknown.
//
// A 4xx about the state of the store (no such key, an existing key, a validator that
// does not match) may contradict a cached answer. Any other 4xx is about the client or
// the form of the request. For a stranger, a client that the control plane does not
// count among the members of the organization, a 404 is of this second kind: it may
// hide an existing resource.
func outcomeOf(status int, stranger bool) cache.WriteOutcome {
	switch {
	case status >= 200 && status < 300:
		return cache.Applied
	case status < 400 || status >= 500 || status == http.StatusRequestTimeout:
		return cache.Unknown
	case status == http.StatusNotFound && stranger:
		return cache.Refused
	}
	switch status {
	case http.StatusNotFound, http.StatusConflict, http.StatusGone, http.StatusPreconditionFailed:
		return cache.Mismatched
	}
	return cache.Refused
}

// stranger reports whether the client is not a member of the operation's organization,
// according to the control plane. That is a hint and no proof: only upstream decides on
// rights, and the control plane may not list all organizations that a client can use.
func (x *exchange) stranger() bool { return !x.identity.Member(x.op.Ref.Organization) }
