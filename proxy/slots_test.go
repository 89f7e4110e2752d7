package proxy

import (
	"fmt"
	"sync"
	"testing"
)

// takeAll takes slots of a class until none is left, and returns them and the reason of
// the shortage.
func takeAll(s *slots, c class, address func(i int) string) (all []slot, short shortage) {
	for i := 0; ; i++ {
		taken, short := s.take(c, address(i))
		if short != noShortage {
			return all, short
		}
		all = append(all, taken)
	}
}

func sameAddress(int) string      { return "192.0.2.1" }
func otherAddresses(i int) string { return fmt.Sprint(i) }

func TestOneAddressHoldsItsShareOfSlotsAndNoMore(t *testing.T) {
	for _, tt := range []struct{ limit, want int }{{16, 1}, {160, 10}, {10_000, 625}} {
		s := newSlots(tt.limit, 16)
		all, short := takeAll(s, unidentified, sameAddress)
		if len(all) != tt.want || short != shortOfAddress {
			t.Errorf("of %d slots one address got %d (%d), want %d", tt.limit, len(all), short, tt.want)
		}
		if _, short := s.take(unidentified, "192.0.2.2"); short != noShortage {
			t.Errorf("another address got none: %d", short)
		}
	}
}

func TestStrangersLeaveAQuarterOfTheSlotsToIdentifiedCallers(t *testing.T) {
	s := newSlots(100, 16)
	strangers, short := takeAll(s, unidentified, otherAddresses)
	if len(strangers) != 75 || short != shortOfUnidentified {
		t.Errorf("strangers got %d slots (%d), want 75", len(strangers), short)
	}
	callers, short := takeAll(s, identified, sameAddress)
	if len(callers) != 25 || short != shortOfAll {
		t.Errorf("identified callers got %d slots (%d), want 25", len(callers), short)
	}
	if _, short := s.take(unidentified, "new"); short != shortOfAll {
		t.Errorf("one more stranger is short of %d, want %d", short, shortOfAll)
	}
	strangers[0].promote()
	if held, _ := s.counts(); held != [2]int{74, 26} {
		t.Errorf("held %v after one was identified", held)
	}
}

func TestSlotsThatAreGivenBackLeaveNothingBehind(t *testing.T) {
	s := newSlots(1000, 16)
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			for range 100 {
				taken, short := s.take(class(i%2), fmt.Sprint(i%7))
				if short != noShortage {
					t.Errorf("short of %d", short)
				}
				if i%3 == 0 {
					taken.promote()
					taken.promote()
				}
				taken.free()
				taken.free()
			}
		})
	}
	all.Wait()
	if held, refused := s.counts(); held != [2]int{} || refused != [shortages]int64{} || len(s.addresses) != 0 {
		t.Errorf("held %v, refused %v, addresses %v", held, refused, s.addresses)
	}
}

func TestShedExchangesAreCountedByReason(t *testing.T) {
	s := newSlots(32, 16)
	takeAll(s, unidentified, sameAddress)
	takeAll(s, unidentified, otherAddresses)
	takeAll(s, identified, sameAddress)
	_, refused := s.counts()
	if refused != [shortages]int64{shortOfAddress: 1, shortOfUnidentified: 1, shortOfAll: 1} {
		t.Errorf("refused %v", refused)
	}
}
