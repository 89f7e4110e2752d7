package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// Warm requests every value of a plan once, over 32 connections, so that the answers
// are in the cache and the tokens are known. It returns the first error, among them an
// answer that has neither status 200 nor, with a quota that is used up, 429.
func Warm(ctx context.Context, address string, p Plan) error {
	const workers = 32
	transport := &http.Transport{MaxIdleConnsPerHost: workers, DisableCompression: true}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for ctx.Err() == nil {
				n := int(next.Add(1) - 1)
				if n >= p.Clients*p.Each {
					return
				}
				client, value := n/p.Each, n%p.Each
				if err := get(ctx, transport, "http://"+address+p.Key(client, value), Token(client)); err != nil {
					cancel(err)
				}
			}
		})
	}
	all.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("filling the cache: %w", err)
	}
	return ctx.Err()
}

// get requests one value and drops the answer.
func get(ctx context.Context, transport *http.Transport, url, token string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", token)
	r.Header.Set("Accept", "application/json") // as in wrk.lua: an entry serves requests that have the same of these
	r.Header.Set("User-Agent", "AHC/1.0")
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusTooManyRequests {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 512))
		return fmt.Errorf("%s was answered %s: %s", url, answer.Status, text)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}
