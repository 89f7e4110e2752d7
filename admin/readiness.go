package admin

import "net/http"

// Status is the state of the process.
type Status string

// The states. A degraded process serves requests, some of them worse than normal, and
// wants traffic. A starting, draining or unready process wants no traffic.
const (
	Starting Status = "starting"
	Ready    Status = "ready"
	Degraded Status = "degraded"
	Draining Status = "draining"
	Unready  Status = "unready" // it runs, but would refuse every request
)

// Readiness is the answer of /readyz.
type Readiness struct {
	Status  Status   `json:"status"`
	Reasons []Reason `json:"reasons"` // why the status is not Ready; empty if it is
}

// Reason is one problem.
type Reason struct {
	Part   string `json:"part"`   // "redis", "control plane us", "region eu/eu-west-1"
	Detail string `json:"detail"` // a sentence for people
}

// live reports that the process answers. It does not check the services that the
// process needs.
func (s *server) live(w http.ResponseWriter, _ *http.Request) {
	send(w, http.StatusOK, "text/plain; charset=utf-8", []byte("ok\n"))
}

// ready reports whether the process wants traffic: 200 if it does, degraded or not. So
// an unavailable Redis does not take every replica out of service at once.
func (s *server) ready(w http.ResponseWriter, _ *http.Request) {
	r := s.readiness()
	status := http.StatusServiceUnavailable
	if r.Status == Ready || r.Status == Degraded {
		status = http.StatusOK
	}
	s.writeJSON(w, status, r)
}

// readiness returns the state with a list of reasons that is never nil: JSON has [],
// not null.
func (s *server) readiness() Readiness {
	r := s.Readiness()
	if r.Reasons == nil {
		r.Reasons = []Reason{}
	}
	return r
}

func (s *server) settings(w http.ResponseWriter, _ *http.Request) {
	s.writeJSON(w, http.StatusOK, s.Settings())
}
