// Package regionmap contains the addresses of Object Store v2: the 17 locations of the
// vendor's table and their hosts. It decides which location a request belongs to.
//
// A region id alone does not identify a location (eu-west-1 exists in the US and in the
// EU control plane), so a [Location] is always plane and region. The first of six ways
// that applies determines a request's location: Host, path prefix and header
// ([Map.Read]), then routes, discovery and default. [Map.Undecided] reports whether
// discovery applies; then [Discovery.Find] returns the location, otherwise
// [Map.Locate]. The table is closed: a host from a request, an answer or a redirect is
// never used.
//
// Source: the vendor's page "Object Store v2 REST APIs", table of control plane,
// BASE_URL and region.
//
// A [Map] is safe for concurrent use, and only its routes can change. A [Discovery] is
// safe for concurrent use and remembers its results. The package itself sends nothing:
// the caller of a search provides the [Probe].
package regionmap
