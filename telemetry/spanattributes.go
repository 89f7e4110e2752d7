package telemetry

import (
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"osgate/record"
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
	l := make(labelList, 0, 24)
	l.method(x.Method)
	l.text(semconv.HTTPRouteKey, x.Route)
	l.status(sent(x.Status))
	l.text(semconv.ErrorTypeKey, failureOf(x))
	l.text(semconv.ClientAddressKey, x.ClientAddr)
	l.text(semconv.NetworkPeerAddressKey, x.RemoteAddr)
	l.text(semconv.NetworkProtocolVersionKey, x.Protocol)
	scheme := "http"
	if t.options.TLS {
		scheme = "https"
	}
	l.text(semconv.URLSchemeKey, scheme)
	l.text(attrOperation, x.Operation)
	l.place(x.Plane, x.Region)
	l.text(attrOrganization, x.Organization)
	l.text(attrEnvironment, x.Environment)
	t.named(&l, attrStoreHash, attrStore, x.Store)
	t.named(&l, attrClientHash, attrClient, x.Principal)
	l.text(attrOutcome, x.Outcome().String())
	l.text(attrCode, string(x.Code))
	l.text(attrPolicyRule, x.Rule)
	l.text(attrRequestID, x.ID)
	l.text(attrSampled, reason)
	l.cache(x)
	return l
}

// named adds the hash of a name, and the name itself if the options allow it.
func (t *Traces) named(l *labelList, hash, plain attribute.Key, name string) {
	if name == "" {
		return
	}
	l.text(hash, t.hasher.of(string(hash), name))
	if t.options.Names {
		l.text(plain, attributeText(name, maxAttribute))
	}
}

// stageAttributes returns the attributes of a stage's span.
func (t *Traces) stageAttributes(x *record.Exchange, v visit) []attribute.KeyValue {
	l := labelList{}
	switch v.stage {
	case record.StageAuthorize:
		l.text(attrPolicyRule, x.Rule)
	case record.StageLimit:
		t.limitAttributes(&l, x, v)
	case record.StageCache:
		l.cache(x)
	default:
	}
	return l
}

// limitAttributes adds the decision of the client quota, and that Redis was used.
func (t *Traces) limitAttributes(l *labelList, x *record.Exchange, v visit) {
	if !x.Charged || !v.first {
		return
	}
	*l = append(*l, attrDecision.String(quotaDecision(x)), attrDegraded.Bool(x.Degraded))
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
	l := make(labelList, 0, 10)
	l.method(x.Method)
	l.status(a.Status)
	l.place(x.Plane, x.Region)
	l.text(attrOperation, x.Operation)
	switch {
	case a.Error != "":
		l.text(semconv.ErrorTypeKey, a.Error)
	case a.Status >= 400:
		l.text(semconv.ErrorTypeKey, strconv.Itoa(a.Status))
	}
	if a.Resend > 0 {
		l = append(l, semconv.HTTPRequestResendCount(a.Resend))
	}
	if t.options.Server != nil {
		if host, port := t.options.Server(x.Surface, x.Plane, x.Region); host != "" {
			l = append(l, semconv.ServerAddress(host), semconv.ServerPort(port))
		}
	}
	return l
}

// method adds the method of a request. For an unknown method it also adds the original.
func (l *labelList) method(method string) {
	known := knownMethod(method)
	l.text(semconv.HTTPRequestMethodKey, known)
	if known != method {
		l.text(semconv.HTTPRequestMethodOriginalKey, method)
	}
}

// cache adds the cache's result of a cacheable read.
func (l *labelList) cache(x *record.Exchange) {
	l.text(attrResult, x.Cache.Lookup())
	l.text(attrReason, x.Cache.Detail)
}
