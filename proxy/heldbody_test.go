package proxy

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"osgate/objectstore"
	"osgate/policy"
	"osgate/record"
)

// onlyStrings is a rule that permits only values of type STRING.
const onlyStrings = `@id("only-strings") @reason("strings only") forbid(principal, action in Action::"write", resource) unless { context.valueType == "STRING" };`

// TestAHeldBodyIsWholeOrLacksItsEnd checks bodies that arrive, and are read, in pieces
// of several sizes.
func TestAHeldBodyIsWholeOrLacksItsEnd(t *testing.T) {
	refused := errors.New("no")
	const text = `{"stringValue":"a value"}`
	for _, body := range []string{text, "x", ""} {
		for name, pieces := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "by bytes": iotest.OneByteReader, "by halves": iotest.HalfReader, "with its end": iotest.DataErrReader,
		} {
			for _, room := range []int{1, 2, 3, 100} {
				for _, verdict := range []error{nil, refused} {
					r := httptest.NewRequest(http.MethodPut, "/", pieces(strings.NewReader(body)))
					times := 0
					held := &heldBody{
						requestBody: newRequestBody(httptest.NewRecorder(), r, 1000), judge: policy.NewJudge(objectstore.PutKey, "", ""),
						decide: func(policy.Head) error { times++; return verdict },
					}
					got, err := readIn(held, room)
					if verdict == nil && (err != nil || got != body) || verdict != nil && (!errors.Is(err, verdict) || len(got) >= max(1, len(body))) || times != 1 {
						t.Errorf("%q %s, %d bytes at a time: got %q, %v after %d verdicts; want it %v", body, name, room, got, err, times, verdict)
					}
				}
			}
		}
	}
}

// readIn reads to the end with buffers of n bytes, and then once more.
func readIn(r io.Reader, n int) (string, error) {
	var b strings.Builder
	p := make([]byte, n)
	for {
		read, err := r.Read(p)
		b.Write(p[:read])
		if err == nil {
			continue
		}
		if more, again := r.Read(p); more != 0 || !errors.Is(again, err) {
			return b.String(), errors.New("it goes on after its end")
		}
		if errors.Is(err, io.EOF) {
			return b.String(), nil
		}
		return b.String(), err
	}
}

// stored is an upstream on a socket that keeps the bodies that it received to their
// end.
type stored struct {
	mu     sync.Mutex
	bodies []string // guarded by mu
}

func (s *stored) answer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		s.mu.Lock()
		s.bodies = append(s.bodies, string(body))
		s.mu.Unlock()
	}
	w.WriteHeader(http.StatusCreated)
}

// put sends a body over a socket, with a known length or in chunks.
func put(t *testing.T, front *httptest.Server, body string, chunked bool) *http.Response {
	t.Helper()
	var content io.Reader = strings.NewReader(body)
	if chunked {
		content = io.MultiReader(content) // net/http knows no length for it
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, front.URL+keyPath, content)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	r.Header.Set("Authorization", "Bearer one")
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatalf("%.60s: %v", body, err)
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	return answer
}

// TestAValueThatIsNotWhatItBeganAsIsNeverWholeUpstream checks short and long values,
// with and without a known length, over sockets.
func TestAValueThatIsNotWhatItBeganAsIsNeverWholeUpstream(t *testing.T) {
	long := strings.Repeat("x", 3*judgedBody)
	for _, tt := range []struct {
		name, body, code string
		status           int
	}{
		{"twice", `{"valueType":"STRING"` + strings.Repeat(" ", 4200) + `,"valueType":"BINARY","binaryValue":"QUJD"}`, "bad-request", 400},
		{"twice, once escaped", `{"valueType":"STRING","value\u0054ype":"BINARY","binaryValue":"QUJD"}`, "bad-request", 400},
		{"twice, far apart", `{"valueType":"STRING","stringValue":"` + long + `","valueType":"BINARY","binaryValue":"QUJD"}`, "bad-request", 400},
		{"another value behind", `{"valueType":"STRING","stringValue":"` + long + `","binaryValue":"QUJD"}`, "denied", 403},
		{"another case behind", `{"valueType":"STRING","stringValue":"` + long + `","ValueType":"BINARY"}`, "denied", 403},
		{"another object behind", `{"valueType":"STRING","stringValue":"` + long + `"}{"valueType":"BINARY"}`, "denied", 403},
		{"cut off", `{"valueType":"STRING","stringValue":"` + long, "denied", 403},
		{"no UTF-8 behind", `{"valueType":"STRING","stringValue":"` + long + "\xff" + `"}`, "denied", 403},
		{"what it says", `{"valueType":"STRING","stringValue":"` + long + `"}` + "\r\n", "", 201},
		{"what it says, short", `{"stringValue":"x","valueType":"STRING"}`, "", 201},
		{"of 64 KiB", `{"stringValue":"` + strings.Repeat("x", judgedBody-len(`{"stringValue":""}`)) + `"}`, "", 201},
	} {
		for _, chunked := range []bool{false, true} {
			s := &stored{}
			change, _ := ruled(t, permitAll+onlyStrings)
			g, front := socketRig(t, s.answer, change)
			answer := put(t, front, tt.body, chunked)
			x := records(t, g, 1)[0]
			if answer.StatusCode != tt.status || x.Code != record.Code(tt.code) {
				t.Errorf("%s, chunked %t: %d %s, want %d %s", tt.name, chunked, answer.StatusCode, x.Code, tt.status, tt.code)
			}
			s.mu.Lock()
			if got := slices.Equal(s.bodies, []string{tt.body}); got != (tt.status == 201) || !got && len(s.bodies) > 0 {
				t.Errorf("%s, chunked %t: upstream got %d whole bodies, want the one that may be stored", tt.name, chunked, len(s.bodies))
			}
			s.mu.Unlock()
		}
	}
}

// TestRulesInShadowModeRefuseNoBody checks that a body passes whatever its end
// contains, and that the rules in shadow mode see all of it.
func TestRulesInShadowModeRefuseNoBody(t *testing.T) {
	long := strings.Repeat("x", 3*judgedBody)
	for _, body := range []string{
		`{"valueType":"STRING","valueType":"BINARY"}`, `{"valueType":"STRING","stringValue":"` + long + `","valueType":"BINARY"}`, `{"stringValue":"` + long + `","binaryValue":""}`,
	} {
		s := &stored{}
		change, _ := ruled(t, permitAll+`@mode("shadow") `+onlyStrings)
		g, front := socketRig(t, s.answer, change)
		if answer := put(t, front, body, false); answer.StatusCode != http.StatusCreated {
			t.Errorf("%.60s: %d, want 201", body, answer.StatusCode)
		}
		if x := records(t, g, 1)[0]; !slices.Equal(x.Shadow, []string{"only-strings"}) {
			t.Errorf("%.60s: shadow %v, want only-strings", body, x.Shadow)
		}
	}
}

// TestABodyThatNoRuleAsksForIsNotReadAhead checks that a body is read before the
// request is sent only if a rule depends on it.
func TestABodyThatNoRuleAsksForIsNotReadAhead(t *testing.T) {
	for rules, want := range map[string]bool{"": false, onlyStrings: true} {
		g := obey(t, rules)
		r := request(t, "PUT "+keyPath, "Authorization: Bearer one", "", `{"stringValue":"`+strings.Repeat("x", 2*judgedBody)+`"}`)
		body := &asked{ReadCloser: r.Body}
		r.Body = body
		before := 0
		g.upstream = func(r *http.Request) (*http.Response, error) {
			before = body.times
			_, err := io.Copy(io.Discard, r.Body)
			return reply(http.StatusOK, "{}"), err
		}
		if w := g.do(r); w.Code != http.StatusOK || (before > 0) != want {
			t.Errorf("rules %q: %d, read %d times before it was sent, want %t", rules, w.Code, before, want)
		}
	}
}

func newRequestBody(w http.ResponseWriter, r *http.Request, limit int64) *requestBody {
	b := new(requestBody)
	b.start(w, r, limit)
	return b
}
