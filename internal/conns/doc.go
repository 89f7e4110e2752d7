// Package conns is the listener's side of client connections: how many there may be
// and which one is closed for a new one, who does the TLS handshake, and whether the
// HTTP/1 requests on a connection are framed in one way only. It knows nothing of what
// requests mean.
package conns
