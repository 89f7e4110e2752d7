package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"osgate/plaincache"
)

// upload sends a body to keyPath and returns the status and the body of the answer.
func upload(t *testing.T, client *http.Client, body io.Reader, bytes int64) (status int, text string, err error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://memory"+keyPath, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer one")
	r.Host, r.ContentLength = host, bytes
	answer, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = answer.Body.Close() }()
	all, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(all), err
}

func TestASlowUploadGetsItsAnswer(t *testing.T) {
	for _, version := range []int{1, 2} {
		for _, tt := range []struct {
			name   string
			status int
			answer string
			thinks time.Duration // upstream, after it has received the whole body
		}{
			{"created without a body", 201, "", 0},
			{"no content", 204, "", 0},
			{"a body", 200, `{"key":"k"}`, 0},
			{"a slow upstream", 201, "", 29 * time.Second},
			{"a failure of upstream", 500, "", 0},
		} {
			t.Run(fmt.Sprintf("HTTP/%d %s", version, tt.name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := newRig(t)
					g.upstream = func(r *http.Request) (*http.Response, error) {
						n, err := io.Copy(io.Discard, r.Body)
						if err != nil || n != 120*64<<10 {
							t.Errorf("upstream got %d bytes, error %v", n, err)
						}
						<-time.After(tt.thinks)
						return reply(tt.status, tt.answer), nil
					}
					client := fakeClient(t, serveFake(t, g), version)
					status, text, err := upload(t, client, slowly(120), 120*64<<10)
					if err != nil || status != tt.status || text != tt.answer {
						t.Errorf("got %d %q, error %v, want %d %q", status, text, err, tt.status, tt.answer)
					}
				})
			})
		}
	}
}

// TestARequestMayTakeAsLongAsUpstream checks requests to a slow upstream. Meanwhile
// net/http reads from the connection to detect that the client leaves, and a read
// deadline that passes would look like that.
func TestARequestMayTakeAsLongAsUpstream(t *testing.T) {
	for _, version := range []int{1, 2} {
		for method, size := range map[string]int64{http.MethodGet: 0, http.MethodDelete: 0, http.MethodPost: 2, http.MethodPut: 20 * 64 << 10} {
			t.Run(fmt.Sprintf("HTTP/%d %s", version, method), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := newRig(t)
					g.upstream = func(r *http.Request) (*http.Response, error) {
						if r.Body != nil {
							if _, err := io.Copy(io.Discard, r.Body); err != nil {
								return nil, err
							}
						}
						<-time.After(3 * idleTimeout)
						return nil, errors.New("connection reset by peer") // the client is still there and gets the 502
					}
					r, err := http.NewRequestWithContext(t.Context(), method, "http://memory"+keyPath, io.LimitReader(endless{}, size))
					if err != nil {
						t.Fatal(err)
					}
					r.Header.Set("Authorization", "Bearer one")
					if r.Host, r.ContentLength = host, size; size == 0 {
						r.Body = http.NoBody
					}
					answer, err := fakeClient(t, serveFake(t, g), version).Do(r)
					if err != nil {
						t.Fatal(err)
					}
					defer func() { _ = answer.Body.Close() }()
					if text, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusBadGateway {
						t.Errorf("got %d %s, want 502", answer.StatusCode, text)
					}
				})
			})
		}
	}
}

// endless is a body that repeats the letter x.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte("x"), len(p))), nil }

func TestARefusalAfterASlowUploadReachesItsClient(t *testing.T) {
	for _, version := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t, func(o *Options) { o.MaxBody = 110 * 64 << 10 })
			g.upstream = func(r *http.Request) (*http.Response, error) {
				_, err := io.Copy(io.Discard, r.Body)
				return nil, err
			}
			client := fakeClient(t, serveFake(t, g), version)
			status, text, err := upload(t, client, slowly(120), -1)
			if err != nil || status != http.StatusRequestEntityTooLarge || !strings.Contains(text, "too-large") {
				t.Errorf("HTTP/%d: got %d %q, error %v, want 413", version, status, text, err)
			}
		})
	}
}

func TestAnUploadMayWaitForUpstreamLongerThanForItsClient(t *testing.T) {
	for _, version := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t)
			g.upstream = func(r *http.Request) (*http.Response, error) {
				half := make([]byte, 100<<10)
				if _, err := io.ReadFull(r.Body, half); err != nil {
					return nil, err
				}
				<-time.After(2 * idleTimeout) // upstream reads no more for some time
				if _, err := io.Copy(io.Discard, r.Body); err != nil {
					return nil, err
				}
				return reply(201, ""), nil
			}
			client := fakeClient(t, serveFake(t, g), version)
			if status, text, err := upload(t, client, slowly(150), 150*64<<10); err != nil || status != 201 {
				t.Errorf("HTTP/%d: got %d %s, error %v, want 201", version, status, text, err)
			}
		})
	}
}

func TestAnAnswerMayStandStillWithUpstream(t *testing.T) {
	for _, version := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t)
			g.upstream = func(*http.Request) (*http.Response, error) {
				answer := reply(200, "")
				answer.ContentLength = -1
				soon, late := newTrickle([]byte("value"), 1, deadlineStep-time.Millisecond), newTrickle([]byte("value"), 1, idleTimeout-time.Millisecond)
				late.rest = nil // it begins with a pause
				answer.Body = io.NopCloser(io.MultiReader(soon, late))
				return answer, nil
			}
			client := fakeClient(t, serveFake(t, g), version)
			status, text, err := upload(t, client, strings.NewReader("{}"), 2)
			if err != nil || status != 200 || text != strings.Repeat("value", 3) {
				t.Errorf("HTTP/%d: got %d %q, error %v", version, status, text, err)
			}
		})
	}
}

func TestASlowUploadThroughAPlainCacheGetsItsAnswer(t *testing.T) {
	for _, version := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			web, err := plaincache.New(plaincache.Options{Bytes: 1 << 20, EntryBytes: 64 << 10})
			if err != nil {
				t.Fatal(err)
			}
			plain, err := plaincache.NewServer(plaincache.ServerOptions{Origin: &url.URL{Scheme: "http", Host: "origin"}, Cache: web, Transport: way(func(r *http.Request) (*http.Response, error) {
				_, err := io.Copy(io.Discard, r.Body)
				return reply(http.StatusCreated, ""), err
			})})
			if err != nil {
				t.Fatal(err)
			}
			client := fakeClient(t, serveFake(t, Bounded(plain)), version)
			if status, _, err := upload(t, client, slowly(120), 120*64<<10); err != nil || status != http.StatusCreated {
				t.Errorf("HTTP/%d: got %d, error %v, want 201", version, status, err)
			}
		})
	}
}
