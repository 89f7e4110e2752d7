// Package regionmap knows where Object Store v2 is: the 17 locations of the vendor's table, their hosts, and which of them a request
// belongs to.
//
// The idea a reader needs: a region id alone names no place (eu-west-1 exists in the US and in the EU control plane), so a [Location] is
// always plane and region. A request says where it wants to go in one of six ways, the first that applies: Host, path prefix and header
// ([Map.Read]), then routes, discovery and default. [Map.Undecided] says whether it comes to discovery, and then [Discovery.Find] is asked; if not,
// [Map.Locate]. The table is closed: no host out of a request, an answer or a redirect is ever used.
//
// Source: the vendor's page "Object Store v2 REST APIs", table of control plane, BASE_URL and region.
//
// A [Map] is immutable and safe for concurrent use; a [Discovery] is safe for concurrent use and remembers what it found. The package sends
// nothing by itself: whoever searches brings the [Probe].
package regionmap
