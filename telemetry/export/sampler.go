package export

import (
	"encoding/binary"
	"math/rand/v2"
	"strconv"
	"strings"

	"osgate/record"
)

// sampling decides, before an exchange begins, whether it is traced. The zero sampling
// traces none.
type sampling struct {
	share       float64 // of the exchanges without a parent's decision: 0 none, 1 all
	parentBased bool    // a trusted caller decides for its exchanges
	off         bool    // trace nothing, not even failures
}

// defaultShare is the share of traced exchanges if no share is set. Failures are traced
// in any case.
const defaultShare = 0.01

// readSampling reads OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG (OpenTelemetry
// Environment Variable Specification, "General SDK Configuration"). Its default
// differs: parentbased_traceidratio with 1 %.
func readSampling(getenv func(string) string) (s sampling, err error) {
	name, argument := strings.ToLower(getenv("OTEL_TRACES_SAMPLER")), getenv("OTEL_TRACES_SAMPLER_ARG")
	ratio := 1.0
	switch name {
	case "":
		s.parentBased, ratio = true, defaultShare
	case "always_on", "parentbased_always_on":
		argument, s.parentBased = "", name != "always_on"
	case "always_off", "parentbased_always_off":
		argument, s.parentBased, ratio, s.off = "", name != "always_off", 0, name == "always_off"
	case "traceidratio", "parentbased_traceidratio":
		s.parentBased = name != "traceidratio"
	default:
		return s, &VariableError{
			"OTEL_TRACES_SAMPLER",
			"must be always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off or parentbased_traceidratio",
		}
	}
	if argument != "" {
		if ratio, err = strconv.ParseFloat(argument, 64); err != nil || !(ratio >= 0 && ratio <= 1) {
			return s, &VariableError{"OTEL_TRACES_SAMPLER_ARG", "must be a share from 0 to 1"}
		}
	}
	s.share = ratio
	return s, nil
}

// sampled decides on an exchange with trace t. parent reports whether a caller began
// the trace. Untrusted callers can choose their trace ids, so their exchanges are
// sampled at random. For a trusted caller the id decides, so that all services that
// decide by the id agree.
func (s sampling) sampled(t *record.Trace, parent, trusted bool) bool {
	if parent && trusted && s.parentBased {
		return t.Sampled
	}
	n := rand.Uint64() //nolint:gosec // guessing it has no use
	if parent && trusted {
		n = binary.BigEndian.Uint64(t.ID[8:])
	}
	return float64(n>>1) < s.share*(1<<63)
}
