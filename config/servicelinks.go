package config

import "regexp"

// Kubernetes sets variables for each Service in the namespace of a pod. Those of the
// Service osgate begin with OSGATE_SERVICE_ and OSGATE_PORT, those of a Service
// osgate-admin with OSGATE_ADMIN_; they are not settings. For any other Service only
// the exact forms count, so that a misspelled setting is still refused.
var (
	ownLink   = regexp.MustCompile(`^` + Prefix + `(SERVICE_|PORT)`)
	otherLink = regexp.MustCompile(`^` + Prefix + `[A-Z0-9_]+_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)
	otherPort = regexp.MustCompile(`^` + Prefix + `[A-Z0-9_]+_PORT=(tcp|udp|sctp)://`)
)

// injected reports whether item of the environment ("NAME=value") is a variable that
// Kubernetes sets for a Service. A name that ends in _PORT counts only with an address,
// as Kubernetes writes it.
func injected(name, item string) bool {
	return ownLink.MatchString(name) || otherLink.MatchString(name) || otherPort.MatchString(item)
}
