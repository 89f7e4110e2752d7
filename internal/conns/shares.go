package conns

// Shares is how the descriptors of a process are shared out.
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
	mostClients  = 20_000  // some 400 MB; more must be asked for
	leastShare   = 8
)

// SharesOf returns how limit descriptors are shared out. Clients is what is asked for,
// where that is not 0; else two thirds of what is left for clients and upstream, at most
// 20,000. Redis gets nothing where it is not used. Each share that is not 0 is 8 at
// least, so that very small limits are exceeded.
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

// share returns part, between the least share and most.
func share(most, part int) int { return max(leastShare, min(most, part)) }

// Sum returns how many descriptors the shares are together.
func (s Shares) Sum() int { return s.Process + s.Admin + s.Redis + s.Upstream + s.Clients }
