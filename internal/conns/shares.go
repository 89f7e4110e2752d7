package conns

// Shares holds the file descriptors of a process by use.
type Shares struct {
	Process  int // files, listeners, exporters, name service
	Admin    int // connections of the admin listener
	Metrics  int // connections of the metrics listener
	Redis    int // connections to Redis
	Upstream int // connections to Object Store and Access Management
	Clients  int // connections of clients
}

const (
	processShare = 64
	adminShare   = 64
	metricsShare = 64
	redisShare   = 3 * 128 // a pool each for quotas, bodies and statistics
	mostClients  = 20_000  // about 400 MB; more only by configuration
	leastShare   = 8
)

// Uses describes what the descriptors of a process are for.
type Uses struct {
	Limit   int  // the number of descriptors
	Clients int  // the number of client connections; 0: derived from Limit
	Redis   bool // Redis is used
	Metrics bool // there is a metrics listener
}

// SharesOf returns how the descriptors are divided. Without a number of its own,
// Clients is two thirds of the descriptors that remain for clients and upstream, at
// most 20,000. What is not used gets none. Each share that is not 0 is at least 8, so
// that the sum exceeds very small limits.
func SharesOf(u Uses) Shares {
	s := Shares{Process: share(processShare, u.Limit/8), Admin: share(adminShare, u.Limit/8)}
	if u.Redis {
		s.Redis = share(redisShare, u.Limit/4)
	}
	if u.Metrics {
		s.Metrics = share(metricsShare, u.Limit/8)
	}
	rest := u.Limit - s.Process - s.Admin - s.Metrics - s.Redis
	s.Clients = u.Clients
	if u.Clients == 0 {
		s.Clients = share(mostClients, rest/3*2)
	}
	s.Upstream = max(leastShare, rest-s.Clients)
	return s
}

// share returns part, but at least leastShare and at most most.
func share(most, part int) int { return max(leastShare, min(most, part)) }

// Sum returns the sum of all shares.
func (s Shares) Sum() int { return s.Process + s.Admin + s.Metrics + s.Redis + s.Upstream + s.Clients }
