package gateway

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"osgate/auth"
	"osgate/config"
	"osgate/internal/redisconn"
	"osgate/policy"
	"osgate/proxy"
	"osgate/regionmap"
	"osgate/telemetry/export"
)

// Configure reads the configuration and returns every problem with it, including the
// names of planes and regions, the rules of the policy and OpenTelemetry's own
// variables.
func Configure(environ []string) (config.Config, error) {
	return config.Load(environ, checkRegions, checkPolicy, checkExports(environ))
}

// ConfigureAlone is Configure without the files that a running gateway reads again. A
// running gateway keeps its rules while the files on disk are invalid, which is when
// operators look at it.
func ConfigureAlone(environ []string) (config.Config, error) {
	return config.Load(config.WithoutLinesFiles(environ), checkRegions)
}

// checkPolicy returns the problems of the rules under the name of the variable that
// names them.
func checkPolicy(c config.Config) (problems []config.Problem) {
	_, err := Policy(c.Policy)
	if wrong, ok := errors.AsType[*policy.LoadError](err); ok {
		for _, p := range wrong.Problems {
			problems = append(problems, config.Problem{Variable: config.Prefix + "POLICY", Detail: p.String()})
		}
		return problems
	}
	if err != nil {
		problems = append(problems, config.Problem{Variable: config.Prefix + "POLICY", Detail: err.Error()})
	}
	return problems
}

// Policy loads the rules that c names. Without a path it permits everything.
func Policy(c config.Policy) (*policy.Policy, error) {
	if c.Path == "" {
		return &policy.Policy{}, nil
	}
	return policy.Load(policyOptions(c)) //nolint:wrapcheck // the error names file, line and column
}

func policyOptions(c config.Policy) policy.Options {
	return policy.Options{Path: c.Path, Shadow: c.Shadow, Headers: c.Headers}
}

// checkExports returns the problems with OpenTelemetry's variables.
func checkExports(environ []string) func(config.Config) []config.Problem {
	return func(config.Config) (problems []config.Problem) {
		_, err := export.ReadPlan(getenv(environ))
		all, ok := err.(interface{ Unwrap() []error })
		if !ok {
			return nil
		}
		for _, err := range all.Unwrap() {
			if e, ok := errors.AsType[*export.VariableError](err); ok {
				problems = append(problems, config.Problem{Variable: e.Variable, Detail: e.Detail})
			}
		}
		return problems
	}
}

// getenv looks up variables in a list such as "A=b". Of two with the same name the
// first counts, as it does for the exporters.
func getenv(environ []string) func(string) string {
	return func(name string) string {
		i := slices.IndexFunc(environ, func(variable string) bool { return strings.HasPrefix(variable, name+"=") })
		if i < 0 {
			return ""
		}
		return environ[i][len(name)+1:]
	}
}

// checkRegions returns the problems of a region map under the names of the variables
// that it is made from.
func checkRegions(c config.Config) (problems []config.Problem) {
	_, err := regionmap.New(regionOptions(c))
	all, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	for _, err := range all.Unwrap() {
		if e, ok := errors.AsType[*regionmap.OptionError](err); ok {
			variable := map[string]string{
				"Planes": "PLANES", "Regions": "REGIONS", "Routes": "ROUTES", "Default": "DEFAULT_REGION",
			}[e.Option]
			problems = append(problems, config.Problem{Variable: config.Prefix + variable, Detail: e.Detail})
		}
	}
	return problems
}

// Regions makes a region map from the locations in c.
func Regions(c config.Config) (*regionmap.Map, error) {
	m, err := regionmap.New(regionOptions(c))
	if err != nil {
		return nil, fmt.Errorf(
			"reading OSGATE_PLANES, OSGATE_REGIONS, OSGATE_ROUTES and OSGATE_DEFAULT_REGION: %w", err)
	}
	return m, nil
}

func regionOptions(c config.Config) regionmap.Options {
	o := regionmap.Options{Discover: c.Regions.Discover, Planes: c.Regions.Planes,
		Regions: c.Regions.Allowed, Default: string(c.Regions.Default)}
	for _, r := range c.Regions.Routes {
		o.Routes = append(o.Routes, regionmap.Route{Organization: r.Organization, Environment: r.Environment,
			Store: r.Store, To: string(r.Location)})
	}
	return o
}

// Transport makes the transport to upstream that c describes.
func Transport(c config.Config) (proxy.Transport, error) {
	o := proxy.TransportOptions{Timeout: c.Upstream.Timeout, IdleTimeout: c.Upstream.Idle,
		MaxConnections: shares(c).Upstream}
	if c.Upstream.CA != "" {
		pem, err := os.ReadFile(c.Upstream.CA)
		if err != nil {
			return proxy.Transport{}, fmt.Errorf("reading OSGATE_UPSTREAM_CA: %w", err)
		}
		if o.Roots, err = x509.SystemCertPool(); err != nil {
			return proxy.Transport{}, fmt.Errorf("reading the system's authorities: %w", err)
		}
		if !o.Roots.AppendCertsFromPEM(pem) {
			return proxy.Transport{}, errors.New("OSGATE_UPSTREAM_CA contains no PEM certificate")
		}
	}
	return proxy.NewTransport(o), nil
}

// Endpoint returns a function that returns the Access Management address of a plane.
func Endpoint(c config.Config) func(plane string) auth.Endpoint {
	return func(plane string) auth.Endpoint {
		host := regionmap.AccountsHost(plane)
		if c.Upstream.Override.Reveal() != nil {
			return auth.Endpoint{URL: c.Upstream.Override.Reveal(), Host: host}
		}
		return auth.Endpoint{URL: &url.URL{Scheme: "https", Host: host}, Host: host}
	}
}

// OpenRedis opens the connection that c names, nil without one. The callbacks of o
// receive changes of its state. It does not connect yet.
func OpenRedis(c config.Config, o redisconn.Options) (*redisconn.Conn, error) {
	if c.Redis.URL.Reveal() == "" {
		return nil, nil //nolint:nilnil // a gateway without Redis is valid
	}
	o.URL, o.Timeout, o.Prefix = c.Redis.URL.Reveal(), c.Redis.Timeout, c.Redis.Prefix
	conn, err := redisconn.Open(o)
	if err != nil {
		return nil, fmt.Errorf("reading OSGATE_REDIS_URL: %w", err)
	}
	return conn, nil
}
