package policy

import (
	"errors"
	"fmt"
	"time"
)

const (
	readWithin  = 5 * time.Second // a file system that is well has answered long before
	maxReadings = 8               // until two in a row agree
)

var (
	errHung     = fmt.Errorf("reading policy: the files could not be read within %v", readWithin)
	errRestless = errors.New("reading policy: the files are being changed all the time")
)

// fetch reads the files. It gives up after readWithin, or when done is closed (nil: never), and leaves behind a reading that hangs in the file system;
// there is never more than one of these, and none begins before it has ended.
func (p *Policy) fetch(done <-chan struct{}) ([]file, error) {
	late := time.NewTimer(readWithin)
	defer late.Stop()
	select {
	case p.hand <- struct{}{}:
	case <-late.C:
		return nil, errHung
	case <-done:
		return nil, errHung
	}
	type outcome struct {
		files []file
		err   error
	}
	read := make(chan outcome, 1)
	go func() {
		files, err := agreed(p.read)
		<-p.hand
		read <- outcome{files, err}
	}()
	select {
	case o := <-read:
		return o.files, o.err
	case <-late.C:
		return nil, errHung
	case <-done:
		return nil, errHung
	}
}

// agreed reads until two readings in a row say the same: of files that are being replaced one after the other, the first may be a mixture of old and new,
// and what it lacks may be a forbid.
func agreed(read func() ([]file, error)) ([]file, error) {
	last := ""
	for range maxReadings {
		files, err := read()
		now := look(files, err)
		if now == last {
			return files, err
		}
		last = now
	}
	return nil, errRestless
}

// look returns what was read in a word: a hash, or the error as text.
func look(files []file, err error) string {
	if err != nil {
		return err.Error()
	}
	return hash(files)
}
