package watch

import (
	"errors"
	"fmt"
	"time"
)

// The bounds of reading.
const (
	ReadWithin  = 5 * time.Second // a file system that is well has answered long before
	MaxReadings = 8               // until two in a row agree
)

// The errors of reading that are not the file system's own.
var (
	ErrHung     = fmt.Errorf("the files could not be read within %v", ReadWithin)
	ErrRestless = errors.New("the files are being changed all the time")
)

// fetch reads the files. It gives up after ReadWithin, or when done is closed (nil: never), and leaves behind a reading that hangs in the file system;
// there is never more than one of these, and none begins before it has ended.
func (w *Watcher) fetch(done <-chan struct{}) ([]File, error) {
	late := time.NewTimer(ReadWithin)
	defer late.Stop()
	select {
	case w.hand <- struct{}{}:
	case <-late.C:
		return nil, ErrHung
	case <-done:
		return nil, ErrHung
	}
	type outcome struct {
		files []File
		err   error
	}
	read := make(chan outcome, 1)
	go func() {
		files, err := agreed(w.o.Read)
		<-w.hand
		read <- outcome{files, err}
	}()
	select {
	case o := <-read:
		return o.files, o.err
	case <-late.C:
		return nil, ErrHung
	case <-done:
		return nil, ErrHung
	}
}

// agreed reads until two readings in a row say the same: of files that are being replaced one after the other, the first may be a mixture of old and new,
// and what it lacks may be a forbid.
func agreed(read func() ([]File, error)) ([]File, error) {
	last := ""
	for range MaxReadings {
		files, err := read()
		now := look(files, err)
		if now == last {
			return files, err
		}
		last = now
	}
	return nil, ErrRestless
}
