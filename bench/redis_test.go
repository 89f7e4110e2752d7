package main

import (
	"bufio"
	"strings"
	"testing"
)

func TestReadString(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"+PONG\r\n": "PONG", "$5\r\na\r\nbc\r\n": "a\r\nbc"} {
		if got, err := readString(bufio.NewReader(strings.NewReader(text))); err != nil || got != want {
			t.Errorf("%q is read as %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"-ERR no\r\n", "$-1\r\n", "$5\r\nabc", ""} {
		if got, err := readString(bufio.NewReader(strings.NewReader(text))); err == nil {
			t.Errorf("%q is read as %q, want an error", text, got)
		}
	}
}

func TestCommandStatsAreTakenPerRequest(t *testing.T) {
	t.Parallel()
	before := parseCommandStats("# Commandstats\r\ncmdstat_get:calls=10,usec=20,usec_per_call=2.00,failed_calls=0\r\n")
	after := parseCommandStats("cmdstat_get:calls=210,usec=420,usec_per_call=2.00\r\n" +
		"cmdstat_config|get:calls=1,usec=9\r\n")
	each := since(before, after, 200)
	if got, want := each["get"], (command{1, 2}); got != want {
		t.Errorf("GET costs %v of a request, want %v", got, want)
	}
	if _, ok := each["config|get"]; ok {
		t.Error("a command of one in 200 requests is in the result")
	}
}
