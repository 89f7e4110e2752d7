package policy

import "time"

// Rest is the time for which policy files must be unchanged before a gateway loads
// them. A file that a program writes in pieces, with shorter pauses between them, is
// never loaded incomplete; a missing forbid would permit requests.
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
func (r *rest) left(files []file, err error, now time.Time, wanted time.Duration) time.Duration {
	seen, changed := look(files, err), youngest(files)
	if seen != r.look || !changed.Equal(r.changed) || r.since.IsZero() {
		*r = rest{seen, changed, now}
	}
	since := r.since
	if !changed.IsZero() && changed.Before(since) {
		since = changed
	}
	return wanted - now.Sub(since)
}

// youngest returns the latest modification time of the files; zero: unknown.
func youngest(files []file) (last time.Time) {
	for _, f := range files {
		last = latest(last, f.changed)
	}
	return last
}

// rested waits until the files are at rest and returns them. It waits for about twice
// Options.Rest at most. It returns at once if the files were last modified long enough
// ago, or cannot be read.
func (p *Policy) rested() ([]file, error) {
	var r rest
	for began := time.Now(); ; {
		files, err := p.fetch(nil)
		left := r.left(files, err, time.Now(), p.o.Rest)
		if left <= 0 || err != nil {
			return files, err
		}
		if time.Since(began) > 2*p.o.Rest {
			return nil, errRestless
		}
		<-time.After(min(left, pollEvery))
	}
}
