// Package clientcert identifies clients by their certificates. A certificate arrives in
// the TLS handshake, or in a header of a proxy that has terminated TLS.
//
// A [Verifier] checks each certificate itself, wherever it came from: against the CA
// file and the CRL file in force, and the time of the request. So a certificate that is
// revoked, or whose CA is removed, is refused at the next request of an open connection,
// and after a resumed handshake too. A certificate that was checked before costs one
// lookup in a map.
package clientcert
