package board

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

func TestNamesAreBounded(t *testing.T) {
	b := newBusiest(strings.Compare)
	for i := range 10 * maxNamed {
		b.add(fmt.Sprint(i), int64(i/100), false, strings.Clone)
		if len(b.named) > maxNamed {
			t.Fatalf("%d names are held after %d, want at most %d", len(b.named), i+1, maxNamed)
		}
	}
}

func TestNameThatComesBackBeginsAnew(t *testing.T) {
	for _, later := range []int64{windowSeconds, windowSeconds + 1, windowSeconds + 2, 10 * windowSeconds} {
		b := newBusiest(strings.Compare)
		for range 3 {
			b.add("client", 0, true, strings.Clone).miss(0)
		}
		if got := b.rows(1)[0].recent.misses(1); got != 3 {
			t.Errorf("%d misses, want 3", got)
		}
		b.add("client", later, false, strings.Clone)
		rows := b.rows(later + 1)
		if len(rows) != 1 || rows[0].requests != 1 || rows[0].special != 0 || rows[0].recent.misses(later+1) != 0 {
			t.Errorf("back after %d s: %+v, want one request", later, rows)
		}
	}
}

func TestNamesThatDidAsMuchKeepTheirOrder(t *testing.T) {
	b := newBusiest(strings.Compare)
	for _, name := range []string{"c", "a", "d", "b", "a", "c", "b", "d", "e", "e"} {
		b.add(name, 0, false, strings.Clone)
	}
	var order strings.Builder
	for _, r := range b.rows(1) {
		order.WriteString(r.key)
	}
	if order.String() != "abcde" {
		t.Errorf("order %s, want abcde", order.String())
	}
}

// TestTheSumThatIsKeptIsThatOfTheSeconds of the window, also after pauses.
func TestTheSumThatIsKeptIsThatOfTheSeconds(t *testing.T) {
	r, random := new(recent), rand.New(rand.NewPCG(1, 2))
	for n := int64(1); n < 100_000; n += random.Int64N(1 << random.IntN(8)) {
		r.add(n, false)
		if now := n + random.Int64N(1<<random.IntN(7)); now%5 == 0 {
			want, _ := r.sum(now + 1)
			if got := r.window(now); int64(got) != want {
				t.Fatalf("second %d: %d requests, want %d", now, got, want)
			}
			n = now
		}
	}
}

// TestThePruningKeepsTheBusiest of the window, and no more than half.
func TestThePruningKeepsTheBusiest(t *testing.T) {
	b := newBusiest(strings.Compare)
	for i := range maxNamed {
		for range 1 + i%4 { // 3 of 4 names have the least count or one more
			b.add(fmt.Sprint(i), int64(i%4), false, strings.Clone)
		}
	}
	b.add("new", 4, false, strings.Clone)
	if len(b.named) != maxNamed/2+1 || b.named["new"] == nil || b.named["3"] == nil || b.named["0"] != nil {
		t.Errorf("%d names are left", len(b.named))
	}
}

// BenchmarkManyClients is the cost of an exchange if more clients are busy than are named.
func BenchmarkManyClients(b *testing.B) {
	for _, clients := range []int{100, 1_000, 100_000} {
		b.Run(strconv.Itoa(clients), func(b *testing.B) {
			counts := newBusiest(strings.Compare)
			names := make([]string, clients)
			for i := range names {
				names[i] = "client-" + strconv.Itoa(i)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				counts.add(names[i*7919%clients], int64(i/10_000), false, strings.Clone)
			}
		})
	}
}
