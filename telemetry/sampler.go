package telemetry

import (
	"encoding/binary"
	"math/rand/v2"
	"strconv"
	"strings"

	"osgate/record"
)

// Sampling decides which exchanges are traced before anything is known of them. The zero Sampling traces none.
type Sampling struct {
	share       float64 // of those that are ours to decide: 0 none, 1 all
	parentBased bool    // a caller that is believed decides for its own
	off         bool    // nothing at all, also not what failed
}

// defaultShare of exchanges is traced where nothing is said: what goes wrong is told anyhow.
const defaultShare = 0.01

// readSampling reads OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG (OpenTelemetry Environment Variable Specification, "General SDK
// Configuration"), with a default of its own: parentbased_traceidratio with 1 %.
func readSampling(getenv func(string) string) (s Sampling, err error) {
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
		return s, &ExportError{
			"OTEL_TRACES_SAMPLER",
			"must be always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off or parentbased_traceidratio",
		}
	}
	if argument != "" {
		if ratio, err = strconv.ParseFloat(argument, 64); err != nil || !(ratio >= 0 && ratio <= 1) {
			return s, &ExportError{"OTEL_TRACES_SAMPLER_ARG", "must be a share from 0 to 1"}
		}
	}
	s.share = ratio
	return s, nil
}

// sampled decides on an exchange whose trace is t, begun by a caller if parent is set. Strangers choose their trace ids, so that for them we throw dice of
// our own; a caller that is believed gets the same answer of all who decide by the id.
func (s Sampling) sampled(t *record.Trace, parent, trusted bool) bool {
	if parent && trusted && s.parentBased {
		return t.Sampled
	}
	n := rand.Uint64() //nolint:gosec // nobody gains by guessing it
	if parent && trusted {
		n = binary.BigEndian.Uint64(t.ID[8:])
	}
	return float64(n>>1) < s.share*(1<<63)
}
