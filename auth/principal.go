package auth

import (
	"slices"
	"time"
)

// Principal is who calls, as the control plane of one plane says. It is read-only once made and may be shared.
type Principal struct {
	Plane         string
	Client        string         // client ID; empty where the control plane names none
	User          string         // id of the user that the client acts for; empty for a client_credentials app
	Organizations []string       // ids of all organizations it belongs to, sub-organizations included
	Trees         []Organization // what is known of root organizations and what is below them
	Expires       time.Time      // when its token ends by its control plane's word; zero: unknown. Nothing said of the token holds beyond it
}

// Organization is a root organization with its sub-organizations, direct and indirect.
type Organization struct {
	Root string // empty: not known, only that the others are sub-organizations
	Subs []string
}

// Name returns the name under which quotas, policy and logs know p: its client ID, or "user:" and the user's id where there is no client.
func (p *Principal) Name() string {
	if p.Client != "" {
		return p.Client
	}
	return "user:" + p.User
}

// Member reports whether p belongs to organization.
func (p *Principal) Member(organization string) bool {
	return slices.Contains(p.Organizations, organization)
}

// over reports whether p's token has ended at now.
func (p *Principal) expired(now time.Time) bool { return !p.Expires.IsZero() && !now.Before(p.Expires) }

// Identity is the outcome of identification.
type Identity struct {
	*Principal
	Hash  [32]byte      // keyed hash of plane, validator and token: what may stand for the token in memory and in Redis
	Stale bool          // the control plane is down and this is what it said before: good for forwarding, not for answering ourselves
	Age   time.Duration // since the control plane was asked
}
