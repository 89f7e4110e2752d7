package config_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"osgate/config"
)

// FuzzLoadNeverPanicsNorShowsASecret checks that any environment loads or fails without
// a panic, that a failure has at least one problem, and that neither error nor table
// shows a secret.
func FuzzLoadNeverPanicsNorShowsASecret(f *testing.F) {
	f.Add("RATE=10\nLISTEN=:0")
	f.Add("ROUTES=org=us/us-east-1,org/env=eu/eu-west-1,org/env/st%2Fore=jp/ap-northeast-1")
	f.Add("RATE_OVERRIDES=a=100,b=200\nRATE_PERIOD=1ms\nRATE=1001")
	f.Add("PLANES=us,eu\nREGIONS=eu/*,us/us-east-1\nDEFAULT_REGION=us-east-1")
	f.Add("UPSTREAM_OVERRIDE=http://u:p@h:1/x?y#z\nTRUSTED_PROXIES=::/0\nMAX_BODY=11 MiB")
	f.Add("\xff\x00=\nUNKNOWN=1\nSERVICE_HOST=1\nPORT=1\n=\nADMIN_LISTEN=[::]:1\nAUTH=introspect\nDISCOVER=true")
	environ, texts := secrets()
	f.Fuzz(func(t *testing.T, lines string) {
		for _, text := range texts {
			if strings.Contains(lines, text) {
				t.Skip("the input contains a secret where the program may show it")
			}
		}
		var all []string
		for line := range strings.Lines(lines) {
			name, _, _ := strings.Cut(line, "=")
			if strings.HasSuffix(name, "_FILE") {
				continue // A path that the fuzzer chooses may name a pipe.
			}
			all = append(all, config.Prefix+strings.TrimSuffix(line, "\n"))
		}
		c, err := config.Load(append(all, environ...))
		if err != nil {
			invalid, ok := errors.AsType[*config.InvalidError](err)
			if !ok || len(invalid.Problems) == 0 || strings.Count(err.Error(), "\n") != len(invalid.Problems) {
				t.Errorf("Load failed with %v, want an InvalidError with one line per problem", err)
			}
			findSecret(t, "the error", err.Error(), texts)
			return
		}
		var table bytes.Buffer
		if err := config.WriteTable(&table, c.Table()); err != nil {
			t.Fatal(err)
		}
		findSecret(t, "the table", table.String(), texts)
		if got, want := strings.Count(table.String(), "\n"), 1+len(config.Variables()); got != want {
			t.Errorf("the table has %d lines, want %d: %s", got, want, table.String())
		}
	})
}
