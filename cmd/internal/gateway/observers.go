package gateway

import (
	"errors"
	"log/slog"
	"net/http"

	"osgate/admin"
	"osgate/internal/conns"
)

// observer is a server for operators, probes or scrapers. It serves from the start of
// the listeners to the end of the drain.
type observer struct {
	*http.Server
	listener *conns.Listener
}

// observerServers returns the servers of the admin listener and, if there is one, of
// the metrics listener.
func (g *Gateway) observerServers() ([]observer, error) {
	operators, err := g.adminServer()
	if err != nil {
		return nil, err
	}
	all := []observer{{operators, g.admin}}
	if g.scrapes != nil {
		all = append(all, observer{g.metricsServer(), g.scrapes})
	}
	return all, nil
}

// metricsServer returns the server of the metrics listener.
func (g *Gateway) metricsServer() *http.Server {
	server := &http.Server{
		Handler: admin.NewProbes(admin.ProbesOptions{
			Loopback: g.config.Metrics.Loopback(), Readiness: g.readiness,
			Metrics: g.metrics.Handler(), Logger: g.logger,
		}),
		DisableGeneralOptionsHandler: true, // "OPTIONS *" is 404 as any other path
		ReadHeaderTimeout:            readHeaderTimeout, ReadTimeout: adminTimeout, WriteTimeout: adminTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(g.logger.Handler(), slog.LevelDebug),
	}
	g.scrapes.Attach(server)
	return server
}

// listeners returns the open listeners.
func (g *Gateway) listeners() []*conns.Listener {
	all := []*conns.Listener{g.clients, g.admin}
	if g.scrapes != nil {
		all = append(all, g.scrapes)
	}
	return all
}

// closeListeners closes the listeners of a gateway that does not serve.
func (g *Gateway) closeListeners() (err error) {
	for _, listener := range g.listeners() {
		err = errors.Join(err, listener.Close())
	}
	return err
}
