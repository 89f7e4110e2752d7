package emulator

import (
	"net"
	"strings"
)

// service is one of the APIs behind the one port.
type service string

const (
	nowhere            service = ""
	objectStoreService service = "objectstore"
	accountsService    service = "accounts"
	statsService       service = "stats"
	backDoorService    service = "backdoor"
)

// plane is a control plane with its hosts and the regions it serves.
type plane struct {
	id       string
	accounts string // host of Access Management
	suffix   string // the end of its other hosts
	regions  []region
}

type region struct{ id, name string }

// planes is the vendor's table of BASE_URLs (page "Object Store v2 REST APIs"), 17
// rows. It is a second copy: the emulator is a witness for the gateway, so it shares no
// table with it.
func planes() []plane {
	return []plane{
		{"us", "anypoint.mulesoft.com", "anypoint.mulesoft.com", []region{
			{"us-east-1", "US East (N. Virginia)"},
			{"us-east-2", "US East (Ohio)"},
			{"us-west-1", "US West (N. California)"},
			{"us-west-2", "US West (Oregon)"},
			{"ap-southeast-1", "Asia Pacific (Singapore)"},
			{"ap-southeast-2", "Asia Pacific (Sydney)"},
			{"ap-northeast-1", "Asia Pacific (Tokyo)"},
			{"ca-central-1", "Canada (Central)"},
			{"eu-central-1", "Europe (Frankfurt)"},
			{"eu-west-1", "Europe (Ireland)"},
			{"eu-west-2", "Europe (London)"},
			{"sa-east-1", "South America (São Paulo)"},
		}},
		{"gov", "gov.anypoint.mulesoft.com", "gov.anypoint.mulesoft.com", []region{
			{"us-gov-west-1", "US Gov West"},
		}},
		{"eu", "eu1.anypoint.mulesoft.com", "eu1.anypoint.mulesoft.com", []region{
			{"eu-central-1", "Europe (Frankfurt)"},
			{"eu-west-1", "Europe (Ireland)"},
		}},
		{"ca", "ca1.platform.mulesoft.com", "ca1.platform.mulesoft.com", []region{
			{"ca-central-1", "Canada (Central)"},
		}},
		{"jp", "jp1.platform.mulesoft.com", "jp1.platform.mulesoft.com", []region{
			{"ap-northeast-1", "Asia Pacific (Tokyo)"},
		}},
	}
}

// place is the API, plane and region of a request.
type place struct {
	service service
	plane   string
	region  string // of Object Store only
	path    string // raw, below the host or its prefix; begins with '/'
}

// atlas finds the place of a request.
type atlas struct {
	planes  map[string]plane
	byHost  map[string]place    // path empty
	regions map[location]region // every location
}

// location is a plane and a region of it: a region id alone is not unique.
type location struct{ plane, region string }

func (l location) String() string { return l.plane + "/" + l.region }

func newAtlas() *atlas {
	a := &atlas{planes: map[string]plane{}, byHost: map[string]place{}, regions: map[location]region{}}
	for _, p := range planes() {
		a.planes[p.id] = p
		a.byHost[p.accounts] = place{service: accountsService, plane: p.id}
		a.byHost["object-store-stats."+p.suffix] = place{service: statsService, plane: p.id}
		for _, r := range p.regions {
			for _, host := range []string{p.host(r.id), p.dottedHost(r.id)} {
				a.byHost[host] = place{service: objectStoreService, plane: p.id, region: r.id}
			}
			a.regions[location{p.id, r.id}] = r
		}
	}
	return a
}

// host returns the Object Store host of a region.
func (p plane) host(regionID string) string { return "object-store-" + regionID + "." + p.suffix }

// dottedHost returns the host of a region as in the list of regions on the vendor's
// page: with a dot where the table of hosts has a dash.
func (p plane) dottedHost(regionID string) string { return "object-store." + regionID + "." + p.suffix }

// locate returns the place of a request with this Host header and raw path. If the host
// is the vendor's, it alone decides; otherwise the path's prefix does:
// /{plane}/{region}/api/v1, /{plane}/accounts and, for the Stats API, /{plane}/api/v1.
// The back door is on every host.
func (a *atlas) locate(host, path string) place {
	if strings.HasPrefix(path, "/_osemu/") {
		return place{service: backDoorService, path: path}
	}
	if p, ok := a.byHost[bareHost(host)]; ok {
		p.path = path
		return p.checked()
	}
	planeID, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if _, ok := a.planes[planeID]; !ok {
		return place{path: path}
	}
	if first, _, _ := strings.Cut(rest, "/"); first == "accounts" {
		return place{service: accountsService, plane: planeID, path: "/" + rest}
	}
	if strings.HasPrefix(rest, "api/v1/") {
		return place{service: statsService, plane: planeID, path: "/" + rest}
	}
	regionID, below, _ := strings.Cut(rest, "/")
	if _, ok := a.regions[location{planeID, regionID}]; !ok {
		return place{path: path}
	}
	return place{service: objectStoreService, plane: planeID, region: regionID, path: "/" + below}.checked()
}

// checked returns p, or nowhere if its service does not have the path.
func (p place) checked() place {
	prefix := "/api/v1/"
	if p.service == accountsService {
		prefix = "/accounts/"
	}
	if !strings.HasPrefix(p.path, prefix) {
		return place{path: p.path}
	}
	return p
}

// bareHost returns a Host header in lower case without its port.
func bareHost(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(host)
}
