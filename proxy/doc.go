// Package proxy handles a request from start to end: locate, identify, authorize,
// limit, answer, forward, and in every case record.
//
// [Proxy.serve] calls these stages in order, and every decision is made before the
// request is forwarded. A stage is a method in a file of its own. Its results are
// fields of the exchange, which is a parameter of every stage and not hidden in a
// context. An error from any stage becomes an answer in one place, refuse.go.
// [httputil.ReverseProxy] forwards; its hooks copy and make no decision.
//
// The features themselves are in other packages; this one only calls them in order.
package proxy
