package policy

import "time"

// Rest is how long the files of a policy in force must have been unchanged before they are taken. Files that a program writes in pieces, with shorter
// pauses between them, are never taken half: what the missing part forbids would be permitted.
const Rest = 4 * time.Second

// rest is since when files look as they do. The zero value has seen none.
type rest struct {
	look    string
	changed time.Time // by the file system
	since   time.Time // when they were first seen so
}

// left takes in what a look at now found, and returns how much longer that has to stay so until it has been so for wanted. What the file system says of
// the time before the first look counts too, unless its clock is ahead of ours.
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

// youngest returns when the file system says that the last of the files was changed; zero: it does not say.
func youngest(files []file) (last time.Time) {
	for _, f := range files {
		last = latest(last, f.changed)
	}
	return last
}

// rested reads the files once they are at rest. It waits for twice Options.Rest at most, and not at all for files that have been at rest for long or cannot
// be read.
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
