package conns

// Shares holds the file descriptors of a process by use.
type Shares struct {
	Process  int // files, listeners, exporters, name service
	Admin    int // connections of the admin listener
	Redis    int // connections to Redis
	Upstream int // connections to Object Store and Access Management
	Clients  int // connections of clients
}

const (
	processShare = 64
	adminShare   = 64
	redisShare   = 3 * 128 // a pool each for quotas, bodies and statistics
	mostClients  = 20_000  // about 400 MB; more only by configuration
	leastShare   = 8
)

// SharesOf returns how limit descriptors are divided. Clients is the argument if it is
// not 0; otherwise it is two thirds of the descriptors that remain for clients and
// upstream, at most 20,000. Redis gets none if it is not used. Each share that is not 0
// is at least 8, so that the sum exceeds very small limits.
func SharesOf(limit, clients int, redis bool) Shares {
	s := Shares{Process: share(processShare, limit/8), Admin: share(adminShare, limit/8)}
	if redis {
		s.Redis = share(redisShare, limit/4)
	}
	rest := limit - s.Process - s.Admin - s.Redis
	s.Clients = clients
	if clients == 0 {
		s.Clients = share(mostClients, rest/3*2)
	}
	s.Upstream = max(leastShare, rest-s.Clients)
	return s
}

// share returns part, but at least leastShare and at most most.
func share(most, part int) int { return max(leastShare, min(most, part)) }

// Sum returns the sum of all shares.
func (s Shares) Sum() int { return s.Process + s.Admin + s.Redis + s.Upstream + s.Clients }
