package admin

import "net/http"

// Status is what the process can do.
type Status string

// The states. A degraded process serves, some things worse than it should, and wants traffic; a starting, draining or unready one does not.
const (
	Starting Status = "starting"
	Ready    Status = "ready"
	Degraded Status = "degraded"
	Draining Status = "draining"
	Unready  Status = "unready" // it runs, and would refuse whatever comes
)

// Readiness is the answer of /readyz.
type Readiness struct {
	Status  Status   `json:"status"`
	Reasons []Reason `json:"reasons"` // why the status is not Ready; empty where it is
}

// Reason is one thing that is not as it should be.
type Reason struct {
	Part   string `json:"part"`   // "redis", "control plane us", "region eu/eu-west-1"
	Detail string `json:"detail"` // a sentence for people
}

// live says that the process answers, and nothing of what it needs.
func (s *server) live(w http.ResponseWriter, _ *http.Request) {
	send(w, http.StatusOK, "text/plain; charset=utf-8", []byte("ok\n"))
}

// ready says whether traffic should come here: 200 where it should, degraded or not, so that a Redis that is away does not take every replica
// out of service at once.
func (s *server) ready(w http.ResponseWriter, _ *http.Request) {
	r := s.readiness()
	status := http.StatusServiceUnavailable
	if r.Status == Ready || r.Status == Degraded {
		status = http.StatusOK
	}
	s.writeJSON(w, status, r)
}

// readiness asks for the state, with a list where there is none: JSON says [], not null.
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
