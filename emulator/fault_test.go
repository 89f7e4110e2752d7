package emulator_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"osgate/emulator"
)

// wire is a client over a real connection.
type wire struct {
	client
	url string
}

func serve(t *testing.T, o emulator.Options) wire {
	t.Helper()
	e := start(t, o)
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	return wire{as(t, e, "us", "one"), server.URL}
}

// fetch sends a request and returns status and body, or the error of the connection.
func (w wire) fetch(method, target, body string) (int, string, error) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+target, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text), err
}

func (w wire) faults(setting string) {
	w.t.Helper()
	w.must(http.StatusOK, http.MethodPut, "/_osemu/faults", setting)
}

func TestEachFaultHasItsEffect(t *testing.T) {
	const body = `{"stringValue":"stored"}`
	for name, row := range map[string]struct {
		happened  func(status int, text string, err error) bool
		processed bool
	}{
		"429": {func(status int, text string, err error) bool {
			return status == 429 && strings.Contains(text, "can not perform more requests")
		}, false},
		"500":   {func(status int, _ string, err error) bool { return status == 500 }, false},
		"reset": {func(_ int, _ string, err error) bool { return errors.Is(err, syscall.ECONNRESET) }, false},
		"cut": {func(_ int, _ string, err error) bool {
			return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		}, true},
		"slow": {func(status int, _ string, err error) bool { return status == 201 }, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := serve(t, emulator.Options{})
			w.faults(`{"fault":"` + name + `=1"}`)
			status, text, err := w.fetch(http.MethodPut, demoKeys+"/k", body)
			if !row.happened(status, text, err) {
				t.Errorf("the answer is %d %q, %v", status, text, err)
			}
			w.faults(`{}`)
			want := "Not Found"
			if row.processed {
				want = "stored"
			}
			if got := w.value(demoKeys + "/k"); got != want {
				t.Errorf("afterwards the value of the key is %q, want %q", got, want)
			}
		})
	}
}

func TestCutAnswerEndsInTheMiddle(t *testing.T) {
	w := serve(t, emulator.Options{})
	_, whole, _ := w.fetch(http.MethodGet, demo, "")
	w.faults(`{"cut":1}`)
	status, part, err := w.fetch(http.MethodGet, demo, "")
	if status != 200 || !errors.Is(err, io.ErrUnexpectedEOF) || !strings.HasPrefix(whole, part) || len(part) != len(whole)/2 {
		t.Errorf("the answer is %d, %d of %d bytes, %v", status, len(part), len(whole), err)
	}
}

// In a bubble, in which a second lasts exactly a second.
func TestLatencyAndSlownessTakeTheirTime(t *testing.T) {
	for setting, want := range map[string]time.Duration{
		`{}`:                           0,
		`{"latency":"20ms"}`:           20 * time.Millisecond,
		`{"slow":1}`:                   time.Second,
		`{"latency":"500ms","slow":1}`: 1500 * time.Millisecond,
	} {
		synctest.Test(t, func(t *testing.T) {
			c := as(t, start(t, emulator.Options{}), "us", "one")
			c.must(http.StatusOK, http.MethodPut, "/_osemu/faults", setting)
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				began := time.Now()
				c.do(method, demoKeys+"/KeyOne", "")
				if took := time.Since(began); took != want {
					t.Errorf("%s with %s took %v, want %v", method, setting, took, want)
				}
			}
		})
	}
}

func TestLatencyEndsWithItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := start(t, emulator.Options{Latency: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		e.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, demo, nil).WithContext(ctx))
		if took := time.Since(began); took != time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestFaultsHitOnlyTheServicesNamed(t *testing.T) {
	c := one(t)
	for on, want := range map[string][3]int{
		`["objectstore"]`:         {500, 200, 200},
		`["accounts"]`:            {200, 500, 200},
		`["stats"]`:               {200, 200, 500},
		`["stats","objectstore"]`: {500, 200, 500},
		`[]`:                      {500, 500, 500},
	} {
		c.must(http.StatusOK, http.MethodPut, "/_osemu/faults", `{"500":1,"on":`+on+`}`)
		got := [3]int{c.get(demo).status, c.get("/us/accounts/api/me").status, c.get("/us/api/v1/organizations/org-root" + anHour).status}
		if got != want {
			t.Errorf("on %s: the error is %v, want %v", on, got, want)
		}
	}
}

func TestOfSeveralFaultsTheFirstHappens(t *testing.T) {
	c := one(t)
	c.must(http.StatusOK, http.MethodPut, "/_osemu/faults", `{"slow":1,"cut":1,"500":1,"429":1}`)
	c.must(http.StatusTooManyRequests, http.MethodGet, demo, "")
}

func TestFaultSettingsAreReplacedWhole(t *testing.T) {
	c := one(t)
	for _, row := range []struct{ put, want string }{
		{`{"latency":"1ms","429":0.25,"on":["stats"]}`, `{"429":0.25,"500":0,"cut":0,"latency":"1ms","on":["stats"],"reset":0,"slow":0}`},
		{`{"fault":{"cut":0.5}}`, `{"429":0,"500":0,"cut":0.5,"latency":"0s","reset":0,"slow":0}`},
		{`{"fault":"slow=0.5,reset=1","latency":0}`, `{"429":0,"500":0,"cut":0,"latency":"0s","reset":1,"slow":0.5}`},
		{`{}`, `{"429":0,"500":0,"cut":0,"latency":"0s","reset":0,"slow":0}`},
	} {
		c.must(http.StatusOK, http.MethodPut, "/_osemu/faults", row.put)
		if got := c.get("/_osemu/faults").body; got != row.want {
			t.Errorf("after %s: the faults are %s, want %s", row.put, got, row.want)
		}
	}
	for _, wrong := range []string{
		`{"429":1.5}`, `{"429":-1}`, `{"429":"1"}`, `{"429":null}`, `{"418":1}`, `{"latency":"fast"}`, `{"latency":"-1s"}`, `{"latency":"2h"}`,
		`{"latency":20}`, `{"on":"stats"}`, `{"on":["mars"]}`, `{"fault":"429"}`, `{"fault":[1]}`, `{"fault":{"tea":1}}`, `[]`, `{`, ``,
	} {
		c.must(http.StatusBadRequest, http.MethodPut, "/_osemu/faults", wrong)
	}
	c.must(http.StatusOK, http.MethodGet, demo, "") // no fault was set in part
}

func TestAProgramReplacesTheFaults(t *testing.T) {
	e := start(t, emulator.Options{})
	c := as(t, e, "us", "one")
	set := func(f emulator.Faults, valid bool) {
		t.Helper()
		if err := e.SetFaults(f); (err == nil) != valid {
			t.Errorf("the error for %v is %v", f, err)
		}
	}
	set(emulator.Faults{Internal: 1}, true)
	set(emulator.Faults{Cut: 2}, false)
	c.must(http.StatusInternalServerError, http.MethodGet, demo, "")
	set(emulator.Faults{}, true)
	c.must(http.StatusOK, http.MethodGet, demo, "")
}

func TestSeedMakesFaultsAndIDsRepeatable(t *testing.T) {
	run := func(seed int64) string {
		c := client{t: t, e: start(t, emulator.Options{Seed: seed, Fault: "500=0.3,429=0.3"})}
		var seen strings.Builder
		for range 40 {
			got := c.form("/us/accounts/api/v2/oauth2/token", "grant_type=client_credentials&client_id=app-one&client_secret=secret-one")
			fmt.Fprintln(&seen, got.status, got.body)
		}
		return seen.String()
	}
	seven, again := run(7), run(7)
	if seven != again {
		t.Error("two runs with one seed differ")
	}
	random, other := run(0), run(0)
	if seven == run(8) || random == other {
		t.Error("two runs with different seeds, or without a seed, are the same")
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	for name, o := range map[string]emulator.Options{
		"rate":      {Rate: 100_001},
		"rate by":   {RateBy: "moon"},
		"fault":     {Fault: "429=2"},
		"latency":   {Latency: -1},
		"stats lag": {StatsLag: -1},
		"world":     {World: &emulator.World{Environments: []emulator.Environment{{ID: "e", Organization: "none"}}}},
		"data":      {Data: "/dev/null/x"},
	} {
		if _, err := emulator.New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
