package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Shares maps a class of access lines to the share of its lines that is kept, from 0 to
// 1. All lines of a class without an entry are kept.
type Shares map[string]float64

// sampled lists the classes of access lines that may be sampled. Failures are always
// kept.
var sampled = []string{"hit", "ok", "client_error", "refused"}

// parseShares parses a list of class=share pairs.
func parseShares(text string) (Shares, error) {
	items, err := list(text)
	if err != nil {
		return nil, err
	}
	shares := Shares{}
	for _, item := range items {
		class, value, ok := strings.Cut(item, "=")
		class = strings.TrimSpace(class)
		share, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		_, twice := shares[class]
		switch {
		case !ok || err != nil || !(share >= 0 && share <= 1):
			return nil, fmt.Errorf("%s is not CLASS=SHARE; want a share from 0 to 1, such as hit=0.01", quote(item))
		case !slices.Contains(sampled, class):
			return nil, fmt.Errorf("%s is not a class; want one of %s", quote(class), strings.Join(sampled, ", "))
		case twice:
			return nil, fmt.Errorf("%s is given twice; want it once", quote(class))
		}
		shares[class] = share
	}
	return shares, nil
}
