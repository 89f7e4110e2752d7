package watch

import (
	"errors"
	"fmt"
	"time"
)

// The bounds of reading.
const (
	ReadWithin  = 5 * time.Second // a working file system answers much faster
	MaxReadings = 8               // until two in a row agree
)

// The errors of reading that do not come from the file system.
var (
	ErrHung     = fmt.Errorf("the files could not be read within %v", ReadWithin)
	ErrRestless = errors.New("the files are being changed all the time")
)

// fetch reads the files. It gives up after ReadWithin, or when done is closed (nil:
// never). It then leaves a reading behind that hangs in the file system. There is never
// more than one such reading, and no new one begins before it has ended.
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

// agreed reads until two readings in a row are equal: while files are being replaced
// one after the other, one reading may be a mixture of old and new files, and a forbid
// may be missing from it.
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
