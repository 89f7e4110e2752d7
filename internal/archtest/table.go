package archtest

// A Rule is one row of the import table: which packages of this module one
// package may import. Packages outside the module are not its business.
// The zero Rule allows nothing of ours.
type Rule struct {
	// Imports is what any file of the package may import.
	Imports []string

	// Tests is what its test files may import besides Imports and the package
	// itself. It is the looser column: a test may bring a Redis or an emulator
	// that the package itself must never know.
	Tests []string
}

// A Table holds one Rule for each package. Packages go by their directory
// below the module's root, in slashes: "cmd/osgate", "internal/memnet".
type Table map[string]Rule

// Rules returns the import table of this module, the picture of
// docs/architecture.md as data. A new package gets a row here, a new arrow a
// word in a row, in the same change that needs it. A row for a package that
// does not exist does no harm.
func Rules() Table {
	const (
		redisconn = "internal/redisconn"
		breaker   = "internal/breaker"
		seal      = "internal/seal"
		redistest = "internal/redisconn/redistest"
		memnet    = "internal/memnet"
		gateway   = "cmd/internal/gateway"
		conns     = "internal/conns"
		version   = "internal/version"
		retry     = "internal/retryafter"
		watch     = "internal/watch"
	)
	return Table{
		// Commands wire; they alone know config and proxy.
		"cmd/osgate": {Imports: []string{"config", "policy", "proxy", "reconcile", "regionmap", redisconn, version, gateway}, Tests: []string{"emulator"}},
		"cmd/osdemo": {Imports: []string{"emulator", version, gateway}},
		"cmd/osemu":  {Imports: []string{"emulator", version}, Tests: []string{memnet}},
		gateway: {
			Imports: []string{
				"admin", "auth", "cache", "config", "objectstore", "policy", "proxy",
				"ratelimit", "record", "regionmap", "stats", "telemetry", conns, redisconn, watch,
			},
			Tests: []string{"emulator", redistest},
		},

		// The life of a request.
		"proxy": {
			Imports: []string{"auth", "cache", "objectstore", "policy", "ratelimit", "record", "regionmap", retry},
			Tests:   []string{"emulator", memnet, redisconn, redistest},
		},

		// One capability each.
		"auth":      {Imports: []string{breaker, redisconn, retry, seal}, Tests: []string{"emulator", memnet, redistest}},
		"cache":     {Imports: []string{"objectstore", redisconn, seal}, Tests: []string{memnet, redistest}},
		"policy":    {Imports: []string{"auth", "objectstore", watch}},
		"ratelimit": {Imports: []string{redisconn}, Tests: []string{redistest}},
		"regionmap": {Imports: []string{"objectstore", breaker}},
		"stats":     {Imports: []string{"objectstore", "record", redisconn}, Tests: []string{redistest}},
		"telemetry": {Imports: []string{"objectstore", "record"}, Tests: []string{memnet}},
		"admin":     {Tests: []string{memnet}},
		"reconcile": {},

		// Leaves: they know nothing of ours.
		"config":      {},
		"objectstore": {},
		"record":      {},

		// The other side, and the view from outside.
		"emulator": {Tests: []string{memnet}}, // the independent witness: it parses by itself
		"e2e":      {Tests: []string{redistest}},
		"deploy":   {},

		// Tools of the house.
		redisconn:           {Imports: []string{breaker}, Tests: []string{redistest}},
		conns:               {},
		breaker:             {},
		retry:               {},
		seal:                {},
		redistest:           {},
		memnet:              {},
		version:             {},
		watch:               {},
		"internal/archtest": {},
		"internal/mutants":  {},
	}
}

// A Ban keeps a package out of a command, however long the chain of imports
// that would link it.
type Ban struct {
	Command string // directory of the command, as in a Table
	Package string // full import path of what must not be linked
	Because string // the reason, shown when the ban is broken

	// Except lists import paths of libraries that import Package without the
	// linker ever keeping it, measured by the size of the binary; chains
	// through them do not count.
	Except []string
}

// Bans returns what must never be linked into a command of this module.
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
