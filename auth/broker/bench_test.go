package broker_test

import (
	"testing"

	"osgate/auth"
)

// BenchmarkToken returns a fresh token.
func BenchmarkToken(b *testing.B) {
	w := newWorld(b)
	tokens := w.tokens(b)
	must(b, tokens)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		_, _ = tokens.Token(ctx, "us")
	}
}

// BenchmarkTokenParallel returns a fresh token to many callers at once.
func BenchmarkTokenParallel(b *testing.B) {
	w := newWorld(b)
	tokens := w.tokens(b)
	must(b, tokens)
	ctx := b.Context()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, _ = tokens.Token(ctx, "us")
		}
	})
}

// BenchmarkRecall identifies a known caller, without the work of its method.
func BenchmarkRecall(b *testing.B) {
	w := newWorld(b)
	tokens := w.tokens(b)
	i := w.identifier(b, tokens, nil, nil, newMethod(auth.ByMTLS))
	c := certificate("cert")
	if _, err := i.Identify(b.Context(), "us", c, ""); err != nil {
		b.Fatal(err)
	}
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		_, _, _ = i.Recall(ctx, "us", c, "")
	}
}
