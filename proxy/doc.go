// Package proxy is the life of a request: locate, identify, authorize, limit, answer, forward, and at the end, always, record.
//
// The idea a reader needs: [Proxy.serve] is that line, and every decision is made before anything is forwarded. A stage is a method in a file of
// its own; what one learns the next finds in the exchange, which is passed along and not hidden in a context. An error from any stage is turned into
// an answer in one place, refuse.go. Forwarding is [httputil.ReverseProxy], whose hooks copy and never decide.
//
// The capabilities themselves live in other packages; this one only calls them in order.
package proxy
