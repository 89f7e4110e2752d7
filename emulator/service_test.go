package emulator_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// service is an Object Store v2 with credentials for it.
type service struct {
	base, auth                string
	client, secret            string
	organization, environment string
	store                     string        // created and deleted by the test
	pace                      time.Duration // between requests
	patience                  int           // maximum number of tries of a read that may be delayed after a write
	token                     string
}

// serviceFromEnvironment returns the real service, or the missing variables.
func serviceFromEnvironment() (s *service, missing []string) {
	s = &service{
		store: "osgate-contract-" + strconv.FormatInt(time.Now().UnixNano(), 36),
		pace:  150 * time.Millisecond, patience: 20,
	}
	for name, into := range map[string]*string{
		"BASE_URL": &s.base, "AUTH_URL": &s.auth, "CLIENT_ID": &s.client, "CLIENT_SECRET": &s.secret,
		"ORGANIZATION": &s.organization, "ENVIRONMENT": &s.environment,
	} {
		if *into = os.Getenv("OSV2_CONTRACT_" + name); *into == "" {
			missing = append(missing, "OSV2_CONTRACT_"+name)
		}
	}
	slices.Sort(missing)
	s.base = strings.TrimSuffix(strings.TrimSuffix(s.base, "/"), "/api/v1")
	s.auth = strings.TrimSuffix(s.auth, "/")
	return s, missing
}

// serviceAnswer is an answer with its body decoded as JSON, nil if it is not JSON.
type serviceAnswer struct {
	response
	value any
}

// send sends a request, paced, and again while the answer is 429.
func (s *service) send(ctx context.Context, method, target, body string) (serviceAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		if err := rest(ctx, s.pace); err != nil {
			return serviceAnswer{}, err
		}
		r, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
		if err != nil {
			return serviceAnswer{}, err
		}
		r.Header.Set("Authorization", "Bearer "+s.token)
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		answer, err := http.DefaultTransport.RoundTrip(r) // follows no redirect
		if err != nil {
			return serviceAnswer{}, err
		}
		text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
		answer.Body.Close()
		if err != nil {
			return serviceAnswer{}, err
		}
		got := serviceAnswer{response: response{answer.StatusCode, answer.Header, string(text)}}
		_ = json.Unmarshal(text, &got.value)
		if got.status != http.StatusTooManyRequests {
			return got, nil
		}
		if err := rest(ctx, 2*time.Second); err != nil {
			return serviceAnswer{}, errors.New("429 for a minute")
		}
	}
}

// rest waits for d, unless ctx ends first.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// require sends a request and fails the test unless the answer has one of the statuses and
// passes the check, if there is one. Reads are repeated, because their results may be
// delayed.
func (s *service) require(t *testing.T, method, target, body string, check func(any) error, statuses ...int) serviceAnswer {
	t.Helper()
	tries := 1
	if method == http.MethodGet || method == http.MethodHead {
		tries = s.patience
	}
	var got serviceAnswer
	var wrong error
	for range tries {
		var err error
		if got, err = s.send(t.Context(), method, target, body); err != nil {
			t.Fatalf("%s %s: %v", method, target, err)
		}
		wrong = nil
		if !slices.Contains(statuses, got.status) {
			wrong = fmt.Errorf("the status must be one of %v", statuses)
		} else if check != nil {
			wrong = check(got.value)
		}
		if wrong == nil {
			return got
		}
	}
	t.Fatalf("%s %s: the answer is %d %.300s: %v", method, target, got.status, got.body, wrong)
	return got
}

func (s *service) stores() string {
	return "/api/v1/organizations/" + s.organization + "/environments/" + s.environment + "/stores"
}

// keys returns the URL of a partition's keys.
func (s *service) keys(partition string) string {
	return s.base + s.stores() + "/" + s.store + "/partitions/" + partition + "/keys"
}

// member returns the value at a path of member names, nil if it is missing.
func member(of any, path ...string) any {
	for _, name := range path {
		object, _ := of.(map[string]any)
		of = object[name]
	}
	return of
}

// elements returns the list at a path of member names.
func elements(of any, path ...string) []any {
	list, _ := member(of, path...).([]any)
	return list
}

// anyOf returns a check that an element of the list at path has this value in a member,
// or is this value if the member is "".
func anyOf(want any, name string, path ...string) func(any) error {
	return func(of any) error {
		for _, element := range elements(of, path...) {
			if element == want || name != "" && member(element, name) == want {
				return nil
			}
		}
		return fmt.Errorf("no element %v in %v", want, path)
	}
}
