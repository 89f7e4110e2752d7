package record_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"osgate/record"
)

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanID  = "00f067aa0ba902b7"
)

func TestOnlyAValidTraceparentIsATrace(t *testing.T) {
	for name, tt := range map[string]struct {
		lines       []string
		ok, sampled bool
	}{
		"sampled":                       {[]string{"00-" + traceID + "-" + spanID + "-01"}, true, true},
		"not sampled":                   {[]string{"00-" + traceID + "-" + spanID + "-00"}, true, false},
		"flags of level 2":              {[]string{"00-" + traceID + "-" + spanID + "-03"}, true, true},
		"a version to come":             {[]string{"cc-" + traceID + "-" + spanID + "-01"}, true, true},
		"a version to come, and more":   {[]string{"cc-" + traceID + "-" + spanID + "-01-more"}, true, true},
		"a version to come, run on":     {[]string{"cc-" + traceID + "-" + spanID + "-01x"}, false, false},
		"version 00 and more":           {[]string{"00-" + traceID + "-" + spanID + "-01-more"}, false, false},
		"version ff":                    {[]string{"ff-" + traceID + "-" + spanID + "-01"}, false, false},
		"none":                          {nil, false, false},
		"empty":                         {[]string{""}, false, false},
		"two":                           {[]string{"00-" + traceID + "-" + spanID + "-01", "00-" + traceID + "-" + spanID + "-01"}, false, false},
		"upper case":                    {[]string{"00-" + strings.ToUpper(traceID) + "-" + spanID + "-01"}, false, false},
		"no trace":                      {[]string{"00-" + strings.Repeat("0", 32) + "-" + spanID + "-01"}, false, false},
		"no span":                       {[]string{"00-" + traceID + "-" + strings.Repeat("0", 16) + "-01"}, false, false},
		"too short":                     {[]string{"00-" + traceID + "-" + spanID + "-0"}, false, false},
		"not a dash":                    {[]string{"00-" + traceID + "_" + spanID + "-01"}, false, false},
		"not a number":                  {[]string{"00-" + traceID[1:] + "g-" + spanID + "-01"}, false, false},
		"flags that are not hex":        {[]string{"00-" + traceID + "-" + spanID + "-0x"}, false, false},
		"a version that is not hex":     {[]string{"0x-" + traceID + "-" + spanID + "-01"}, false, false},
		"a colon, which follows on '9'": {[]string{"00-" + traceID[1:] + ":-" + spanID + "-01"}, false, false},
	} {
		got, ok := record.ReadTrace(http.Header{record.Traceparent: tt.lines})
		if ok != tt.ok || got.Sampled != tt.sampled || got.On() != tt.ok {
			t.Errorf("%s: %+v, %t", name, got, ok)
		}
		if want := "00-" + traceID + "-" + spanID + "-0"; ok && !strings.HasPrefix(got.Text(got.Parent), want) {
			t.Errorf("%s: written as %q, want %q…", name, got.Text(got.Parent), want)
		}
	}
}

func TestTracestateIsPassedOnWholeOrNotAtAll(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat("k=v,", 32), ",")
	var distinct []string
	for i := range 33 {
		distinct = append(distinct, string(rune('a'+i%26))+strings.Repeat("x", i/26)+"=1")
	}
	for name, tt := range map[string]struct {
		lines []string
		want  string
	}{
		"one":                     {[]string{"vendor=1"}, "vendor=1"},
		"two lines":               {[]string{"a=1", "b=2"}, "a=1,b=2"},
		"a tenant":                {[]string{"tenant@vendor=x/y"}, "tenant@vendor=x/y"},
		"spaces around, and none": {[]string{"a=1 , ,b=2"}, "a=1 , ,b=2"},
		"32 members":              {[]string{strings.Join(distinct[:32], ",")}, strings.Join(distinct[:32], ",")},
		"33 members":              {[]string{strings.Join(distinct, ",")}, ""},
		"the same key twice":      {[]string{many}, ""},
		"no value":                {[]string{"a"}, ""},
		"an empty value":          {[]string{"a="}, ""},
		"an upper-case key":       {[]string{"A=1"}, ""},
		"an equals sign":          {[]string{"a=1=2"}, ""},
		"a line break":            {[]string{"a=1\n"}, ""},
		"nothing but a comma":     {[]string{","}, ""},
		"too long":                {[]string{"a=" + strings.Repeat("x", 250) + ",b=" + strings.Repeat("x", 250) + ",c=" + strings.Repeat("x", 20)}, ""},
	} {
		got, ok := record.ReadTrace(http.Header{record.Traceparent: {"00-" + traceID + "-" + spanID + "-01"}, record.Tracestate: tt.lines})
		if !ok || got.State != tt.want {
			t.Errorf("%s: %q, %t; want %q", name, got.State, ok, tt.want)
		}
	}
	if got, _ := record.ReadTrace(http.Header{record.Tracestate: {"a=1"}}); got.State != "" {
		t.Errorf("without a trace, its state is %q", got.State)
	}
}

// FuzzReadTrace formats a parsed trace again. The result equals the input, except for
// the version and unknown flags.
func FuzzReadTrace(f *testing.F) {
	f.Add("00-"+traceID+"-"+spanID+"-01", "a=1")
	f.Add("cc-"+traceID+"-"+spanID+"-ff-more", "a=1,b@c=2")
	f.Fuzz(func(t *testing.T, parent, state string) {
		got, ok := record.ReadTrace(http.Header{record.Traceparent: {parent}, record.Tracestate: {state}})
		if !ok {
			if got != (record.Trace{}) {
				t.Errorf("%q is no trace, but %+v", parent, got)
			}
			return
		}
		if written := got.Text(got.Parent); written[2:52] != parent[2:52] {
			t.Errorf("%q is written as %q", parent, written)
		}
		if got.State != "" && got.State != state {
			t.Errorf("state %q is passed on as %q", state, got.State)
		}
	})
}

func TestATimelineIsOrderedAndBounded(t *testing.T) {
	var w record.Timeline
	w.Enter(record.StageLocate, time.Microsecond) // no effect: it begins there
	w.Enter(record.StageIdentify, 10*time.Microsecond)
	for i := range 100 {
		w.Enter([]record.Stage{record.StageLimit, record.StageForward}[i%2], time.Duration(20+i)*time.Microsecond)
	}
	var stages []record.Stage
	last := time.Duration(-1)
	for s, at := range w.Visits() {
		if at <= last {
			t.Errorf("%s begins %v after the start, after what began at %v", s, at, last)
		}
		stages, last = append(stages, s), at
	}
	if len(stages) != 16 || stages[0] != record.StageLocate || stages[1] != record.StageIdentify || stages[2] != record.StageLimit {
		t.Errorf("visits: %v", stages)
	}
}

func TestOnlyTheFirstAttemptsAreKept(t *testing.T) {
	var x record.Exchange
	for i := range 100 {
		x.AddAttempt(record.Attempt{Status: 100 + i})
	}
	if len(x.Attempts) != 32 || x.Attempts[31].Status != 131 {
		t.Errorf("%d attempts, the last %+v", len(x.Attempts), x.Attempts[len(x.Attempts)-1])
	}
}
