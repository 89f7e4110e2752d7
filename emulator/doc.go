// Package emulator is a local Object Store v2: the Object Store, Stats and Access
// Management APIs of Anypoint's five control planes and 17 regions in one http.Handler,
// to develop and test against where no account is at hand.
//
//	e, err := emulator.New(emulator.Options{})
//	server := httptest.NewServer(e)
//	// server.URL + "/us/us-east-1" is a BASE_URL, "app-one"/"secret-one" a client.
//
// # Where a request goes
//
// By its Host header, if that is one of the vendor's: the 17 of Object Store, the five of
// Access Management, object-store-stats.* of the Stats API. Else by its path:
// /{plane}/{region}/api/v1/…, /{plane}/accounts/…, and /{plane}/api/v1/… for the Stats API,
// with the planes us, gov, eu, ca and jp. Under /_osemu/ on any host there is a back door
// for tests: GET livez, POST reset, GET and DELETE requests, GET and PUT faults, POST clock, PATCH clients/{id},
// GET world; GET openapi.yaml describes all of it, GET world.schema.json a world's file.
//
// Everything in the World exists in every plane. A token serves only in the plane that
// minted it; data belong to one plane, region and environment. Paths are split at their
// slashes as they came on the wire, and then each segment is decoded once: the emulator
// shares no parser with anybody, so that it can bear witness.
//
// # What is known, what is chosen
//
// The facts below are documented. "Page" is the vendor's page "Object Store v2 REST APIs",
// "overview", "usage" and "FAQ" are its neighbors, and "description" is the official OpenAPI
// file of the API (Object Store v2 1.0.8, Stats 1.0.8, Access Management 1.0.45).
//
//   - The 19 operations with their scopes and their 204, 404 and 501 (description), and the
//     deletion of a store's partitions and of a partition's keys, which usage lists as
//     billable calls and no source gives a path; they are DELETE of the two lists.
//   - 25 of a list at a time, "values" and "nextPageToken", null at the end (page).
//   - The shape of stores, partitions, keys and objects, and the odd url of a region (page).
//   - TTLs: at most 2592000 s; more, or less than 1, silently becomes that (page, overview).
//     Fixed: a write resets it. Rolling: a read in the last 7 days extends it too; of the
//     connector's operations Retrieve, Retrieve All, Retrieve All Keys and Store do, Contains,
//     Clear and Remove do not (overview).
//   - 10 MB of value measured in base64 (overview), 4 KB of metadata (description), 1024
//     bytes of key, no pipe in it, a space stored as a plus sign (FAQ).
//   - 10 requests a second (page on Exchange) and the body of the 429 (a connector's log).
//   - The Stats API's parameters, windows, retention, isMaster (page), and its three lists of
//     environments, regions and stores with data (description).
//   - Access Management's answers and its X-RateLimit headers (description); tokens that
//     are UUIDs and last 3600 s (samples); "data" and not "environments" (all clients).
//
// What nobody outside the vendor knows is chosen, and where a choice could matter to a
// client it can be changed: by Options.Choose, or the flag -choose name=value.
//
//	what                                   known                            default, and the choice that changes it
//	-------------------------------------  -------------------------------  -----------------------------------------
//	POST of a key that exists              page stores by POST;             stored again, 201; post-existing=409
//	                                       description says 409
//	key written to a store that is not     description: 404                 404; missing-store=create
//	key written to a partition that is not nothing                          the partition is made; none
//	partition without keys                 nothing                          stays until it is deleted; none
//	status of PUT key                      nothing; 201 in another client   201 new, 200 replaced; put-answer=200, 204
//	body of an answer to a write           nothing ("200", no body)         empty; write-body=object
//	pageSize above 25                      25 is the most (page)            25; page-size=400
//	order of lists                         not alphabetical (page)          of insertion; list-order=name
//	                                                                        (with beginsWith always by name)
//	ETag, If-Match                         a local store has them           none; etag=on
//	how a confirmation id is told          nothing                          X-Confirmation-Id; confirmation-id=body
//	what a confirmable operation does      "ack", "nack", "extend";         effect at once, nack or 600 s without ack
//	                                       "timeout to enable rollbacks"    rolls it back; none
//	body of a number operation             nothing but its media type       {"operation":"add","numberValue":1}; none
//	several items under one key            "use index 0" (page)             one item, its index as sent; none
//	Retry-After of a 429                   nothing                          none; retry-after=on
//	body of a 400, 401, 403, 404, 413 …    one 429 was seen; other layers   the 429's form; error-body=message, named,
//	                                       have other forms                 empty
//	status above 10 MB                     nothing                          413; oversize=400
//	longest key                            1024 bytes (FAQ), 256            1024; key-limit=256
//	                                       characters (a help article)
//	whose rate it is                       client application, app, store,  client; Options.RateBy
//	                                       ip: four documents, four words
//	what uses up the rate                  "only successful" (usage, since  all that was let in; rate-counts=2xx
//	                                       2024), all (before)
//	organization of somebody else          nothing                          403; foreign-organization=404, served
//	                                                                        (its stores are open to every token)
//	url of a region                        http and a dot (page)            as on the page; region-url=table
//	Stats API outside us and eu            none (page)                      all planes; stats-planes=documented
//	bucket that begins at endDate          clients ask midnight to midnight not in the answer; none
//	how late the Stats API is              "up to 24 hours" (usage)         at once; Options.StatsLag
//	what the Stats API counts              "API calls"                      Object Store answers 2xx; none
//	client in the me of a login            nothing                          absent; login-client=present
//	introspection of another's token       nothing                          told; introspect-foreign=deny
//	iat, exp of introspection v2           milliseconds in v1               seconds (RFC 7662); introspect-time=milliseconds
//	whom Access Management's limit counts  X-RateLimit headers, not whose   client or user; accounts-rate-by=ip
//	empty segments in front of a path      the command for a token (page)   of Access Management alone;
//	                                       sends //accounts/…               empty-segments=all, none
//	names of a store's TTLs                seconds (pages, users),          seconds; ttl-names=milliseconds
//	                                       milliseconds (OpenAPI)
//	encrypted of a store                   true (pages, users), "true"      true; encrypted=string
//	                                       (OpenAPI)
//	keyId in the values of a partition     not in the OpenAPI's example     there; value-key-id=absent
//	…/stores/{id}/objects                  on the page, defined nowhere     501; none
package emulator
