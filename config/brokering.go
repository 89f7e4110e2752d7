package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Methods are the ways to identify clients, in the order in which they are tried:
// "anypoint" or "introspect", "jwt", "mtls", each at most once.
type Methods []string

// The methods that need no Anypoint credential of the client.
const (
	methodJWT  = "jwt"
	methodMTLS = "mtls"
)

// Has reports whether a method is in the list.
func (m Methods) Has(method string) bool { return slices.Contains(m, method) }

// Broker reports whether some clients are identified without an Anypoint credential.
func (m Methods) Broker() bool { return m.Has(methodJWT) || m.Has(methodMTLS) }

// registerBrokering registers the parsers of the types in this file.
func registerBrokering(l *loader, funcs map[reflect.Type]env.ParserFunc) {
	register(l, funcs, func(_ *field, text string) (Methods, error) { return parseMethods(text) })
	register(l, funcs, func(_ *field, text string) (Issuers, error) { return parseIssuers(text) })
	register(l, funcs, func(_ *field, text string) (Claims, error) { return parseClaims(text) })
}

// parseMethods parses a list of methods.
func parseMethods(text string) (Methods, error) {
	known := []string{"anypoint", "introspect", methodJWT, methodMTLS}
	items, err := list(strings.ToLower(text))
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		if !slices.Contains(known, item) {
			return nil, fmt.Errorf("%s is unknown; want some of %s", quote(item), strings.Join(known, ", "))
		}
	}
	if slices.Contains(items, "anypoint") && slices.Contains(items, "introspect") {
		return nil, errors.New("anypoint and introspect both validate Anypoint tokens; want one of them")
	}
	return items, nil
}

// Issuer is an issuer of JSON Web Tokens.
type Issuer struct {
	URL  string // as in the claim "iss", compared byte by byte
	Keys string // URL of the key set; empty: by OpenID Connect Discovery
}

// Issuers are the issuers whose tokens are accepted; nil if there are none.
type Issuers []Issuer

// parseIssuers parses a list of ISSUER or ISSUER=JWKS_URL.
func parseIssuers(text string) (Issuers, error) {
	items, err := list(text)
	if err != nil {
		return nil, err
	}
	var issuers Issuers
	for _, item := range items {
		i := Issuer{URL: item}
		if at := strings.Index(item, "=http"); at > 0 {
			i.URL, i.Keys = item[:at], item[at+1:]
		}
		for _, text := range []string{i.URL, i.Keys} {
			if text != "" && !issuerURL(text) {
				return nil, fmt.Errorf("%s is not the URL of an issuer; want https (http on loopback only) without "+
					"user, query and fragment, such as https://login.example.com/tenant", quote(text))
			}
		}
		if slices.ContainsFunc(issuers, func(other Issuer) bool { return other.URL == i.URL }) {
			return nil, fmt.Errorf("%s is given twice; want it once", quote(i.URL))
		}
		issuers = append(issuers, i)
	}
	return issuers, nil
}

// issuerURL reports whether text is a URL that an issuer may have (OpenID Connect
// Discovery 1.0 section 3).
func issuerURL(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#") || !goodHost(u) {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	return u.Scheme == "https" || u.Scheme == "http" && loopback
}

// Claims are names of claims, in the order in which they are tried.
type Claims []string

// parseClaims parses a list of claims.
func parseClaims(text string) (Claims, error) {
	items, err := list(text)
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		if strings.ContainsFunc(item, notVisible) {
			return nil, fmt.Errorf("%s is not the name of a claim; want a name such as azp", quote(item))
		}
	}
	return items, nil
}
