package gateway

import (
	"fmt"
	"io"
	"sync"
	"time"

	"osgate/config"
	"osgate/internal/conns"
	"osgate/telemetry/logwriter"
)

// heldBack is a writer that blocks until it is released. It is safe for concurrent use.
type heldBack struct {
	io.Writer
	release func()
	over    chan struct{} // closed by release
}

func holdBack(w io.Writer) *heldBack {
	h := &heldBack{Writer: w, over: make(chan struct{})}
	h.release = sync.OnceFunc(func() { close(h.over) })
	return h
}

// Write implements [io.Writer].
func (h *heldBack) Write(p []byte) (int, error) {
	<-h.over
	return h.Writer.Write(p) //nolint:wrapcheck // the error is the other writer's
}

// announceWithin bounds how long the start waits for the addresses to be read.
const announceWithin = 2 * time.Second

// announce reports that the gateway serves: it writes the addresses to Out for
// programs, and logs the main settings and the notes for operators.
func (g *Gateway) announce() {
	if g.options.Out != nil {
		// The reader may be absent or leave, which must not keep the gateway from
		// serving.
		out := logwriter.New(g.options.Out, nil)
		fmt.Fprintf(out, "clients %s\nadmin %s\n", g.ClientsURL(), g.AdminURL())
		if g.scrapes != nil {
			fmt.Fprintf(out, "metrics %s\n", g.MetricsURL())
		}
		out.Flush(announceWithin)
	}
	g.console.release() // programs read these lines first
	state := "embedded"
	if g.redis != nil {
		state = g.redis.String()
	}
	fields := []any{"version", g.version, "clients", g.ClientsURL(), "admin", g.AdminURL(), "state", state}
	if g.scrapes != nil {
		fields = append(fields, "metrics", g.MetricsURL())
	}
	g.logger.Info("serving", fields...)
	for _, note := range g.notes() {
		g.logger.Warn("note", "consequence", note)
	}
}

// notes returns the consequences of the configuration that may surprise an operator.
func (g *Gateway) notes() (notes []string) {
	c := g.config
	if g.redis == nil && c.StateDir == "" {
		notes = append(notes, "statistics are kept in memory only and are lost when this process ends; set OSGATE_STATE_DIR or OSGATE_REDIS_URL")
	}
	if g.plain != nil {
		notes = append(notes, "OSGATE_CACHE_MODE=rfc9111: this is a plain HTTP cache in front of OSGATE_UPSTREAM_OVERRIDE, without identity, policy or quota")
	}
	if g.redis != nil && c.Secret.Reveal() == "" {
		notes = append(notes, "without OSGATE_SECRET neither bodies nor identities are shared between replicas")
	}
	if c.Accounts && g.certs == nil && !c.Listen.Loopback() {
		notes = append(notes, "Access Management calls carry secrets and arrive over plain HTTP; set OSGATE_TLS_CERT and _KEY, or OSGATE_ACCOUNTS=false")
	}
	if c.Admin.Token.Reveal() != "" && c.Admin.ShortToken() {
		notes = append(notes, fmt.Sprintf(
			"OSGATE_ADMIN_TOKEN has fewer than %d characters: it can be guessed; set a random one",
			config.MinAdminToken))
	}
	if g.adminCerts == nil && !c.Admin.Listen.Loopback() {
		notes = append(notes, "OSGATE_ADMIN_TOKEN arrives over plain HTTP; "+
			"set OSGATE_ADMIN_TLS_CERT and _KEY, or use a proxy with TLS on this machine and OSGATE_ADMIN_LISTEN on loopback")
	}
	if g.redis == nil && c.Rate.Replicas > 1 {
		notes = append(notes, "without OSGATE_REDIS_URL each replica counts separately: a client has its full quota in each of OSGATE_REPLICAS")
	}
	if g.redis != nil && c.StateDir != "" {
		notes = append(notes, "OSGATE_STATE_DIR is not used: statistics are kept in Redis")
	}
	if !c.Auth.Methods.Has(introspect) && (c.Auth.ClientID != "" || c.Auth.IntrospectionURL.Reveal() != nil) {
		notes = append(notes,
			"OSGATE_AUTH_CLIENT_ID and OSGATE_AUTH_INTROSPECTION_URL are not used: OSGATE_AUTH does not list introspect")
	}
	if u := c.Auth.IntrospectionURL.Reveal(); c.Auth.Methods.Has(introspect) && u != nil && u.Scheme == "http" {
		notes = append(notes,
			"OSGATE_AUTH_INTROSPECTION_URL is plain HTTP: the client secret and every token are sent to it unencrypted")
	}
	if c.Auth.Methods.Has(introspect) && c.Auth.IntrospectionURL.Reveal() != nil && len(g.regions.EnabledPlanes()) > 1 {
		notes = append(notes, "OSGATE_AUTH_INTROSPECTION_URL validates the tokens of all control planes; set OSGATE_PLANES to the plane that it belongs to")
	}
	if share, limit := shares(c), conns.Descriptors(); share.Sum() > limit {
		notes = append(notes, fmt.Sprintf(
			"OSGATE_MAX_CONNECTIONS and the rest of the process may need %d file descriptors, but the limit is %d; "+
				"raise the limit (ulimit -n, LimitNOFILE)", share.Sum(), limit))
	}
	notes = append(notes, g.brokering.notes(c)...)
	if c.Upstream.Override.Reveal() != nil {
		notes = append(notes, "every upstream call goes to OSGATE_UPSTREAM_OVERRIDE and not to Anypoint")
	}
	return notes
}
