// Package policy says whether a principal may do an operation in a place: the rules that an organization lays above what Anypoint's own scopes
// can say. Token checks come before it, quotas after it, and Object Store still judges every request that goes on.
//
// The idea a reader needs: a decision is a function of facts already known and of an immutable set of rules ([Rules]), and it names the rule that
// made it. Rules are Cedar policies; deny is the default once there is a policy, forbid beats permit, and without a policy everything is permitted.
//
// # Vocabulary
//
// The principal is Client::"<client id>", or User::"<user id>" where the control plane names no client, in its Organization::"<id>"s. The action is
// the operation's name in the groups read, write, delete and admin ([Schema] has them all); a confirmable read is in write too. The resource is what
// the operation is about, each in the next:
//
//	Key::"<environment>/<store>/<partition>/<key>"
//	Partition::"<environment>/<store>/<partition>"
//	Store::"<environment>/<store>"
//	Environment::"<environment>"
//	Organization::"<organization>"
//
// Environments may hold stores of one name, so an id begins with the environment. A store is also in Store::"<store>", which stands for the stores of
// that name in all environments. In an id, "/" within a name is written %2F and "%" is written %25. A store that is in several regions is one resource: rules
// tell regions by resource.region.
//
// Every resource has all eight attributes as strings, "" where it is above their level, so that resource.store like "APP_billing*" can be asked
// of anything and is false of a list of stores.
//
// # Failing
//
// Cedar skips a policy whose evaluation fails, which would let a request pass an erring forbid. Here a forbid that fails denies; a permit that fails
// does not permit. What failed is told in words that hold no name, key or value.
//
// The package does no I/O in a decision and knows no HTTP: the proxy hands it facts.
package policy
