// Package policy decides whether a principal may do an operation in a place, by rules
// of an organization that are stricter than Anypoint's own scopes. Token checks come
// before it, quotas after it, and Object Store still checks every request that is
// forwarded.
//
// The idea a reader needs: a decision is a function of known facts and of an immutable
// set of rules ([Rules]), and it names the rule that made it. Rules are Cedar policies:
// with a policy, the default is to deny, and forbid takes precedence over permit; without
// a policy, everything is permitted.
//
// # Vocabulary
//
// The principal is Client::"<client id>", or User::"<user id>" if the control plane names
// no client, in its Organization::"<id>"s. The action is the operation's name in the
// groups read, write, delete and admin ([Schema] lists them all); a confirmable read is
// in write too. The resource is one of these, each in the next:
//
//	Key::"<environment>/<store>/<partition>/<key>"
//	Partition::"<environment>/<store>/<partition>"
//	Store::"<environment>/<store>"
//	Environment::"<environment>"
//	Organization::"<organization>"
//
// Two environments may have stores of one name, so an id begins with the environment. A
// store is also in Store::"<store>", which contains the stores of that name in all
// environments. In an id, "/" within a name is written %2F and "%" is written %25. A
// store that is in several regions is one resource; rules distinguish regions by
// resource.region.
//
// Every resource has all eight attributes as strings. Those below its level are "", so
// that a rule can test resource.store like "APP_billing*" for any resource: it is false
// for a list of stores.
//
// # Failing
//
// Cedar skips a policy whose evaluation fails, so that a forbid that fails would let a
// request pass. Here, a forbid that fails denies, and a permit that fails does not permit.
// The reported error contains no name, key or value.
//
// # Remembering
//
// Rules read some facts of a request ([facts]). Those that many requests have in common
// make a question, and the decision on a question is remembered with the rules.
//
// The package does no I/O in a decision and does not depend on HTTP: the proxy provides
// the facts.
package policy
