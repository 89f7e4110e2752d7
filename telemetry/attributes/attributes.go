// Package attributes has the attributes that metrics and spans share: their names, the
// values read from the record of an exchange, and those of this process.
//
// The idea a reader needs: names that begin with "http.", "url." and so on follow
// OpenTelemetry's semantic conventions and come from package semconv. The gateway's own
// names begin with "osgate.", and with "osv2." for attributes of an Object Store
// operation.
package attributes

import (
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// Attributes of the gateway that metrics and spans share.
const (
	Operation = attribute.Key("osv2.operation")
	Plane     = attribute.Key("osv2.plane")
	Region    = attribute.Key("osv2.region")

	Outcome       = attribute.Key("osgate.outcome")
	Code          = attribute.Key("osgate.code")
	QuotaDecision = attribute.Key("osgate.quota.decision")
	QuotaDegraded = attribute.Key("osgate.quota.degraded")
	CacheResult   = attribute.Key("osgate.cache.result")
	CacheReason   = attribute.Key("osgate.cache.reason")
	PolicyRule    = attribute.Key("osgate.policy.rule")
)

// List is a list of attributes. Its methods add only values that are not empty.
type List []attribute.KeyValue

// Text adds a text, without invalid UTF-8, which would lose the whole batch.
func (l *List) Text(key attribute.Key, value string) {
	if value != "" {
		*l = append(*l, key.String(strings.ToValidUTF8(value, "")))
	}
}

// Status adds the status of an HTTP answer, 0 for none.
func (l *List) Status(status int) {
	if status != 0 {
		*l = append(*l, semconv.HTTPResponseStatusCode(status))
	}
}

// Place adds a control plane and a region.
func (l *List) Place(plane, region string) {
	l.Text(Plane, plane)
	l.Text(Region, region)
}

// Server adds the host and port to which requests are sent, unless host is empty.
func (l *List) Server(host string, port int) {
	if host != "" {
		*l = append(*l, semconv.ServerAddress(host), semconv.ServerPort(port))
	}
}

// Scheme returns the URL scheme of the clients' requests.
func Scheme(tls bool) attribute.KeyValue {
	if tls {
		return semconv.URLScheme("https")
	}
	return semconv.URLScheme("http")
}
