package auth

import (
	"slices"
	"time"
)

// Principal is the caller, as one control plane or another method identifies it. It is
// read-only once made and may be shared.
type Principal struct {
	Plane         string
	Client        string         // client ID; empty if the control plane names none
	User          string         // id of the user that the client acts for; empty for a client_credentials app
	Organizations []string       // ids of all organizations it belongs to, sub-organizations included
	Trees         []Organization // known root organizations and their sub-organizations
	// Expires is when the token ends, by its control plane; zero: unknown. No answer
	// about the token is used beyond it.
	Expires time.Time

	// Method and Issuer are those of a [Caller] without an Anypoint credential; empty
	// for one with an Anypoint token. Organizations and Trees are then the gateway's
	// own. They are not shared with other gateways.
	Method Method `json:"-"`
	Issuer string `json:"-"`
}

// Organization is a root organization with its sub-organizations, direct and indirect.
type Organization struct {
	Root string // empty: unknown, only that Subs are sub-organizations of one root
	Subs []string
}

// Name returns the name of p in quotas, policy and logs: its client ID, or "user:" and
// the user's id if there is no client.
func (p *Principal) Name() string {
	if p.Client != "" {
		return p.Client
	}
	return userPrefix + p.User
}

// userPrefix begins the name of a principal without a client.
const userPrefix = "user:"

// Brokered reports whether p has no Anypoint credential, so that its requests go
// upstream with the gateway's own token.
func (p *Principal) Brokered() bool { return p.Method != "" }

// Member reports whether p belongs to organization.
func (p *Principal) Member(organization string) bool {
	return slices.Contains(p.Organizations, organization)
}

// expired reports whether p's token has ended at now.
func (p *Principal) expired(now time.Time) bool { return !p.Expires.IsZero() && !now.Before(p.Expires) }

// Identity is the result of identification.
type Identity struct {
	*Principal
	// Hash is the keyed hash of plane, validator and token. It may represent the token
	// in memory and in Redis.
	Hash [32]byte
	// Stale means that the control plane is down and this is its earlier answer:
	// requests may be forwarded, but not answered by the gateway itself.
	Stale bool
	Age   time.Duration // since the control plane was asked
}
