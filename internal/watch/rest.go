package watch

import "time"

// Rest is the time for which files must be unchanged before a gateway loads them. A
// file that a program writes in pieces, with shorter pauses between them, is never
// loaded incomplete: the missing part may matter, such as a forbid or a route.
const Rest = 4 * time.Second

// rest measures for how long files have been unchanged. The zero value is ready for
// use.
type rest struct {
	look    string
	changed time.Time // the latest modification time of the file system
	since   time.Time // when the files were first seen in this state
}

// left records the state of the files at now, and returns the remaining time until they
// have been unchanged for wanted. Modification times before the first look count;
// modification times in the future, from a clock that is ahead, do not.
func (r *rest) left(files []File, err error, now time.Time, wanted time.Duration) time.Duration {
	seen, changed := look(files, err), Youngest(files)
	if seen != r.look || !changed.Equal(r.changed) || r.since.IsZero() {
		*r = rest{seen, changed, now}
	}
	since := r.since
	if !changed.IsZero() && changed.Before(since) {
		since = changed
	}
	return wanted - now.Sub(since)
}

// Rested reads the files when they are at rest and returns them without calling Take.
// It is for the start of a process. The files count as taken.
func (w *Watcher) Rested() ([]File, error) {
	files, err := w.rested()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = look(files, err)
	return files, err
}

// rested waits until the files are at rest and returns them. It waits for about twice
// Options.Rest at most. It returns at once if the last modification was long enough
// ago, or if the files cannot be read.
func (w *Watcher) rested() ([]File, error) {
	var r rest
	for began := time.Now(); ; {
		files, err := w.fetch(nil)
		left := r.left(files, err, time.Now(), w.o.Rest)
		if left <= 0 || err != nil {
			return files, err
		}
		if time.Since(began) > 2*w.o.Rest {
			return nil, ErrRestless
		}
		<-time.After(min(left, Every))
	}
}
