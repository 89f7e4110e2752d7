package oidc_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"osgate/auth"
)

// The benchmarks report cpu-ns/op as well, the processor time of this process for an
// operation: other programs on a busy machine change it less than the time.

// BenchmarkKnown identifies a token that was verified before, by its size in bytes.
func BenchmarkKnown(b *testing.B) {
	key := newKey(b, "a")
	is := newIssuer(b, key)
	v := newVerifier(b, is)
	for _, more := range []int{0, 400, 1000, 2400} {
		token := key.token(b, is.claims(object{"x": strings.Repeat("x", more)}))
		wantCaller(b, v, token)
		b.Run(fmt.Sprint(len(token.Text())), func(b *testing.B) {
			b.ReportAllocs()
			before := processorTime(b)
			for b.Loop() {
				if _, ok := v.Known(token); !ok {
					b.Fatal("the token is not known")
				}
			}
			reportProcessorTime(b, before)
		})
	}
}

// BenchmarkVerifyNew identifies tokens that were never seen, by their algorithm.
func BenchmarkVerifyNew(b *testing.B) {
	for _, algorithm := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		b.Run(algorithm, func(b *testing.B) {
			key := newKeyFor(b, "a", algorithm)
			is := newIssuer(b, key)
			v := newVerifier(b, is)
			wantCaller(b, v, key.token(b, is.claims(nil)))
			tokens := make([]auth.Token, b.N)
			for i := range tokens {
				tokens[i] = key.token(b, is.claims(object{"jti": i, "x": strings.Repeat("x", 400)}))
			}
			b.ReportAllocs()
			b.ResetTimer()
			before := processorTime(b)
			for _, token := range tokens {
				if _, err := v.Verify(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
			reportProcessorTime(b, before)
		})
	}
}

// BenchmarkRefused refuses a token of each kind: the cost of a sender of bad tokens.
func BenchmarkRefused(b *testing.B) {
	key, foreign := newKeyFor(b, "a", "RS256"), newKey(b, "b")
	is := newIssuer(b, key)
	v := newVerifier(b, is)
	for name, token := range map[string]auth.Token{
		"opaque":  auth.NewToken("7f3c5b1e-0000-4000-8000-000000000000"),
		"expired": key.token(b, is.claims(object{"exp": 1})),
		"unknown": foreign.token(b, is.claims(nil)),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			before := processorTime(b)
			for b.Loop() {
				if _, err := v.Verify(b.Context(), token); err == nil {
					b.Fatal("the token is accepted")
				}
			}
			reportProcessorTime(b, before)
		})
	}
}

// processorTime returns the processor time of this process in nanoseconds.
func processorTime(b *testing.B) int64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// reportProcessorTime reports the processor time of an operation since before.
func reportProcessorTime(b *testing.B, before int64) {
	b.Helper()
	b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
}
