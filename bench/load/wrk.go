package load

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

//go:embed wrk.lua
var wrkScript []byte

// Wrk is a closed loop: each connection sends its next request when it has the answer
// to the last one. So its latencies are those of clients that wait, and not of requests
// that arrive at times of their own.
type Wrk struct {
	Dir         string // for the script
	Connections int
	Duration    time.Duration
}

// Run sends the requests of a plan to the address, such as 127.0.0.1:8080. Seed chooses
// the order.
func (w Wrk) Run(ctx context.Context, address string, p Plan, seed int) (Result, error) {
	script := filepath.Join(w.Dir, "wrk.lua")
	if err := os.WriteFile(script, wrkScript, 0o600); err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, w.Duration+30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "wrk", "-t1", "-c"+strconv.Itoa(w.Connections),
		"-d"+strconv.Itoa(int(w.Duration.Seconds()))+"s", "--timeout", "10s", "-s", script, "http://"+address, "--",
		p.base(), strconv.Itoa(p.Clients), strconv.Itoa(p.Each), p.Fresh, strconv.Itoa(seed))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return Result{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	_, line, ok := bytes.Cut(out, []byte("BENCH "))
	if !ok {
		return Result{}, fmt.Errorf("wrk printed no result:\n%s", out)
	}
	var r Result
	if err := json.NewDecoder(bytes.NewReader(line)).Decode(&r); err != nil {
		return Result{}, fmt.Errorf("reading wrk's result: %w\n%s", err, out)
	}
	if r.Requests == 0 {
		return r, fmt.Errorf("no request was answered:\n%s", out)
	}
	return r, nil
}
