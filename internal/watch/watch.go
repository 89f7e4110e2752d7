// Package watch reads files again when they change, and passes complete files on: never
// files that are being written, and never a mixture of two versions.
package watch

import (
	"context"
	"sync"
	"time"
)

// Every is how often Run looks at the files.
const Every = 2 * time.Second

// Options define which files a [Watcher] reads and what receives them.
type Options struct {
	Read func() ([]File, error) // reads the files once
	// Take puts the files into force. If it returns an error, the previous files stay
	// in force. err is the error of reading; then files is nil. Only one goroutine
	// calls Take at a time.
	Take func(files []File, err error) error
	// the time for which the files must be unchanged before they are taken, see [Rest];
	// 0: they are taken at once
	Rest time.Duration
}

// Watcher reads files again when they change. Make it by [New]. It is safe for
// concurrent use.
type Watcher struct {
	o    Options
	hand chan struct{} // holds one element while a goroutine reads

	mu   sync.Mutex // serializes the taking of files
	last string     // look of the files that were last taken or refused
}

// New returns a Watcher that has taken no files.
func New(o Options) *Watcher { return &Watcher{o: o, hand: make(chan struct{}, 1)} }

// Run reads the files every two seconds until ctx ends, and returns ctx's error. It
// passes files to Take if they have changed and have been at rest for Options.Rest, and
// errors of reading that have lasted as long.
func (w *Watcher) Run(ctx context.Context) error {
	ticker := time.NewTicker(Every)
	defer ticker.Stop()
	var r rest
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		files, err := w.fetch(ctx.Done())
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !w.changed(look(files, err)):
			r = rest{}
		case r.left(files, err, time.Now(), w.o.Rest) <= 0:
			_ = w.take(files, err) // Take has received the error
		}
	}
}

// changed reports whether the state of the files now differs from the one that was last
// taken or refused.
func (w *Watcher) changed(now string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return now != w.last
}

// Reload reads the files again when they are at rest and passes them to Take. It
// returns Take's error. The files count as unreadable if they do not come to rest
// within about twice Options.Rest, or cannot be read within five seconds.
func (w *Watcher) Reload() error { return w.take(w.rested()) }

// take passes the files to Take.
func (w *Watcher) take(files []File, err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = look(files, err)
	return w.o.Take(files, err)
}
