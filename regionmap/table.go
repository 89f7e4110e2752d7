package regionmap

import "slices"

// Location is a region within a control plane; only the pair is unique. It is
// comparable. The zero Location means none.
type Location struct {
	Plane  string // us, gov, eu, ca or jp
	Region string // us-east-1
}

// String returns "plane/region", the form in configuration and output; empty for the
// zero Location.
func (l Location) String() string {
	if l == (Location{}) {
		return ""
	}
	if i := endpointIndex(l); i >= 0 {
		return texts[i]
	}
	return l.text()
}

func (l Location) text() string { return l.Plane + "/" + l.Region }

// Endpoint is a row of the vendor's table.
type Endpoint struct {
	Location
	Host string // host of its Object Store, over https
	Name string // the vendor's name of the region
}

// plane is a control plane with its accounts and statistics hosts.
type plane struct {
	name     string
	accounts string // Access Management ("AUTH_SERVER_HOST")
	stats    string // Stats API; documented for us only, the others follow the pattern of the regional hosts
	counted  bool   // the vendor has a Stats API there
}

var planes = []plane{
	{name: "us", accounts: "anypoint.mulesoft.com", stats: "object-store-stats.anypoint.mulesoft.com", counted: true},
	{name: "gov", accounts: "gov.anypoint.mulesoft.com", stats: "object-store-stats.gov.anypoint.mulesoft.com"},
	{name: "eu", accounts: "eu1.anypoint.mulesoft.com", stats: "object-store-stats.eu1.anypoint.mulesoft.com", counted: true},
	{name: "ca", accounts: "ca1.platform.mulesoft.com", stats: "object-store-stats.ca1.platform.mulesoft.com"},
	{name: "jp", accounts: "jp1.platform.mulesoft.com", stats: "object-store-stats.jp1.platform.mulesoft.com"},
}

var endpoints = []Endpoint{
	{Location{"us", "us-east-1"}, "object-store-us-east-1.anypoint.mulesoft.com", "US East (N. Virginia)"},
	{Location{"us", "us-east-2"}, "object-store-us-east-2.anypoint.mulesoft.com", "US East (Ohio)"},
	{Location{"us", "us-west-1"}, "object-store-us-west-1.anypoint.mulesoft.com", "US West (N. California)"},
	{Location{"us", "us-west-2"}, "object-store-us-west-2.anypoint.mulesoft.com", "US West (Oregon)"},
	{Location{"us", "ap-southeast-1"}, "object-store-ap-southeast-1.anypoint.mulesoft.com", "Asia Pacific (Singapore)"},
	{Location{"us", "ap-southeast-2"}, "object-store-ap-southeast-2.anypoint.mulesoft.com", "Asia Pacific (Sydney)"},
	{Location{"us", "ap-northeast-1"}, "object-store-ap-northeast-1.anypoint.mulesoft.com", "Asia Pacific (Tokyo)"},
	{Location{"us", "ca-central-1"}, "object-store-ca-central-1.anypoint.mulesoft.com", "Canada (Central)"},
	{Location{"us", "eu-central-1"}, "object-store-eu-central-1.anypoint.mulesoft.com", "Europe (Frankfurt)"},
	{Location{"us", "eu-west-1"}, "object-store-eu-west-1.anypoint.mulesoft.com", "Europe (Ireland)"},
	{Location{"us", "eu-west-2"}, "object-store-eu-west-2.anypoint.mulesoft.com", "Europe (London)"},
	{Location{"us", "sa-east-1"}, "object-store-sa-east-1.anypoint.mulesoft.com", "South America (São Paulo)"},
	{Location{"gov", "us-gov-west-1"}, "object-store-us-gov-west-1.gov.anypoint.mulesoft.com", "US Gov West"},
	{Location{"eu", "eu-central-1"}, "object-store-eu-central-1.eu1.anypoint.mulesoft.com", "Europe (Frankfurt)"},
	{Location{"eu", "eu-west-1"}, "object-store-eu-west-1.eu1.anypoint.mulesoft.com", "Europe (Ireland)"},
	{Location{"ca", "ca-central-1"}, "object-store-ca-central-1.ca1.platform.mulesoft.com", "Canada (Central)"},
	{Location{"jp", "ap-northeast-1"}, "object-store-ap-northeast-1.jp1.platform.mulesoft.com", "Asia Pacific (Tokyo)"},
}

// texts are the locations of endpoints as text, in the same order. Each request needs one.
var texts = func() (all []string) {
	for _, e := range endpoints {
		all = append(all, e.text())
	}
	return all
}()

// Endpoints returns the vendor's table in its order. The caller owns the slice.
func Endpoints() []Endpoint { return slices.Clone(endpoints) }

// Planes returns the names of the control planes: us, gov, eu, ca, jp. The caller owns
// the slice.
func Planes() []string {
	names := make([]string, len(planes))
	for i, p := range planes {
		names[i] = p.name
	}
	return names
}

// AccountsHost returns the Access Management host of a plane, empty for an unknown
// name.
func AccountsHost(name string) string {
	if i := planeIndex(name); i >= 0 {
		return planes[i].accounts
	}
	return ""
}

// StatsHost returns the host of the vendor's own Stats API in a plane, empty for a
// plane without one: "only the US Cloud and EU Cloud instances" have it ("Object Store
// v2 Stats API").
func StatsHost(name string) string {
	if i := planeIndex(name); i >= 0 && planes[i].counted {
		return planes[i].stats
	}
	return ""
}

// Host returns the Object Store host of a location, empty if the location is not in the
// table.
func Host(l Location) string {
	if i := endpointIndex(l); i >= 0 {
		return endpoints[i].Host
	}
	return ""
}

func endpointIndex(l Location) int {
	return slices.IndexFunc(endpoints, func(e Endpoint) bool { return e.Location == l })
}

func planeIndex(name string) int {
	return slices.IndexFunc(planes, func(p plane) bool { return p.name == name })
}
