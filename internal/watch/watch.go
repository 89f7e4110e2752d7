// Package watch reads files again when they change, and hands them over whole: never
// while they are being written, and never a mixture of two versions.
package watch

import (
	"context"
	"sync"
	"time"
)

// Every is how often Run looks at the files.
const Every = 2 * time.Second

// Options say which files there are and who takes them.
type Options struct {
	Read func() ([]File, error) // reads the files once
	// Take puts the files into force, or returns why it cannot; then those of before
	// stay. err is that of reading, and the files are nil then. It is called by one
	// goroutine at a time.
	Take func(files []File, err error) error
	Rest time.Duration // the time for which the files must be unchanged before they are taken, see [Rest]; 0: they are taken at once
}

// Watcher reads files again when they change. Make it by [New]. It is safe for
// concurrent use.
type Watcher struct {
	o    Options
	hand chan struct{} // holds one for whoever reads

	mu   sync.Mutex // serializes the taking of files
	last string     // how the files looked that were last taken, or found wrong
}

// New returns a Watcher that has taken no files.
func New(o Options) *Watcher { return &Watcher{o: o, hand: make(chan struct{}, 1)} }

// Run reads the files every two seconds until ctx ends, and returns ctx's error. It
// hands over files that have changed and have been at rest for Options.Rest, and errors
// of reading that last as long.
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
			_ = w.take(files, err) // Take has it
		}
	}
}

// changed reports whether the files as they look now are neither those last taken nor
// those last found wrong.
func (w *Watcher) changed(now string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return now != w.last
}

// Reload reads the files again when they are at rest and hands them over. It returns
// what Take did. The files count as unreadable where they do not come to rest within
// about twice Options.Rest, or cannot be read within five seconds.
func (w *Watcher) Reload() error { return w.take(w.rested()) }

// take hands the files over.
func (w *Watcher) take(files []File, err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = look(files, err)
	return w.o.Take(files, err)
}
