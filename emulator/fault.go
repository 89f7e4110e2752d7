package emulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Faults are failures that the emulator causes on purpose. The probabilities are from 0
// to 1 and independent of each other. If several faults apply to one request, the first
// of the list below happens.
type Faults struct {
	// Latency is added to each answer, after the request was processed.
	Latency time.Duration
	// Reset is a connection that is reset; the request is not processed.
	Reset float64
	// TooMany is a 429 in the vendor's form; the request is not processed.
	TooMany float64
	// Internal is a 500; the request is not processed.
	Internal float64
	// Cut is a connection that ends in the middle of the answer (before it, if it has
	// no body); the request is processed.
	Cut float64
	// Slow is an answer that is sent in parts over a second; the request is processed.
	Slow float64
	// On are the services that the faults apply to: "objectstore", "accounts", "stats".
	// None means all of them.
	On []string
}

// faultKind is the fault of one exchange.
type faultKind string

const (
	noFault       faultKind = ""
	resetFault    faultKind = "reset"
	tooManyFault  faultKind = "429"
	internalFault faultKind = "500"
	cutFault      faultKind = "cut"
	slowFault     faultKind = "slow"
)

// kinds returns the probability of each kind in the order in which they are decided.
func (f *Faults) kinds() []struct {
	kind        faultKind
	probability *float64
} {
	return []struct {
		kind        faultKind
		probability *float64
	}{
		{resetFault, &f.Reset},
		{tooManyFault, &f.TooMany},
		{internalFault, &f.Internal},
		{cutFault, &f.Cut},
		{slowFault, &f.Slow},
	}
}

// set gives a kind its probability.
func (f *Faults) set(kind string, probability float64) error {
	for _, k := range f.kinds() {
		if string(k.kind) != kind {
			continue
		}
		if !(probability >= 0 && probability <= 1) { // NaN too
			return fmt.Errorf("fault %s: the probability is from 0 to 1", kind)
		}
		*k.probability = probability
		return nil
	}
	return fmt.Errorf("fault %q: not one of reset, 429, 500, cut, slow", kind)
}

// parse reads the form of the -fault flag, "429=0.01,cut=0.1"; "" and "0" are none.
func (f *Faults) parse(text string) error {
	if text == "" || text == "0" {
		return nil
	}
	for part := range strings.SplitSeq(text, ",") {
		kind, number, _ := strings.Cut(strings.TrimSpace(part), "=")
		probability, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return fmt.Errorf("fault %q: not of the form kind=probability", part)
		}
		if err := f.set(kind, probability); err != nil {
			return err
		}
	}
	return nil
}

// check returns the other problems of f.
func (f *Faults) check() error {
	if f.Latency < 0 || f.Latency > time.Hour {
		return errors.New("latency: from 0 to 1h")
	}
	for _, name := range f.On {
		if !slices.Contains([]service{objectStoreService, accountsService, statsService}, service(name)) {
			return fmt.Errorf("on %q: not one of objectstore, accounts, stats", name)
		}
	}
	var problems []error
	for _, k := range f.kinds() {
		problems = append(problems, f.set(string(k.kind), *k.probability))
	}
	return errors.Join(problems...)
}

// MarshalJSON implements json.Marshaler in the form that PUT /_osemu/faults accepts.
func (f Faults) MarshalJSON() ([]byte, error) {
	form := map[string]any{"latency": f.Latency.String()}
	for _, k := range f.kinds() {
		form[string(k.kind)] = *k.probability
	}
	if len(f.On) > 0 {
		form["on"] = f.On
	}
	return json.Marshal(form)
}

// UnmarshalJSON implements json.Unmarshaler for
// {"latency":"20ms","429":0.01,"500":0.01,"reset":0.01,"cut":0.01,"slow":0.01,"on":["accounts"]};
// missing members are zero. The kinds may also be in a member "fault", as an object or
// in the form of the flag.
func (f *Faults) UnmarshalJSON(body []byte) error {
	members, err := decodeObject(body)
	if err != nil {
		return err
	}
	var read Faults
	for name, raw := range members {
		if err := read.member(name, raw); err != nil {
			return err
		}
	}
	*f = read
	return f.check()
}

func (f *Faults) member(name string, raw json.RawMessage) error {
	var text string
	isText := json.Unmarshal(raw, &text) == nil
	switch name {
	case "latency":
		if string(raw) == "0" {
			return nil
		}
		d, err := time.ParseDuration(text)
		if !isText || err != nil {
			return errors.New(`latency: not a duration such as "20ms"`)
		}
		f.Latency = d
		return nil
	case "on":
		if json.Unmarshal(raw, &f.On) != nil {
			return errors.New("on: not a list of services")
		}
		return nil
	case "fault":
		if isText {
			return f.parse(text)
		}
		var kinds map[string]json.RawMessage
		if json.Unmarshal(raw, &kinds) != nil {
			return errors.New("fault: neither text nor an object")
		}
		for kind, probability := range kinds {
			if err := f.member(kind, probability); err != nil {
				return err
			}
		}
		return nil
	}
	probability := math.NaN()
	if json.Unmarshal(raw, &probability) != nil {
		return fmt.Errorf("fault %s: not a number", name)
	}
	return f.set(name, probability)
}

// faults chooses the fault of each exchange. It is safe for concurrent use.
type faults struct {
	dice *dice

	mu  sync.Mutex // guards now
	now Faults
}

func (f *faults) set(to Faults) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = to
}

func (f *faults) current() Faults {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// draw chooses the fault of one exchange. Only possible kinds use a random number, so
// that a seed gives the same faults to the same requests.
func (f *faults) draw(s service) (faultKind, time.Duration) {
	now := f.current()
	if len(now.On) > 0 && !slices.Contains(now.On, string(s)) {
		return noFault, 0
	}
	drawn := noFault
	for _, k := range now.kinds() {
		if *k.probability > 0 && f.dice.float() < *k.probability && drawn == noFault {
			drawn = k.kind
		}
	}
	return drawn, now.Latency
}

// SetFaults replaces the faults for later requests.
func (e *Emulator) SetFaults(f Faults) error {
	if err := f.check(); err != nil {
		return err
	}
	e.faults.set(f)
	return nil
}
