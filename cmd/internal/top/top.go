// Package top shows in a terminal what a running gateway is doing: the first screen of
// the operator's page, from the same JSON.
//
// The idea a reader needs: an overview is a value, and a frame of it is a pure function
// of the overview and the size of the screen. Only screen.go and the files of the
// keyboard and the terminal know escape sequences and modes.
package top

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// Options describes which gateway [Run] shows, and where.
type Options struct {
	Admin    string        // URL of the admin listener, without a trailing slash
	Token    string        // of the operator; empty: none
	TLS      *tls.Config   // how the certificate of the listener is verified; nil: by the system's authorities
	Once     bool          // show one frame, even on a terminal
	Interval time.Duration // between two frames
	Client   string        // the id of a client to show in detail; empty: the overview

	In     io.Reader // keys are read if it is a terminal
	Out    io.Writer // one plain frame is written if it is no terminal
	Getenv func(name string) string
}

// Run shows the activity of a gateway: again and again on a terminal, until ctx ends or
// a key requests the end, otherwise once. It returns an error if the gateway does not
// answer the first request, or if the terminal cannot be written.
func Run(ctx context.Context, o Options) error {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: requestTimeout, TLSClientConfig: o.TLS,
	}
	who := operator{base: o.Admin, token: o.Token, transport: transport}
	first, err := who.overview(ctx, o.Client)
	if err != nil {
		return fmt.Errorf("requesting %s: %w", o.Admin, err)
	}
	screen := newScreen(o)
	if o.Once || screen.pipe || screen.dumb {
		_, _ = fmt.Fprintln(o.Out, frame(first, view{
			width: screen.columns(), color: screen.color, source: o.Admin, choice: choice{client: o.Client},
		}))
		return nil
	}
	screen.keys = newKeyboard(o.In)
	changes, quiet := windowChanges()
	defer quiet()
	err = watch(ctx, screen, first, watched{
		source: o.Admin, interval: o.Interval, client: o.Client, ask: who.overview, changes: changes,
	})
	if err != nil {
		return fmt.Errorf("writing to the terminal: %w", err)
	}
	return nil
}

// newScreen returns a screen for the output of o.
func newScreen(o Options) *screen {
	s := &screen{out: o.Out, pipe: true, dumb: o.Getenv("TERM") == "dumb", lookup: o.Getenv}
	if f, ok := o.Out.(*os.File); ok && isTerminal(f) {
		s.pipe, s.file = false, f
	}
	s.color = !s.pipe && !s.dumb && o.Getenv("NO_COLOR") == ""
	return s
}
