package oidc

import (
	"errors"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// keySet is the keys that an issuer published at one time. It is read-only, and has each
// key once.
type keySet struct{ keys []*key }

// maxKeys limits the keys of an issuer. Real issuers publish 2 to 10.
const maxKeys = 100

// maxTried limits how many keys are tried for one token.
const maxTried = 4

// readKeySet reads a JWK set (RFC 7517 section 5). It ignores keys that it cannot use,
// as section 5 requires.
func readKeySet(text []byte) (*keySet, error) {
	var answer struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if json.Unmarshal(text, &answer) != nil || answer.Keys == nil {
		return nil, errors.New("the answer is no JWK set")
	}
	if len(answer.Keys) > maxKeys {
		return nil, errors.New("the JWK set has more than 100 keys")
	}
	s := &keySet{}
	for _, value := range answer.Keys {
		jwk, ok := readObject(value)
		if !ok {
			continue
		}
		if k := readKey(jwk); k != nil && s.index(k) < 0 {
			s.keys = append(s.keys, k)
		}
	}
	return s, nil
}

// index returns where s has a key equal to k, -1 if nowhere.
func (s *keySet) index(k *key) int {
	return slices.IndexFunc(s.keys, func(other *key) bool { return other.sum == k.sum })
}

// succeed returns the set to use after old, which may be nil: old itself if the keys
// are the same, and otherwise s, with the keys of old that it has too. It ends the keys
// of old that it does not have.
func (s *keySet) succeed(old *keySet) *keySet {
	if old == nil {
		return s
	}
	same := len(s.keys) == len(old.keys)
	for i, k := range s.keys {
		at := old.index(k)
		if at >= 0 {
			s.keys[i] = old.keys[at]
		}
		same = same && at >= 0
	}
	if same {
		return old
	}
	for _, k := range old.keys {
		if !slices.Contains(s.keys, k) {
			k.ended.Store(true)
		}
	}
	return s
}

// signer returns the key that signed t. Errors: [RefusedError] for [ReasonUnknownKey],
// [ReasonAlgorithm], [ReasonSignature].
func (s *keySet) signer(t *token) (*key, error) {
	named, fitting := s.candidates(t)
	switch {
	case len(fitting) == 0 && len(named) > 0 && t.key != "":
		return nil, refused(ReasonAlgorithm, "its key is for another algorithm")
	case len(fitting) == 0:
		return nil, refused(ReasonUnknownKey, "its issuer publishes no such key")
	case len(fitting) > maxTried:
		return nil, refused(ReasonUnknownKey, "its issuer publishes more than 4 keys that may be its own")
	}
	for _, k := range fitting {
		if k.signed(t) {
			return k, nil
		}
	}
	return nil, refused(ReasonSignature, "its signature is not that of its key")
}

// candidates returns the keys that t names by its kid, all of them if it has none, and
// those of them that fit its algorithm.
func (s *keySet) candidates(t *token) (named, fitting []*key) {
	for _, k := range s.keys {
		if t.key != "" && k.id != t.key {
			continue
		}
		named = append(named, k)
		if k.fits(t.algorithm) {
			fitting = append(fitting, k)
		}
	}
	return named, fitting
}
