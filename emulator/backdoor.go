package emulator

import (
	_ "embed"
	"errors"
	"net/http"
	"strings"
	"time"
)

// The APIs of the emulator in OpenAPI 3.1, and the JSON Schema of a world's file.
var (
	//go:embed openapi.yaml
	openAPIDocument []byte

	//go:embed world.schema.json
	worldSchema []byte
)

// backDoor answers the requests of tests under /_osemu/. They are neither logged nor
// limited, and no fault affects them.
func (e *Emulator) backDoor(x *exchange) answer {
	a, err := e.backDoorResult(x)
	if err != nil {
		return accountsProblem(err)
	}
	return a
}

func (e *Emulator) backDoorResult(x *exchange) (answer, error) {
	segments, err := decodeSegments(strings.TrimPrefix(x.place.path, "/_osemu/"))
	if err != nil {
		return answer{}, err
	}
	client := ""
	if len(segments) >= 2 && segments[0] == "clients" {
		client, segments[1] = segments[1], "{id}"
	}
	switch request := x.in.Method + " " + strings.Join(segments, "/"); request {
	case "GET livez":
		return jsonAnswer(http.StatusOK, map[string]string{"status": "up"}), nil
	case "POST reset":
		if err := e.Reset(); err != nil {
			return answer{}, err
		}
		return emptyAnswer(http.StatusNoContent), nil
	default:
		return e.backDoorCall(x, request, client)
	}
}

// backDoorCall answers back door requests that run concurrently with others.
func (e *Emulator) backDoorCall(x *exchange, request, client string) (answer, error) {
	e.running.RLock()
	defer e.running.RUnlock()
	switch request {
	case "GET requests":
		return jsonAnswer(http.StatusOK, e.Requests()), nil
	case "DELETE requests":
		e.ForgetRequests()
		return emptyAnswer(http.StatusNoContent), nil
	case "GET faults":
		return jsonAnswer(http.StatusOK, e.faults.current()), nil
	case "PUT faults":
		return e.putFaults(x.in)
	case "POST clock":
		return e.postClock(x.in)
	case "PATCH clients/{id}":
		return e.patchClient(x.in, client)
	case "GET clients":
		return jsonAnswer(http.StatusOK, e.ClientCounts()), nil
	case "DELETE clients/{id}/tokens":
		return e.revokeClient(client)
	case "GET world":
		return jsonAnswer(http.StatusOK, e.world()), nil
	case "GET openapi.yaml":
		return answer{http.StatusOK, http.Header{"Content-Type": {"application/yaml"}}, openAPIDocument}, nil
	case "GET world.schema.json":
		return answer{http.StatusOK, http.Header{"Content-Type": {"application/schema+json"}}, worldSchema}, nil
	}
	return answer{}, problemf(http.StatusNotFound,
		"the back door has GET livez, POST reset, GET and DELETE requests, GET and PUT faults, POST clock, "+
			"GET clients, PATCH clients/{id}, DELETE clients/{id}/tokens, GET world, GET openapi.yaml, GET world.schema.json")
}

// revokeClient answers the back door's request to end all tokens of a client.
func (e *Emulator) revokeClient(id string) (answer, error) {
	if !e.RevokeTokens(id) {
		return answer{}, problemf(http.StatusNotFound, "no client %q", id)
	}
	return emptyAnswer(http.StatusNoContent), nil
}

func (e *Emulator) putFaults(r *http.Request) (answer, error) {
	body, err := readBody(r, maxForm)
	if err != nil {
		return answer{}, err
	}
	var f Faults
	if err := f.UnmarshalJSON(body); err != nil {
		return answer{}, problemf(http.StatusBadRequest, "%v", err)
	}
	e.faults.set(f)
	return jsonAnswer(http.StatusOK, f), nil
}

func (e *Emulator) postClock(r *http.Request) (answer, error) {
	body, err := readBody(r, maxForm)
	if err != nil {
		return answer{}, err
	}
	members, err := decodeObject(body)
	if err != nil {
		return answer{}, err
	}
	var text string
	if err := members.read("advance", &text); err != nil {
		return answer{}, err
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return answer{}, problemf(http.StatusBadRequest, `advance is not a duration such as "720h"`)
	}
	if err := e.Advance(d); err != nil {
		return answer{}, problemf(http.StatusBadRequest, "%v", err)
	}
	return jsonAnswer(http.StatusOK, map[string]time.Time{"now": e.clock.now()}), nil
}

// patchClient gives a client other scopes, which also apply to its existing tokens, or
// another secret, or both.
func (e *Emulator) patchClient(r *http.Request, id string) (answer, error) {
	body, err := readBody(r, maxForm)
	if err != nil {
		return answer{}, err
	}
	members, err := decodeObject(body)
	if err != nil {
		return answer{}, err
	}
	var scopes []string
	var secret string
	if err := errors.Join(members.read("scopes", &scopes), members.read("secret", &secret)); err != nil {
		return answer{}, err
	}
	_, rights := members["scopes"]
	_, rotated := members["secret"]
	if !rights && secret == "" || rotated && secret == "" {
		return answer{}, problemf(http.StatusBadRequest, "scopes and secret are missing, or the secret is empty")
	}
	if scope, bad := unknownScope(scopes); bad {
		return answer{}, problemf(http.StatusBadRequest,
			"scopes: %q is not one of %s", scope, strings.Join(allScopes(), ", "))
	}
	if rights {
		err = e.setScopes(id, scopes)
	}
	if err == nil && rotated {
		_, err = e.SetSecret(id, secret)
	}
	if err != nil {
		return answer{}, err
	}
	client, ok := e.directory.client(id)
	if !ok {
		return answer{}, problemf(http.StatusNotFound, "no client %q", id)
	}
	return jsonAnswer(http.StatusOK, client), nil
}

// setScopes gives a client, if there is such a client, other scopes.
func (e *Emulator) setScopes(id string, scopes []string) error {
	if !e.directory.setScopes(id, scopes) {
		return nil
	}
	return e.disk.write(change{bucket: scopeBucket, key: id, value: record(scopes)})
}

// world returns the world of the start with the current clients, and without secrets.
func (e *Emulator) world() World {
	w := *e.directory.world
	w.Clients = nil
	for _, c := range e.directory.world.Clients {
		now, _ := e.directory.client(c.ID)
		w.Clients = append(w.Clients, now)
	}
	return w
}
