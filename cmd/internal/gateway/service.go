package gateway

import (
	"fmt"
	"os"
	"strings"
	"time"

	"osgate/internal/sdnotify"
)

// newService returns the way to systemd, which environ describes; nil if systemd did
// not start this process.
func newService(environ []string) (*sdnotify.Notifier, error) {
	lookup := func(name string) (value string) {
		for _, item := range environ {
			if text, ok := strings.CutPrefix(item, name+"="); ok {
				value = text // the last one counts, as for the os package
			}
		}
		return value
	}
	service, err := sdnotify.New(lookup, os.Getpid())
	if err != nil {
		return nil, fmt.Errorf("reporting to systemd: %w", err)
	}
	return service, nil
}

// notified logs that a report did not reach systemd. The gateway serves without it.
func (g *Gateway) notified(err error) {
	if err != nil {
		g.logger.Warn("systemd cannot be notified", "cause", err.Error())
	}
}

// status describes the readiness in one line for systemctl status. It waits for the
// locks of all parts, so that a gateway that is stuck gives no sign of life.
func (g *Gateway) status() string {
	r := g.readiness()
	parts := make([]string, len(r.Reasons))
	for i, reason := range r.Reasons {
		parts[i] = reason.Part
	}
	if len(parts) == 0 {
		return string(r.Status)
	}
	return string(r.Status) + ": " + strings.Join(parts, ", ")
}

// flushGrace is how long the end of a gateway takes at most after its drain, until its
// counts, telemetry and log are written.
const flushGrace = 25 * time.Second

// stopping reports to systemd that the gateway drains, and how long that may take.
func (g *Gateway) stopping() {
	within := g.config.Server.DrainDelay + g.config.Server.DrainTimeout + flushGrace
	g.notified(g.service.Stopping(g.status(), within))
}
