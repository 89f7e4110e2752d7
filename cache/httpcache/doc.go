// Package httpcache is HTTP caching as functions of headers and times: the directives
// of requests and answers, the answers that a shared cache may store and for how long
// they are fresh (RFC 9111), entity tags and conditions (RFC 9110), the header
// Cache-Status (RFC 9211), and a stored [Response] that serves itself.
//
// It reads no clock: callers pass the time. Package cache uses it for answers of Object
// Store, whose freshness the operator limits, and package plaincache for any resource,
// whose freshness RFC 9111 and the origin alone decide ([JudgeResource]). So public test
// suites that judge plaincache judge this package too.
package httpcache
