// Package emulator is a local Object Store v2: the Object Store, Stats and Access
// Management APIs of Anypoint's five control planes and 17 regions in one http.Handler,
// to develop and test without an account.
//
//	e, err := emulator.New(emulator.Options{})
//	server := httptest.NewServer(e)
//	// server.URL + "/us/us-east-1" is a BASE_URL, "app-one"/"secret-one" a client.
//
// # The place of a request
//
// By its Host header, if that is one of the vendor's: the 17 of Object Store, the five
// of Access Management, object-store-stats.* of the Stats API. Otherwise by its path:
// /{plane}/{region}/api/v1/…, /{plane}/accounts/…, and /{plane}/api/v1/… for the Stats
// API, with the planes us, gov, eu, ca and jp. Under /_osemu/ on any host there is a
// back door for tests: GET livez, POST reset, GET and DELETE requests, GET and PUT
// faults, POST clock, GET clients, PATCH clients/{id}, DELETE clients/{id}/tokens, GET
// world; GET openapi.yaml describes all of it, GET world.schema.json a world's file.
//
// Everything in the World exists in every plane. A token serves only in the plane that
// minted it; data belong to one plane, region and environment. Paths are split at their
// slashes as received, and then each segment is decoded once: the emulator shares no
// parser with the gateway, so that it is a witness.
//
// # Known and chosen properties
//
// The facts below are documented. "Page" is the vendor's page "Object Store v2 REST
// APIs", "overview", "usage" and "FAQ" are its neighbors, and "description" is the
// official OpenAPI file of the API (Object Store v2 1.0.8, Stats 1.0.8, Access
// Management 1.0.45).
//
//   - The 19 operations with their scopes and their 204, 404 and 501 (description), and
//     the deletion of a store's partitions and of a partition's keys, which usage lists
//     as billable calls without a path in any source; they are DELETE of the two lists.
//   - 25 of a list at a time, "values" and "nextPageToken", null at the end (page).
//   - The shape of stores, partitions, keys and objects, and the odd url of a region
//     (page).
//   - TTLs: at most 2592000 s; more, or less than 1, becomes that without an error
//     (page, overview). Fixed: a write resets it. Rolling: a read in the last 7 days
//     extends it too; of the connector's operations Retrieve, Retrieve All, Retrieve
//     All Keys and Store do, Contains, Clear and Remove do not (overview).
//   - 10 MB of value measured in base64 (overview), 4 KB of metadata (description),
//     1024 bytes of key, no pipe in it, a space stored as a plus sign (FAQ).
//   - 10 requests a second (page on Exchange) and the body of the 429 (a connector's
//     log).
//   - The Stats API's parameters, windows, retention, isMaster (page), and its three
//     lists of environments, regions and stores with data (description).
//   - Access Management's answers and its X-RateLimit headers (description); tokens
//     that are UUIDs and last 3600 s (samples); "data" and not "environments" (all
//     clients).
//
// The properties below are not known outside the vendor, so they are chosen. A choice
// that could affect a client can be changed by Options.Choose, or by the flag -choose
// name=value. Each has its known facts, and its default with the choice that changes
// it.
//
//   - POST of a key that exists. Known: page stores by POST; description says 409.
//     Default: stored again, 201; post-existing=409
//   - key written to a store that is not. Known: description: 404. Default: 404;
//     missing-store=create
//   - key written to a partition that is not. Known: no source. Default: the partition
//     is created; none
//   - partition without keys. Known: no source. Default: stays until it is deleted;
//     none
//   - status of PUT key. Known: no source; 201 in another client. Default: 201 new, 200
//     replaced; put-answer=200, 204
//   - body of an answer to a write. Known: no source ("200", no body). Default: empty;
//     write-body=object
//   - pageSize above 25. Known: 25 is the most (page). Default: 25; page-size=400
//   - order of lists. Known: not alphabetical (page). Default: of insertion;
//     list-order=name (with beginsWith always by name)
//   - ETag, If-Match. Known: a local store has them. Default: none; etag=on
//   - place of a confirmation id. Known: no source. Default: X-Confirmation-Id;
//     confirmation-id=body
//   - effect of a confirmable operation. Known: "ack", "nack", "extend"; "timeout to
//     enable rollbacks". Default: effect at once, nack or 600 s without ack rolls it
//     back; none
//   - body of a number operation. Known: only its media type. Default:
//     {"operation":"add","numberValue":1}; none
//   - several items under one key. Known: "use index 0" (page). Default: one item, its
//     index as sent; none
//   - Retry-After of a 429. Known: no source. Default: none; retry-after=on
//   - body of a 400, 401, 403, 404, 413 …. Known: one 429 was seen; other layers have
//     other forms. Default: the 429's form; error-body=message, named, empty
//   - status above 10 MB. Known: no source. Default: 413; oversize=400
//   - longest key. Known: 1024 bytes (FAQ), 256 characters (a help article). Default:
//     1024; key-limit=256
//   - unit of the rate. Known: client application, app, store, ip: four documents, four
//     words. Default: client; Options.RateBy
//   - requests that use the rate. Known: "only successful" (usage, since 2024), all
//     (before). Default: all admitted ones; rate-counts=2xx
//   - another organization. Known: no source. Default: 403; foreign-organization=404,
//     served (its stores are open to every token)
//   - url of a region. Known: http and a dot (page). Default: as on the page;
//     region-url=table
//   - Stats API outside us and eu. Known: none (page). Default: all planes;
//     stats-planes=documented
//   - bucket that begins at endDate. Known: clients request midnight to midnight.
//     Default: not in the answer; none
//   - delay of the Stats API. Known: "up to 24 hours" (usage). Default: at once;
//     Options.StatsLag
//   - requests that the Stats API counts. Known: "API calls". Default: Object Store
//     answers 2xx; none
//   - client in the me of a login. Known: no source. Default: absent;
//     login-client=present
//   - introspection of another organization's token. Known: no source. Default:
//     answered; introspect-foreign=deny
//   - iat, exp of introspection v2. Known: milliseconds in v1. Default: seconds (RFC
//     7662); introspect-time=milliseconds
//   - subject of Access Management's limit. Known: X-RateLimit headers, not their
//     subject. Default: client or user; accounts-rate-by=ip
//   - empty segments in front of a path. Known: the command for a token (page) sends
//     //accounts/…. Default: only of Access Management; empty-segments=all, none
//   - names of a store's TTLs. Known: seconds (pages, users), milliseconds (OpenAPI).
//     Default: seconds; ttl-names=milliseconds
//   - encrypted of a store. Known: true (pages, users), "true" (OpenAPI). Default:
//     true; encrypted=string
//   - keyId in the values of a partition. Known: not in the OpenAPI's example. Default:
//     present; value-key-id=absent
//   - …/stores/{id}/objects. Known: on the page, without a definition. Default: 501;
//     none
package emulator
