package record

// Code is the kind of a refusal: the end of the problem's type, a field of the log and
// a label of the metrics.
type Code string

// The complete list of codes that the gateway can send to a client.
const (
	CodeNotObjectStore      Code = "not-object-store"
	CodeBadPath             Code = "bad-path"
	CodeBadRequest          Code = "bad-request"
	CodeLoop                Code = "loop"
	CodeRegionUnknown       Code = "region-unknown"
	CodeRegionNotAllowed    Code = "region-not-allowed"
	CodeUpstreamCredential  Code = "upstream-credential" //nolint:gosec // the name of an error, no credential
	CodeNoToken             Code = "no-token"
	CodeBadToken            Code = "bad-token"
	CodeIdentityUnavailable Code = "identity-unavailable"
	CodeDenied              Code = "denied"
	CodeOverQuota           Code = "over-quota"
	CodeOverBudget          Code = "over-budget"
	CodeTooLarge            Code = "too-large"
	CodeUpstreamUnreachable Code = "upstream-unreachable"
	CodeUpstreamTimeout     Code = "upstream-timeout"
	CodeOverloaded          Code = "overloaded"
	CodeDraining            Code = "draining"
)
