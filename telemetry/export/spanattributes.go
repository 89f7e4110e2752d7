package export

import (
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"osgate/record"
	"osgate/telemetry/attributes"
)

// Attributes of spans only. No attribute contains a path, a query, a partition, a key
// or a value: url.path, url.full and url.query are left out.
const (
	attrOrganization = attribute.Key("osv2.organization.id")
	attrEnvironment  = attribute.Key("osv2.environment.id")
	attrStoreHash    = attribute.Key("osv2.store.hash")
	attrStore        = attribute.Key("osv2.store.name")
	attrClientHash   = attribute.Key("osgate.client.hash")
	attrClient       = attribute.Key("osgate.client.name")
	attrIdentifiedBy = attribute.Key("osgate.client.identified_by")
	attrUpstream     = attribute.Key("osgate.upstream_client")
	attrRequestID    = attribute.Key("osgate.request_id")
	attrSampled      = attribute.Key("osgate.sampled")
	attrWaited       = attribute.Key("osgate.quota.waited") // in seconds
)

var methodOther = semconv.HTTPRequestMethodOther.Value.AsString()

// failedHere reports whether the server span of x has an error: a 5xx, or an answer
// that broke off, unless the client caused it.
func failedHere(x *record.Exchange) bool {
	return x.Status >= 500 || x.Aborted && !x.ClientLeft()
}

// serverAttributes returns the attributes of the server span.
func (t *Traces) serverAttributes(x *record.Exchange, reason string) []attribute.KeyValue {
	l := make(attributes.List, 0, 26)
	addMethod(&l, x.Method)
	l.Text(semconv.HTTPRouteKey, x.Route)
	l.Status(attributes.SentStatus(x.Status))
	l.Text(semconv.ErrorTypeKey, attributes.Failure(x))
	l.Text(semconv.ClientAddressKey, x.ClientAddr)
	l.Text(semconv.NetworkPeerAddressKey, x.RemoteAddr)
	l.Text(semconv.NetworkProtocolVersionKey, x.Protocol)
	l = append(l, attributes.Scheme(t.options.TLS))
	l.Text(attributes.Operation, x.Operation)
	l.Place(x.Plane, x.Region)
	l.Text(attrOrganization, x.Organization)
	l.Text(attrEnvironment, x.Environment)
	t.named(&l, attrStoreHash, attrStore, x.Store)
	t.named(&l, attrClientHash, attrClient, x.Principal)
	l.Text(attrIdentifiedBy, x.IdentifiedBy)
	l.Text(attrUpstream, x.UpstreamClient)
	l.Text(attributes.Outcome, x.Outcome().String())
	l.Text(attributes.Code, string(x.Code))
	l.Text(attributes.PolicyRule, x.Rule)
	l.Text(attrRequestID, x.ID)
	l.Text(attrSampled, reason)
	addCache(&l, x)
	return l
}

// named adds the hash of a name, and the name itself if the options allow it.
func (t *Traces) named(l *attributes.List, hash, plain attribute.Key, name string) {
	if name == "" {
		return
	}
	l.Text(hash, t.hasher.of(string(hash), name))
	if t.options.Names {
		l.Text(plain, attributeText(name, maxAttribute))
	}
}

// stageAttributes returns the attributes of a stage's span.
func (t *Traces) stageAttributes(x *record.Exchange, v visit) []attribute.KeyValue {
	l := attributes.List{}
	switch v.stage {
	case record.StageAuthorize:
		l.Text(attributes.PolicyRule, x.Rule)
	case record.StageLimit:
		t.limitAttributes(&l, x, v)
	case record.StageCache:
		addCache(&l, x)
	default:
	}
	return l
}

// limitAttributes adds the decision of the client quota, and that Redis was used.
func (t *Traces) limitAttributes(l *attributes.List, x *record.Exchange, v visit) {
	if !x.Charged || !v.first {
		return
	}
	*l = append(*l, attributes.QuotaDecision.String(quotaDecision(x)), attributes.QuotaDegraded.Bool(x.Degraded))
	if x.Waited > 0 {
		*l = append(*l, attrWaited.Float64(x.Waited.Seconds()))
	}
	if t.options.Redis && !x.Degraded {
		*l = append(*l, semconv.DBSystemNameRedis)
	}
}

// quotaDecision returns the decision of the client quota as in metrics.
func quotaDecision(x *record.Exchange) string {
	switch {
	case x.Code == record.CodeOverQuota:
		return "refused"
	case x.Waited > 0:
		return "waited"
	}
	return "admitted"
}

// clientAttributes returns the attributes of an attempt's span.
func (t *Traces) clientAttributes(x *record.Exchange, a record.Attempt) []attribute.KeyValue {
	l := make(attributes.List, 0, 10)
	addMethod(&l, x.Method)
	l.Status(a.Status)
	l.Place(x.Plane, x.Region)
	l.Text(attributes.Operation, x.Operation)
	switch {
	case a.Error != "":
		l.Text(semconv.ErrorTypeKey, a.Error)
	case a.Status >= 400:
		l.Text(semconv.ErrorTypeKey, strconv.Itoa(a.Status))
	}
	if a.Resend > 0 {
		l = append(l, semconv.HTTPRequestResendCount(a.Resend))
	}
	if t.options.Server != nil {
		l.Server(t.options.Server(x.Surface, x.Plane, x.Region))
	}
	return l
}

// addMethod adds the method of a request. For an unknown method it also adds the original.
func addMethod(l *attributes.List, method string) {
	known := attributes.KnownMethod(method)
	l.Text(semconv.HTTPRequestMethodKey, known)
	if known != method {
		l.Text(semconv.HTTPRequestMethodOriginalKey, method)
	}
}

// addCache adds the cache's result of a cacheable read.
func addCache(l *attributes.List, x *record.Exchange) {
	l.Text(attributes.CacheResult, x.Cache.Lookup())
	l.Text(attributes.CacheReason, x.Cache.Detail)
}
