package regionmap

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
)

// ErrBusy says that nothing more is looked for at the moment: too many searches are under way, or the gateway is stopping.
var ErrBusy = errors.New("no more stores can be looked for at the moment")

// errNowhere is the outcome of a search that no region answered with the store.
var errNowhere = errors.New("no region has the store")

// AmbiguousError is a store that several regions have: the caller must say which it means. It unwraps to an *[UnknownError].
type AmbiguousError struct {
	Locations []Location // in the table's order; not to be changed
}

// Error returns a sentence that names the locations and the ways to choose one.
func (e *AmbiguousError) Error() string { return e.unknown().Error() }

// Unwrap returns an *[UnknownError] with the same text.
func (e *AmbiguousError) Unwrap() error { return e.unknown() }

func (e *AmbiguousError) unknown() *UnknownError {
	return &UnknownError{Reason: "this store exists in " + list(e.Locations)}
}

// namingWays are the ways that name one region and come before discovery.
const namingWays = "the Host of one of the 17 BASE_URLs, a path prefix /{plane}/{region}, the header " + Header +
	": {plane}/{region}, or a route in OSGATE_ROUTES"

// UndiscoveredError is a store that no region was found to have while some gave no answer, so that nobody knows where it is.
type UndiscoveredError struct {
	Silent []Location // the regions that gave no answer, in the table's order; not to be changed
	Late   bool       // they all ran out of time
	causes []error    // what their probes said
}

// Error returns a sentence that names the regions and what can be done without their answer.
func (e *UndiscoveredError) Error() string {
	return "no region that answered has this store, and there was no answer from " + list(e.Silent) + "; ask again, or use " + namingWays
}

// Unwrap returns what the probes said, in the order of Silent.
func (e *UndiscoveredError) Unwrap() []error { return e.causes }

func list(locations []Location) string {
	names := make([]string, len(locations))
	for i, l := range locations {
		names[i] = l.String()
	}
	return strings.Join(names, ", ")
}

// answer is what one probe returned.
type answer struct {
	finding Finding
	err     error
}

// outcome is what a search found out.
type outcome struct {
	location Location
	partly   bool  // found, but some region gave no answer
	err      error // errNowhere, *AmbiguousError or *UndiscoveredError
}

// weight is about how many bytes it takes to remember a failure.
func (o outcome) weight() uint32 {
	size := 512
	if e, ok := errors.AsType[*UndiscoveredError](o.err); ok {
		for _, cause := range e.causes {
			size += 256 + 2*len(cause.Error())
		}
	}
	return uint32(min(size, math.MaxInt32))
}

// judge draws the conclusion from the answers of all regions, each in its region's place. Of several regions that have the store the default counts.
func judge(regions []Location, answers []answer, fallback Location) outcome {
	var found, silent []Location
	var causes []error
	late := true
	for i, a := range answers {
		switch {
		case a.err != nil:
			silent, causes, late = append(silent, regions[i]), append(causes, a.err), late && timedOut(a.err)
		case a.finding == Found:
			found = append(found, regions[i])
		}
	}
	switch {
	case len(found) > 1 && slices.Contains(found, fallback):
		return outcome{location: fallback, partly: len(silent) > 0}
	case len(found) > 1:
		return outcome{err: &AmbiguousError{Locations: found}}
	case len(found) == 1:
		return outcome{location: found[0], partly: len(silent) > 0}
	case len(silent) > 0:
		return outcome{err: &UndiscoveredError{Silent: silent, Late: late, causes: causes}}
	}
	return outcome{err: errNowhere}
}

// timedOut reports whether err is of a deadline, a context's or the network's.
func timedOut(err error) bool {
	timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return errors.Is(err, context.DeadlineExceeded) || ok && timeout.Timeout()
}
