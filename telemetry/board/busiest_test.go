package board

import (
	"fmt"
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
			b.add("client", 0, true, strings.Clone)
		}
		b.add("client", later, false, strings.Clone)
		rows := b.rows(later + 1)
		if len(rows) != 1 || rows[0].requests != 1 || rows[0].special != 0 {
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
