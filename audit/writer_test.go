package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"osgate/record"
)

func TestLinesAreThoseOfWritesRefusalsAndActions(t *testing.T) {
	path := newPath(t)
	w := opened(t, Options{Path: path, Instance: "replica-1"})
	for _, x := range []*record.Exchange{
		{Method: "GET", Operation: "getKey", Surface: record.SurfaceObjectStore, Status: 200, Principal: "no"},
		{Method: "HEAD", Operation: "headKey", Surface: record.SurfaceObjectStore, Status: 404, Principal: "no"},
		{Method: "POST", Operation: "token", Surface: record.SurfaceAccounts, Status: 200, Principal: "no"},
		{Method: "POST", Surface: record.SurfaceObjectStore, Status: 404, Principal: "no"},
		{Method: "GET", Operation: "getKey", Surface: record.SurfaceObjectStore, Status: 429, Principal: "no"},
		{Method: "PUT", Operation: "putKey", Surface: record.SurfaceObjectStore, Status: 502, Principal: "yes"},
		{Method: "DELETE", Operation: "deleteStore", Surface: record.SurfaceObjectStore, Status: 204, Principal: "yes"},
		{Method: "POST", Operation: "ack", Surface: record.SurfaceObjectStore, Status: 200, Principal: "yes"},
		{Method: "GET", Operation: "getKey", Surface: record.SurfaceObjectStore, Status: 401, Principal: "yes"},
		{Method: "GET", Operation: "readStats", Surface: record.SurfaceStats, Status: 403, Principal: "yes", Denied: true},
		{Method: "POST", Operation: "login", Surface: record.SurfaceAccounts, Status: 401, Principal: "yes"},
		{Method: "GET", Operation: "getKey", Surface: record.SurfaceObjectStore, Status: 404, Denied: true, Principal: "yes"},
	} {
		w.Keep(x)
	}
	w.Act(Action{
		Time: time.Date(2026, 12, 1, 13, 0, 0, 5, time.FixedZone("", 3600)), Name: "purge", Actor: "token", RemoteAddr: "192.0.2.1", RequestID: "r", Status: 200,
		Parameters: []Parameter{{"organization", "org"}, {"store", `a "b"` + "\n"}},
	})
	closed(t, w)
	s := verified(t, path, VerifyOptions{})
	if s.Kinds[kindExchange] != 7 || s.Kinds[kindAction] != 1 || s.Kinds[kindBegin] != 1 || s.Kinds[kindEnd] != 1 || bytes.Contains(content(t, path), []byte(`"no"`)) {
		t.Errorf("%+v\n%s", s, content(t, path))
	}
	for _, want := range []string{
		`"time":"2026-12-01T12:00:00.000000005Z","kind":"action","request_id":"r","action":"purge","principal":"token","remote_addr":"192.0.2.1","status":200,"parameters":[["organization","org"],["store","a \"b\"\n"]],`,
		`"kind":"begin","instance":"replica-1",`,
	} {
		if !bytes.Contains(content(t, path), []byte(want)) {
			t.Errorf("%s is not in\n%s", want, content(t, path))
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestALineHasTheFieldsOfItsExchange(t *testing.T) {
	x := write(1)
	x.Duration, x.CausedBy, x.User, x.IdentifiedBy, x.Issuer = time.Second, "cause", "user", "mtls", "CN=CA"
	x.RemoteAddr, x.ClientAddr, x.Code, x.Cause, x.Rule, x.Denied, x.Aborted = "192.0.2.1", "198.51.100.1", "denied", "because", "rule-1", true, true
	x.UpstreamClient, x.UpstreamAttempts, x.UpstreamStatus, x.UpstreamRequestID = "gateway-app", 1, 200, "up"
	x.Store = strings.Repeat("é", 2000) + "\xff"
	var got map[string]any
	if err := json.Unmarshal([]byte("{"+string(ofExchange(nil, x))+"}"), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"time": "2026-12-01T12:00:01.000000001Z", "kind": "exchange", "request_id": "request-1", "caused_by": "cause", "principal": "app", "user": "user",
		"identified_by": "mtls", "issuer": "CN=CA", "remote_addr": "192.0.2.1", "client_addr": "198.51.100.1", "method": "PUT", "surface": "object-store",
		"operation": "putKey", "plane": "us", "region": "us-east-1", "organization": "org", "environment": "env", "store": strings.Repeat("é", 1024) + "…",
		"status": 200., "code": "denied", "cause": "because", "rule": "rule-1", "denied": true, "aborted": true, "upstream_client": "gateway-app",
		"upstream_status": 200., "upstream_request_id": "up",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// TestAFileIsContinued by one process at a time.
func TestAFileIsContinued(t *testing.T) {
	path := newPath(t)
	for range 3 {
		w := opened(t, Options{Path: path, Secret: []byte("secret")})
		if _, err := New(Options{Path: path, Secret: []byte("secret")}); !errors.Is(err, errLocked) {
			t.Errorf("a second process: %v", err)
		}
		w.Keep(write(1))
		closed(t, w)
		if s := w.Stats(); s.Head != verified(t, path, VerifyOptions{Secret: []byte("secret")}).Head || s.Lost != 0 || s.Waiting != 0 || s.Degraded(time.Now()) != "" {
			t.Errorf("%+v", s)
		}
	}
	if s := verified(t, path, VerifyOptions{Secret: []byte("secret")}); s.Lines != 9 || s.Kinds[kindResume] != 2 {
		t.Errorf("%+v", s)
	}
	before := content(t, path)
	for _, secret := range []string{"", "other"} {
		if _, err := New(Options{Path: path, Secret: []byte(secret)}); err == nil {
			t.Errorf("secret %q: the file of another secret is continued", secret)
		}
	}
	if !bytes.Equal(before, content(t, path)) {
		t.Error("the file was changed")
	}
}

// TestAnIncompleteLastLineIsReplaced wherever the crash has cut it, and a changed line
// is not.
func TestAnIncompleteLastLineIsReplaced(t *testing.T) {
	text := chainOf(t, 3, nil)
	last := bytes.LastIndexByte(text[:len(text)-1], '\n') + 1
	for cut := last + 1; cut < len(text); cut++ {
		path := newPath(t)
		if err := os.WriteFile(path, text[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		w := opened(t, Options{Path: path})
		w.Keep(write(9))
		closed(t, w)
		s := verified(t, path, VerifyOptions{})
		if s.Kinds[kindTorn] != 1 || s.Kinds[kindExchange] != 4 || !bytes.Contains(content(t, path), fmt.Appendf(nil, `"kind":"torn","bytes":%d,`, cut-last)) {
			t.Fatalf("cut after %d: %+v\n%s", cut, s, content(t, path))
		}
	}
	path := newPath(t)
	long := append(bytes.Clone(text[:last]), bytes.Repeat([]byte{0}, 5000)...)
	if err := os.WriteFile(path, long, 0o600); err != nil {
		t.Fatal(err)
	}
	closed(t, opened(t, Options{Path: path}))
	if s := verified(t, path, VerifyOptions{}); s.Kinds[kindTorn] != 1 {
		t.Errorf("zeros behind the last line: %+v", s)
	}
	for name, damaged := range map[string][]byte{
		"a changed last line": bytes.Replace(text, []byte(`"kind":"end"`), []byte(`"kind":"eno"`), 1),
		"a changed line":      bytes.Replace(text, []byte("request-1"), []byte("request-9"), 1),
		"a removed line":      append(bytes.Clone(text[:bytes.IndexByte(text, '\n')+1]), text[last:]...),
		"another file":        []byte("root:x:0:0\n"),
		"another text":        []byte("no line"),
	} {
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Options{Path: path}); err == nil || !bytes.Equal(content(t, path), damaged) {
			t.Errorf("%s: %v; or it was changed", name, err)
		}
	}
	if err := os.WriteFile(path, text[:30], 0o600); err != nil { // the first line is incomplete
		t.Fatal(err)
	}
	closed(t, opened(t, Options{Path: path}))
	if got := kinds(t, path); got != "begin torn end" {
		t.Errorf("%s", got)
	}
}

// TestARenamedFileIsFollowedByOneThatContinuesIt.
func TestARenamedFileIsFollowedByOneThatContinuesIt(t *testing.T) {
	path := newPath(t)
	w := opened(t, Options{Path: path})
	w.Keep(write(1))
	if err := w.Reopen(t.Context()); err != nil { // nothing was renamed
		t.Fatal(err)
	}
	await(t, w, 2)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	w.Keep(write(2))
	await(t, w, 3)
	if err := w.Reopen(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Keep(write(3))
	closed(t, w)
	first, second := verified(t, path+".1", VerifyOptions{}), verified(t, path, VerifyOptions{})
	if first.Lines != 3 || second.Before != first.Head.String() || second.First != first.Last+1 || kinds(t, path) != "begin exchange end" {
		t.Errorf("%+v\n%+v", first, second)
	}
	both := append(content(t, path+".1"), content(t, path)...)
	if s, err := Verify(bytes.NewReader(both), VerifyOptions{}); err != nil || s.Lines != 6 {
		t.Errorf("together: %+v, %v", s, err)
	}
	if err := w.Reopen(t.Context()); err == nil {
		t.Error("a closed file is reopened")
	}
}

// TestAFileThatIsNotEmptyReplacesNone so that the former one stays in use.
func TestAFileThatIsNotEmptyReplacesNone(t *testing.T) {
	path := newPath(t)
	w := opened(t, Options{Path: path})
	if err := errors.Join(os.Rename(path, path+".1"), os.WriteFile(path, []byte("x\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := w.Reopen(t.Context()); err == nil {
		t.Error("it is taken")
	}
	w.Keep(write(1))
	closed(t, w)
	if got := kinds(t, path+".1"); got != "begin exchange end" || string(content(t, path)) != "x\n" {
		t.Errorf("%s, %s", got, content(t, path))
	}
}

// TestAFullDiskLosesNoLineThatWaits and states those that are lost, reports the failure
// once, and leaves no half line behind.
func TestAFullDiskLosesNoLineThatWaits(t *testing.T) {
	for name, fail := range map[string]func(d *disk){
		"write": func(d *disk) { d.set(syscall.ENOSPC, nil) },
		"sync":  func(d *disk) { d.set(nil, syscall.EIO) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := newPath(t)
				var d *disk
				var mu sync.Mutex
				var changes []Change
				w, err := newWriter(Options{Path: path, OnChange: func(c Change) { mu.Lock(); defer mu.Unlock(); changes = append(changes, c) }}, func(path string) (file, error) {
					f, err := open(path)
					d = &disk{file: f}
					return d, err
				})
				if err != nil {
					t.Fatal(err)
				}
				w.Keep(write(0))
				<-time.After(time.Second)
				fail(d)
				kept := 1
				for w.Stats().Lost < 100 {
					w.Keep(write(kept))
					if kept++; kept%1000 == 0 {
						<-time.After(time.Second)
					}
				}
				<-time.After(time.Minute)
				s := w.Stats()
				if s.Err == nil || s.Lag < time.Minute || s.Waiting != uint64(kept-1-100) || !strings.Contains(s.Degraded(time.Now()), "100 are lost") {
					t.Errorf("%+v, %s", s, s.Degraded(time.Now()))
				}
				if s, err := Verify(bytes.NewReader(content(t, path)), VerifyOptions{}); s.Lines != 2 {
					t.Errorf("%+v, %v", s, err)
				}
				d.set(nil, nil)
				<-time.After(2 * time.Second)
				w.Keep(write(kept))
				closed(t, w)
				whole := verified(t, path, VerifyOptions{})
				if whole.Lost != 100 || whole.Kinds[kindGap] != 1 || whole.Kinds[kindExchange] != uint64(kept+1-100) || !strings.HasSuffix(kinds(t, path), "exchange gap exchange end") {
					t.Errorf("%+v after %d lines", whole, kept+1)
				}
				if s := w.Stats(); s.Err != nil || s.Degraded(time.Now()) == "" || s.Degraded(time.Now().Add(time.Hour)) != "" {
					t.Errorf("%+v", s)
				}
				if len(changes) != 2 || changes[0].Err == nil || changes[1].Err != nil || changes[0].Lost+changes[1].Lost != 100 {
					t.Errorf("%+v", changes)
				}
			})
		})
	}
}

// TestTheEndWaitsForNoBrokenDisk and reports what is lost.
func TestTheEndWaitsForNoBrokenDisk(t *testing.T) {
	path := newPath(t)
	var d *disk
	w, err := newWriter(Options{Path: path}, func(path string) (file, error) {
		f, err := open(path)
		d = &disk{file: f}
		return d, err
	})
	if err != nil {
		t.Fatal(err)
	}
	d.set(syscall.ENOSPC, nil)
	w.Keep(write(1))
	for w.Stats().Err == nil {
		<-time.After(time.Millisecond)
	}
	w.Keep(write(2)) // behind the one that waits for the next attempt
	if err := w.Close(t.Context()); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "2 lines are lost") || w.Stats().Lost != 2 {
		t.Errorf("%v, %+v", err, w.Stats())
	}
	w.Keep(write(3))
	if s := w.Stats(); s.Lost != 3 || kinds(t, path) != "begin" {
		t.Errorf("%+v, %s", s, kinds(t, path))
	}
}

// TestRefusalsOfStrangersAreBounded and counted, and take no room of other lines.
func TestRefusalsOfStrangersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := newPath(t)
		w := opened(t, Options{Path: path})
		<-time.After(10 * time.Second)
		x := &record.Exchange{Method: "GET", Status: 401}
		for range 1000 {
			w.Keep(x)
			w.Keep(write(1))
		}
		<-time.After(3 * time.Second)
		w.Keep(x)
		for range 150 {
			w.Keep(x)
		}
		closed(t, w)
		s := verified(t, path, VerifyOptions{})
		if s.Kinds[kindExchange] != 1000+100+100 || s.Kinds[kindRefusals] != 2 || s.Lost != 0 || !bytes.Contains(content(t, path), []byte(`"refusals":900,`)) || !bytes.Contains(content(t, path), []byte(`"refusals":51,`)) {
			t.Errorf("%+v", s)
		}
	})
}

func TestLinesOfManyGoroutinesAreOneChain(t *testing.T) {
	path := newPath(t)
	w := opened(t, Options{Path: path})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 500 {
				w.Keep(write(i))
			}
		})
	}
	all.Wait()
	closed(t, w)
	if s := verified(t, path, VerifyOptions{}); s.Kinds[kindExchange] != 4000 {
		t.Errorf("%+v", s)
	}
}

func BenchmarkKeep(b *testing.B) {
	w := opened(b, Options{Path: newPath(b), Secret: []byte("secret")})
	x := write(1)
	n := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		w.Keep(x)
		if n++; n%5000 == 0 {
			b.StopTimer()
			await(b, w, n)
			b.StartTimer()
		}
	}
	closed(b, w)
	if w.Stats().Lost > 0 {
		b.Errorf("%d are lost", w.Stats().Lost)
	}
}

// BenchmarkWrite measures a line with its hashes and its share of a sync.
func BenchmarkWrite(b *testing.B) {
	w := opened(b, Options{Path: newPath(b), Secret: []byte("secret")})
	x := write(1)
	n := uint64(0)
	for b.Loop() {
		w.Keep(x)
		if n++; n%5000 == 0 {
			await(b, w, n)
		}
	}
	closed(b, w)
	if w.Stats().Lost > 0 {
		b.Errorf("%d are lost", w.Stats().Lost)
	}
}
