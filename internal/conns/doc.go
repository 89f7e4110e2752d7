// Package conns is the listener's side of client connections: it bounds their number,
// chooses which one is closed for a new one, does the TLS handshake, and checks whether
// the HTTP/1 requests on a connection are framed in only one way. It does not interpret
// requests.
package conns
