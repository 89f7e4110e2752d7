package emulator

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestSizeOfAValueIsThatOfItsBase64(t *testing.T) {
	const most = 10 << 20
	for name, row := range map[string]struct {
		kind   string
		length int
		fits   bool
	}{
		"longest string": {typeString, most / 4 * 3, true},
		"longer string":  {typeString, most/4*3 + 1, false},
		"longest binary": {typeBinary, most, true},
		"longer binary":  {typeBinary, most + 4, false},
	} {
		text := strings.Repeat("A", row.length)
		o := object{StringValue: &text}
		if row.kind == typeBinary {
			o = object{BinaryValue: &text}
		}
		_, err := o.value()
		if (err == nil) != row.fits || err != nil && err.status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: the answer is %v", name, err)
		}
	}
}

func TestPageOfObjectsIsNoLongerThanTheLongestObject(t *testing.T) {
	for _, row := range []struct {
		lengths []int
		want    int
	}{
		{nil, 0},
		{[]int{1, 2, 3}, 3},
		{[]int{maxValue, 1}, 1},
		{[]int{maxValue - 1, 1}, 2},
		{[]int{maxValue / 2, maxValue / 2, 1, 1}, 2},
	} {
		var page []*slot[*item]
		for _, n := range row.lengths {
			page = append(page, &slot[*item]{thing: &item{value: value{text: strings.Repeat("x", n)}}})
		}
		if got := fitting(page); got != row.want {
			t.Errorf("%v: the answer is %d, want %d", row.lengths, got, row.want)
		}
	}
}

func TestRequestLogIsBounded(t *testing.T) {
	var l requestLog
	x := &exchange{in: httptest.NewRequest(http.MethodGet, "/", nil), target: "/" + strings.Repeat("x", 1<<20)}
	for range 200 {
		l.add(x, time.Now())
	}
	if got := len(l.all()); got == 0 || got >= 64 {
		t.Errorf("the log keeps %d requests of 1 MiB", got)
	}
	x.target = "/"
	for range maxRequests + 10 {
		l.add(x, time.Now())
	}
	if got := len(l.all()); got != maxRequests {
		t.Errorf("the log keeps %d requests", got)
	}
}

// The bound is a number of bytes that still fits.
func TestRequestLogIsFullAtItsBound(t *testing.T) {
	const size = 1 << 20
	var l requestLog
	x := &exchange{in: httptest.NewRequest(http.MethodGet, "/", nil)}
	x.target = strings.Repeat("x", size-l.add(x, time.Now()).size())
	l = requestLog{}
	for range maxRequestBytes/size + 1 {
		l.add(x, time.Now())
	}
	if got := len(l.all()); got != maxRequestBytes/size {
		t.Errorf("the log keeps %d requests of 1 MiB, want %d", got, maxRequestBytes/size)
	}
}

func TestTokensAreBounded(t *testing.T) {
	now := time.Now()
	held := newTokens(time.Hour, accessBucket)
	for i := range maxTokens + 10 {
		held.add(digest{byte(i), byte(i >> 8), byte(i >> 16)}, &grant{}, now)
	}
	if len(held.held) != maxTokens || len(held.line) != maxTokens {
		t.Errorf("%d tokens are kept, %d in line", len(held.held), len(held.line))
	}
	if held.get(digest{}, now) != nil {
		t.Error("the oldest token is still valid")
	}
	if gone := held.add(digest{1, 2, 3, 4}, &grant{}, now.Add(time.Hour)); len(gone) != maxTokens {
		t.Errorf("an hour later %d were removed", len(gone))
	}
}

func TestSubjectsOfTheRateAreForgotten(t *testing.T) {
	c := &clock{}
	w := newWindow(10, c)
	for i := range 1000 {
		w.take(string(rune(i)))
	}
	if _, err := c.advance(ratePeriod); err != nil {
		t.Fatal(err)
	}
	w.take("one more")
	if len(w.logs) != 1 {
		t.Errorf("%d subjects are kept", len(w.logs))
	}
}

func TestSubjectsOfTheAllowanceAreBounded(t *testing.T) {
	a := &allowance{limit: 5}
	now := time.Now()
	for i := range maxSubjects + 10 {
		a.take(string(rune(i))+"x", now)
	}
	if len(a.spent) > maxSubjects+1 {
		t.Errorf("%d subjects are kept", len(a.spent))
	}
}
