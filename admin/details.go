package admin

import (
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Details returns what is known of one thing, as values for encoding/json. The page
// reads the JSON forms of board.ClientDetail, board.StoreDetail, board.RefusalDetail and
// board.Found. ok is false if the thing is not known. Its functions
// are called by many goroutines at once and must not block.
type Details interface {
	Client(now time.Time, id string) (detail any, ok bool)
	Store(now time.Time, at Scope) (detail any, ok bool)
	Request(id string) (detail any, ok bool)
	// Search returns the clients, stores and refused requests that text, which is not
	// empty, selects.
	Search(text string) any
	Policy(now time.Time) any
	// Names returns the known names of ids, those of control planes.
	Names(ids []string) map[string]string
}

// Detail is the answer of /api/client, /api/store, /api/request and /api/search.
type Detail struct {
	Detail any               `json:"detail"`
	Names  map[string]string `json:"names,omitempty"` // of ids in Detail
}

// identified is a detail that lists the ids in it.
type identified interface{ IDs() []string }

// maxDetailText is the number of bytes of the longest parameter: names have at most 128,
// escaped ones three times as many.
const maxDetailText = 512

// sendDetail sends a detail with the names of its ids.
func (s *server) sendDetail(w http.ResponseWriter, detail any, ok bool) {
	if !ok {
		problem{
			Code: "unknown", Status: http.StatusNotFound,
			Detail: "nothing is known of it here: this process has not seen it, or not for a while",
		}.write(w)
		return
	}
	d := Detail{Detail: detail}
	if i, ok := detail.(identified); ok {
		d.Names = s.Details.Names(i.IDs())
	}
	s.writeJSON(w, http.StatusOK, d)
}

func (s *server) client(w http.ResponseWriter, r *http.Request) {
	q, ok := parameters(w, r, "id")
	if !ok {
		return
	}
	detail, known := s.Details.Client(time.Now(), q.Get("id"))
	s.sendDetail(w, detail, known)
}

func (s *server) store(w http.ResponseWriter, r *http.Request) {
	q, ok := parameters(w, r, "plane", "region", "organization", "environment", "store")
	if !ok {
		return
	}
	detail, known := s.Details.Store(time.Now(), Scope{
		Plane: q.Get("plane"), Region: q.Get("region"), Organization: q.Get("organization"),
		Environment: q.Get("environment"), Store: q.Get("store"),
	})
	s.sendDetail(w, detail, known)
}

func (s *server) request(w http.ResponseWriter, r *http.Request) {
	q, ok := parameters(w, r, "id")
	if !ok {
		return
	}
	detail, known := s.Details.Request(q.Get("id"))
	s.sendDetail(w, detail, known)
}

func (s *server) search(w http.ResponseWriter, r *http.Request) {
	if q, ok := parameters(w, r, "q"); ok {
		s.sendDetail(w, s.Details.Search(q.Get("q")), true)
	}
}

func (s *server) policy(w http.ResponseWriter, _ *http.Request) {
	s.writeJSON(w, http.StatusOK, s.Details.Policy(time.Now()))
}

// parameters returns the query of r. It refuses r if one of the given parameters is
// missing, repeated or too long, or another one is given.
func parameters(w http.ResponseWriter, r *http.Request, names ...string) (q url.Values, ok bool) {
	q = r.URL.Query()
	for _, name := range names {
		if v := q[name]; len(v) != 1 || v[0] == "" || len(v[0]) > maxDetailText {
			badInput(w, &InputError{name, "must be given once, with 1 to 512 bytes"})
			return nil, false
		}
	}
	for name := range q {
		if !slices.Contains(names, name) {
			badInput(w, &InputError{name, "is not a known parameter"})
			return nil, false
		}
	}
	return q, true
}
