// Package broker connects clients that have no Anypoint credential with Object Store.
//
// The idea a reader needs: a client's credential ends at the gateway. One of several
// [Method] values identifies the [auth.Caller] ([Identifier]), policy decides what it
// may do, and upstream receives a token of the gateway's own connected app ([Tokens]).
// The client's credential never goes upstream, and the gateway's token never to a
// client.
//
// The gateway's token is minted once for all requests of a plane. It is replaced ahead
// of its end while it is in use, and after upstream refused it. A mint that fails
// has no effect while the old token lives. Neither the token nor the secret is stored,
// printed or logged.
//
// The organizations of all callers on a plane are those of the connected app: its
// control plane names them once, and they stay in use while the plane is down.
package broker
