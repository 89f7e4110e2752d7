package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"osgate/bench/proc"
)

// site holds the servers that the subjects of one scenario share: the origin, a Redis
// and a receiver of telemetry, all on free ports of loopback, and their folder.
type site struct {
	dir       string // removed by close
	self      string // this program, which holds the small servers
	processes []*proc.Process

	origin, redis *proc.Process
	plain, secure string // base URLs of the origin
	certificate   string // file
	redisPort     int
	sink          string // base URL
}

// newSite starts the shared servers of a scenario. The folder is in memory if the
// machine has such a file system, so that no disk is measured.
func newSite(ctx context.Context) (*site, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	parent := "/dev/shm"
	if _, err := os.Stat(parent); err != nil {
		parent = ""
	}
	dir, err := os.MkdirTemp(parent, "osgate-bench-")
	if err != nil {
		return nil, err
	}
	s := &site{dir: dir, self: self, certificate: filepath.Join(dir, "origin.pem")}
	if err := errors.Join(s.startOrigin(ctx), s.startRedis(ctx), s.startSink(ctx)); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// close ends every process of the site, the last one first, and removes its folder.
func (s *site) close() {
	for _, p := range slices.Backward(s.processes) {
		p.Stop()
	}
	_ = os.RemoveAll(s.dir)
}

// start starts a program that close ends.
func (s *site) start(ctx context.Context, o proc.Options) (*proc.Process, []string, error) {
	o.Log = filepath.Join(s.dir, fmt.Sprintf("%d-%s.log", len(s.processes), o.Name))
	p, lines, err := proc.Start(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	s.processes = append(s.processes, p)
	return p, lines, nil
}

// serve starts one of the servers of this program.
func (s *site) serve(ctx context.Context, lines int, arguments ...string) (*proc.Process, []string, error) {
	return s.start(ctx, proc.Options{Name: arguments[0], Path: s.self, Args: arguments, Lines: lines})
}

func (s *site) startOrigin(ctx context.Context) error {
	p, lines, err := s.serve(ctx, 2, "origin", s.certificate)
	if err != nil {
		return err
	}
	s.origin, s.plain, s.secure = p, lines[0], lines[1]
	return nil
}

func (s *site) startSink(ctx context.Context) error {
	_, lines, err := s.serve(ctx, 1, "sink")
	if err != nil {
		return err
	}
	s.sink = lines[0]
	return nil
}

func (s *site) startRedis(ctx context.Context) error {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return err
	}
	if s.redisPort, err = proc.FreePort(); err != nil {
		return err
	}
	s.redis, _, err = s.start(ctx, proc.Options{Name: "redis", Path: path, Args: []string{
		"--port", strconv.Itoa(s.redisPort), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", s.dir,
	}})
	if err != nil {
		return err
	}
	return s.redis.Wait(ctx, func() error {
		_, err := redisCall(ctx, s.redisPort, "PING")
		return err
	})
}

// reads returns how many reads of values the origin has answered so far.
func (s *site) reads(ctx context.Context) (int64, error) {
	text, err := fetch(ctx, s.plain+"/_bench/reads")
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(text), 10, 64)
}

// fetch returns the body of a 200 answer.
func fetch(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 8<<20))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s was answered %s", url, answer.Status)
	}
	return string(text), err
}
