package regionmap

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
)

// ErrBusy reports that no search can start at the moment: too many searches are under
// way, or the gateway is stopping.
var ErrBusy = errors.New("no further search for a store can start at the moment")

// errNowhere is the result of a search in which no region had the store.
var errNowhere = errors.New("no region has the store")

// AmbiguousError reports that several regions have a store, so that the caller must
// name the region. It unwraps to an *[UnknownError].
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

// namingWays are the ways that name a region and are used before discovery.
const namingWays = "the Host of one of the 17 BASE_URLs, a path prefix /{plane}/{region}, the header " + Header +
	": {plane}/{region}, or a route in OSGATE_ROUTES"

// UndiscoveredError reports that no region was found to have a store while others did
// not answer, so that its location is unknown.
type UndiscoveredError struct {
	Silent []Location // the regions that did not answer, in the table's order; not to be changed
	Late   bool       // all of them exceeded the time limit
	causes []error    // the errors of their probes
}

// Error returns a sentence that names the regions and the ways that work without their
// answer.
func (e *UndiscoveredError) Error() string {
	return "no region that answered has this store, and no answer came from " + list(e.Silent) + "; try again, or use " + namingWays
}

// Unwrap returns the errors of the probes, in the order of Silent.
func (e *UndiscoveredError) Unwrap() []error { return e.causes }

func list(locations []Location) string {
	names := make([]string, len(locations))
	for i, l := range locations {
		names[i] = l.String()
	}
	return strings.Join(names, ", ")
}

// answer is the result of one probe.
type answer struct {
	finding Finding
	err     error
}

// outcome is the result of a search.
type outcome struct {
	location Location
	partly   bool  // found, but at least one region did not answer
	err      error // errNowhere, *AmbiguousError or *UndiscoveredError
}

// weight returns the approximate number of bytes that a remembered failure uses.
func (o outcome) weight() uint32 {
	size := 512
	if e, ok := errors.AsType[*UndiscoveredError](o.err); ok {
		for _, cause := range e.causes {
			size += 256 + 2*len(cause.Error())
		}
	}
	return uint32(min(size, math.MaxInt32))
}

// judge returns the outcome for the answers of all regions; answers[i] is the answer of
// regions[i]. If several regions have the store and the default is one of them, the
// outcome is the default.
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

// timedOut reports whether err is a deadline of a context or of the network.
func timedOut(err error) bool {
	timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return errors.Is(err, context.DeadlineExceeded) || ok && timeout.Timeout()
}
