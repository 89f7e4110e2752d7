package archtest

// A Rule is one row of the import table: the packages of this module that one package
// may import. It does not restrict imports of other modules. The zero Rule allows no
// package of this module.
type Rule struct {
	// Imports lists the packages that any file of the package may import.
	Imports []string

	// Tests lists the packages that its test files may import as well. This column is
	// wider: a test may need a Redis or an emulator that the package itself must never
	// know.
	Tests []string
}

// A Table holds one Rule for each package. The keys are directories below the module's
// root, with slashes: "cmd/osgate", "internal/memnet".
type Table map[string]Rule

// Rules returns the import table of this module, as docs/architecture.md shows it. A
// change that adds a package adds a row here, and a change that adds an import adds it
// to a row. A row for a package that does not exist does no harm.
//
//nolint:funlen // one table, which is read as a whole
func Rules() Table {
	const (
		coherence  = "cache/coherence"
		httpcache  = "cache/httpcache"
		oidc       = "auth/oidc"
		clientcert = "auth/clientcert"
		broker     = "auth/broker"
		recent     = "internal/recent"
		entries    = "internal/entrystore"
		redisconn  = "internal/redisconn"
		breaker    = "internal/breaker"
		seal       = "internal/seal"
		redistest  = "internal/redisconn/redistest"
		memnet     = "internal/memnet"
		gateway    = "cmd/internal/gateway"
		table      = "cmd/internal/table"
		top        = "cmd/internal/top"
		conns      = "internal/conns"
		sdnotify   = "internal/sdnotify"
		version    = "internal/version"
		retry      = "internal/retryafter"
		watch      = "internal/watch"
		attrs      = "telemetry/attributes"
		board      = "telemetry/board"
		export     = "telemetry/export"
		fleet      = "telemetry/fleet"
		logwriter  = "telemetry/logwriter"
		metrics    = "telemetry/metrics"
		changes    = "internal/changes"
		flight     = "internal/flight"
		prefix     = "internal/lengthprefix"
		viaName    = "internal/via"
		calendar   = "internal/calendar"
		distance   = "internal/editdistance"
	)
	return Table{
		// Commands connect the packages. Only they import config and proxy.
		"cmd/osgate": {
			Imports: []string{
				"audit", "auth", clientcert, oidc, "config", "policy", "proxy", "reconcile", "regionmap", gateway, table, top,
				redisconn, version,
			},
			Tests: []string{"emulator"},
		},
		"cmd/osdemo": {Imports: []string{"emulator", version, gateway}},
		"cmd/osemu":  {Imports: []string{"emulator", version}, Tests: []string{memnet}},
		gateway: {
			Imports: []string{
				"admin", "audit", "auth", broker, clientcert, oidc, "cache", coherence, "config", "objectstore", "plaincache", "policy", "proxy",
				"ratelimit", "record", "regionmap", "stats",
				board, export, fleet, logwriter, metrics, conns, redisconn, sdnotify, watch,
			},
			Tests: []string{"emulator", redistest},
		},

		top:   {Imports: []string{"admin", "record", board, table}},
		table: {},

		// The life of a request.
		"proxy": {
			Imports: []string{
				"auth", broker, "cache", httpcache, "objectstore",
				"policy", "ratelimit", "record", "regionmap", retry, viaName,
			},
			Tests: []string{coherence, "emulator", memnet, "plaincache", redisconn, redistest},
		},

		// One capability each.
		"auth": {
			Imports: []string{breaker, changes, flight, prefix, recent, redisconn, retry, seal},
			Tests:   []string{"emulator", memnet, redistest},
		},
		oidc:       {Imports: []string{"auth", flight, prefix, retry}, Tests: []string{memnet}},
		clientcert: {Imports: []string{"auth", recent, watch}},
		broker: {
			Imports: []string{"auth", changes, flight},
			Tests:   []string{"emulator", oidc, clientcert, memnet},
		},
		httpcache: {Imports: []string{"record"}},
		"cache": {
			Imports: []string{coherence, httpcache, "objectstore", entries, recent, redisconn, seal},
			Tests:   []string{redistest},
		},
		"plaincache": {Imports: []string{coherence, httpcache, "record", entries, viaName}},
		coherence:    {Imports: []string{recent, redisconn, seal}, Tests: []string{redistest}},
		"policy":     {Imports: []string{"auth", "objectstore", "record", recent, watch}},
		"ratelimit":  {Imports: []string{flight, prefix, redisconn}, Tests: []string{redistest}},
		"regionmap":  {Imports: []string{"objectstore", breaker, distance, flight, prefix}},
		"stats":      {Imports: []string{"objectstore", "record", calendar, redisconn}, Tests: []string{redistest}},

		// What the gateway tells of itself.
		"audit":     {Imports: []string{"record"}},
		attrs:       {Imports: []string{"record"}},
		board:       {Imports: []string{"record"}},
		export:      {Imports: []string{"record", attrs, metrics}},
		fleet:       {Imports: []string{redisconn}, Tests: []string{redistest}},
		metrics:     {Imports: []string{"record", attrs}},
		logwriter:   {Tests: []string{"record"}},
		"admin":     {Tests: []string{memnet}},
		"reconcile": {Imports: []string{calendar}},

		// Leaves: they import no package of this module, except a helper of internal.
		"config":      {Imports: []string{distance}},
		"objectstore": {},
		"record":      {},

		// The emulator, and the tests that see osgate from outside.
		"emulator": {Tests: []string{memnet}}, // the independent witness: it has a parser of its own
		"e2e":      {Tests: []string{redistest}},
		"deploy":   {},

		// Internal packages.
		redisconn:            {Imports: []string{breaker, changes}, Tests: []string{redistest}},
		conns:                {},
		sdnotify:             {},
		"deploy/packagetest": {},
		recent:               {},
		entries:              {},
		breaker:              {},
		retry:                {},
		seal:                 {Imports: []string{prefix}},
		flight:               {},
		changes:              {},
		prefix:               {},
		viaName:              {},
		calendar:             {},
		distance:             {},
		redistest:            {},
		memnet:               {},
		version:              {},
		watch:                {},
		"internal/archtest":  {},
		"internal/mutants":   {},
	}
}

// A Ban keeps a package out of a command, at any length of the import chain that would
// link it.
type Ban struct {
	Command string // directory of the command, as in a Table
	Package string // full import path of the package that must not be linked
	Because string // the reason, reported when the ban is broken

	// Except lists import paths of libraries that import Package although the linker
	// never keeps it, which was measured by the size of the binary. Chains through them
	// are ignored.
	Except []string
}

// Bans returns the packages that must never be linked into a command of this module.
func Bans() []Ban {
	const (
		osgate   = "cmd/osgate"
		witness  = "the emulator is the other side; the gateway meets it over HTTP alone"
		helpers  = "test helpers are no part of the gateway"
		template = "it makes the linker keep every exported method, 8 MB with go-redis; write strings or JSON instead"
	)
	return []Ban{
		{Command: osgate, Package: "osgate/emulator", Because: witness},
		{Command: osgate, Package: "testing", Because: helpers},
		{Command: osgate, Package: "text/template", Because: template},
		{Command: osgate, Package: "html/template", Because: template},
	}
}
