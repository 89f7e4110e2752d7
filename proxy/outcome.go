package proxy

import (
	"net/http"

	"osgate/cache"
)

// outcomeOf returns what a complete answer of upstream says of a write. A 4xx but 408
// says that it changed nothing and never will; all that is neither that nor a 2xx
// leaves it open.
//
// A 4xx about the state of the store (no such key, a key that exists, a validator that
// does not match) may contradict what is cached. The others are about the caller or the
// form of the request. To a stranger, a caller that the control plane does not count
// among the members of the organization, a 404 is one of these: it may hide that there
// is something.
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

// stranger reports whether the caller is no member of the organization of the
// operation, by the word of the control plane. That is a hint and no proof: upstream
// alone decides on rights, and the control plane may not name all organizations that a
// caller reaches.
func (x *exchange) stranger() bool { return !x.who.Member(x.op.Ref.Organization) }
