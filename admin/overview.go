package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Overview is the answer of /api/overview and the data of /api/live, without the fields
// that differ between viewers.
type Overview struct {
	Time    time.Time `json:"time"`
	Start   time.Time `json:"start"` // of the process
	Version string    `json:"version"`
	Replica Replica   `json:"replica"`
	Health  Health    `json:"health"`

	Switches Switches `json:"switches"` // set by operators

	// Names contains the names of ids of clients, organizations and environments in
	// Traffic, as far as a control plane has given them.
	Names map[string]string `json:"names"`

	// Traffic is the value that [Options.Overview] returns. A reader sets it to a pointer
	// to that type before it decodes an Overview.
	Traffic any `json:"traffic"`
}

// Replica identifies a process among those that serve the same clients.
type Replica struct {
	ID   string `json:"id"`   // random
	Host string `json:"host"` // name of its machine, pod or container; may be empty
}

// encodeOverview returns the overview at now as JSON, without the fields that differ
// between viewers.
func (s *server) encodeOverview(now time.Time) ([]byte, error) {
	health, traffic, names := s.Overview(now)
	body, err := json.Marshal(Overview{
		Time: now, Start: s.Start, Version: s.Version, Replica: s.Replica,
		Health: health, Names: names, Switches: s.Operations.Switches(), Traffic: traffic,
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the overview: %w", err)
	}
	return body, nil
}

// forViewer adds to an encoded overview whether its viewer is logged in; the page then
// shows a logout button.
func forViewer(encoded []byte, session bool) []byte {
	body := append([]byte(`{"session":`), strconv.FormatBool(session)...)
	return append(append(body, ','), encoded[1:]...)
}

func (s *server) overview(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	body, err := s.encodeOverview(now)
	if err != nil {
		s.unwritable(w, err)
		return
	}
	send(w, http.StatusOK, "application/json", forViewer(body, s.guard.inSession(r, now)))
}

// MaxRecent is how far back /api/recent can look. It is the default, too.
const MaxRecent = 15 * time.Minute

// minRecent is the shortest time that /api/recent accepts.
const minRecent = 5 * time.Second

// recent serves /api/recent: the traffic of the last minutes.
func (s *server) recent(w http.ResponseWriter, r *http.Request) {
	back := MaxRecent
	if text := r.URL.Query().Get("seconds"); text != "" {
		seconds, err := strconv.Atoi(text)
		back = time.Duration(seconds) * time.Second
		if err != nil || seconds < int(minRecent/time.Second) || seconds > int(MaxRecent/time.Second) {
			badInput(w, &InputError{"seconds",
				fmt.Sprintf("must be a whole number from %.0f to %.0f", minRecent.Seconds(), MaxRecent.Seconds())})
			return
		}
	}
	s.writeJSON(w, http.StatusOK, s.Recent(time.Now(), back))
}
