package objectstore_test

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"osgate/objectstore"
)

const (
	prefix = "/api/v1/organizations/o/environments/e"
	keys   = prefix + "/stores/s/partitions/p/keys"
)

func TestEveryOperationIsRead(t *testing.T) {
	ref := func(fields ...string) objectstore.Ref {
		r := objectstore.Ref{Organization: "o"}
		for i, f := range []*string{&r.Environment, &r.Store, &r.Partition, &r.Key, &r.Confirmation} {
			if i < len(fields) {
				*f = fields[i]
			}
		}
		return r
	}
	read := map[objectstore.Kind]int{}
	for _, tt := range []struct {
		method, path string
		kind         objectstore.Kind
		ref          objectstore.Ref
	}{
		{http.MethodGet, "/api/v1/organizations/o/regions", objectstore.ListRegions, ref()},
		{http.MethodGet, prefix + "/stores", objectstore.ListStores, ref("e")},
		{http.MethodGet, prefix + "/stores/s", objectstore.GetStore, ref("e", "s")},
		{http.MethodPut, prefix + "/stores/s", objectstore.PutStore, ref("e", "s")},
		{http.MethodPatch, prefix + "/stores/s", objectstore.PatchStore, ref("e", "s")},
		{http.MethodDelete, prefix + "/stores/s", objectstore.DeleteStore, ref("e", "s")},
		{http.MethodGet, prefix + "/stores/s/partitions", objectstore.ListPartitions, ref("e", "s")},
		{http.MethodDelete, prefix + "/stores/s/partitions", objectstore.DeletePartitions, ref("e", "s")},
		{http.MethodHead, prefix + "/stores/s/partitions/p", objectstore.HeadPartition, ref("e", "s", "p")},
		{http.MethodGet, prefix + "/stores/s/partitions/p", objectstore.ListValues, ref("e", "s", "p")},
		{http.MethodDelete, prefix + "/stores/s/partitions/p", objectstore.DeletePartition, ref("e", "s", "p")},
		{http.MethodGet, keys, objectstore.ListKeys, ref("e", "s", "p")},
		{http.MethodDelete, keys, objectstore.DeleteKeys, ref("e", "s", "p")},
		{http.MethodHead, keys + "/k", objectstore.HeadKey, ref("e", "s", "p", "k")},
		{http.MethodGet, keys + "/k", objectstore.GetKey, ref("e", "s", "p", "k")},
		{http.MethodPut, keys + "/k", objectstore.PutKey, ref("e", "s", "p", "k")},
		{http.MethodPost, keys + "/k", objectstore.PostKey, ref("e", "s", "p", "k")},
		{http.MethodDelete, keys + "/k", objectstore.DeleteKey, ref("e", "s", "p", "k")},
		{http.MethodPost, keys + "/k/confirmations/c", objectstore.Ack, ref("e", "s", "p", "k", "c")},
		{http.MethodPatch, keys + "/k/confirmations/c", objectstore.Extend, ref("e", "s", "p", "k", "c")},
		{http.MethodDelete, keys + "/k/confirmations/c", objectstore.Nack, ref("e", "s", "p", "k", "c")},
		{http.MethodGet, "/api/v1/organizations/o", objectstore.ReadStats, ref()},
		{http.MethodGet, "/api/v1/organizations/o/environments", objectstore.ReadStats, ref()},
		{http.MethodGet, prefix, objectstore.ReadStats, ref("e")},
		{http.MethodGet, prefix + "/regions", objectstore.ReadStats, ref("e")},
		{http.MethodGet, prefix + "/regions/r", objectstore.ReadStats, objectstore.Ref{Organization: "o", Environment: "e", Region: "r"}},
		{http.MethodGet, prefix + "/regions/r/stores", objectstore.ReadStats, objectstore.Ref{Organization: "o", Environment: "e", Region: "r"}},
		{http.MethodGet, prefix + "/regions/r/stores/s", objectstore.ReadStats, objectstore.Ref{Organization: "o", Environment: "e", Region: "r", Store: "s"}},
	} {
		o, err := objectstore.Parse(tt.method, tt.path, "")
		if err != nil || o.Kind != tt.kind || o.Ref != tt.ref || o.Path() != tt.path || o.Canonical() != tt.path || o.Method() != tt.method {
			t.Errorf("%s %s: %v %+v, path %q, canonical %q, error %v", tt.method, tt.path, o.Kind, o.Ref, o.Path(), o.Canonical(), err)
		}
		doubled, err := objectstore.Parse(tt.method, "/api/v1"+tt.path, "")
		if err != nil || doubled != o {
			t.Errorf("doubled /api/v1 of %s: %+v, error %v", tt.path, doubled, err)
		}
		read[o.Kind]++
	}
	for _, k := range objectstore.Kinds() {
		if read[k] == 0 {
			t.Errorf("no row reads %v", k)
		}
	}
}

func TestTheSurfaceIsClosed(t *testing.T) {
	for _, request := range []string{
		"GET /", "GET ", "GET /api/v1", "GET /api/v1x/organizations/o/regions", "GET /api/v2/organizations/o/regions", "GET /api/v1/organizations",
		"GET " + prefix + "/stores/s/objects", "GET /data/s/keys/k", "POST " + prefix + "/stores", "HEAD " + prefix + "/stores/s",
		"POST " + keys, "GET " + keys + "/k/confirmations", "GET " + keys + "/k/confirmations/c", "PUT " + keys + "/k/confirmations/c",
		"OPTIONS " + keys + "/k", "get " + keys + "/k", "GET " + prefix + "/stores/s/partitions/p/%6Beys/k", "GET " + keys + "/k/k",
		"GET /api/v1/api/v1/api/v1/organizations/o/regions", "DELETE /api/v1/organizations/o", "POST /accounts/login", "PATCH " + keys + "/k",
	} {
		method, path, _ := strings.Cut(request, " ")
		if o, err := objectstore.Parse(method, path, ""); !errors.Is(err, objectstore.ErrNotObjectStore) || o != (objectstore.Operation{}) {
			t.Errorf("%s: %+v, error %v; want ErrNotObjectStore", request, o, err)
		}
	}
}

// refusedSegments are segments that two parsers may read differently. Each is refused
// in any place, so none becomes another operation.
var refusedSegments = []string{
	"", ".", "..", "%2e", "%2E%2e", ".%2e", "..;x", "..;", ".;a=b", "%2e%2e;x", "..%3Bx", ";", ";x", "%252e%252e", "%252e", ".%252e", "%25%32%65.",
	"a%2F..", "..%2Fa", "a%2F..%2Fb", "a%5C..%5Cb", "..%5C", "a%2F.", "%2F..", "a%252F..%252Fb", "..%252Fa", "a/..%3B%2Fb", `a\..`, `..\a`,
	"a%00b", "%00", "a%0ab", "%0D%0Aa", "a%1fb", "%7F", "a|b", "a%7Cb", "%ff", "%C3%28", "\xff", "%", "%z", "a%4", "a b", "a#b", "a\tb", "a\x00",
}

func TestAmbiguousSegmentsAreRefusedInEveryPlace(t *testing.T) {
	for _, s := range refusedSegments {
		for _, form := range []string{
			"/api/v1/organizations/@/regions", "/api/v1/organizations/o/environments/@/stores", prefix + "/stores/@", prefix + "/stores/s/partitions/@",
			keys + "/@", keys + "/k/confirmations/@", prefix + "/regions/r/stores/@", keys + "/@/confirmations/c", keys + "/k/@",
		} {
			for _, method := range []string{http.MethodGet, http.MethodDelete} {
				path := strings.Replace(form, "@", s, 1)
				_, err := objectstore.Parse(method, path, "")
				if _, refused := errors.AsType[*objectstore.PathError](err); !refused {
					t.Errorf("%s %q: error %v, want a PathError", method, path, err)
				}
			}
		}
	}
}

// TestSegmentsBeyondTheBoundAreNotRead puts a segment that would be refused behind 32
// others.
func TestSegmentsBeyondTheBoundAreNotRead(t *testing.T) {
	path := "/api/v1" + strings.Repeat("/x", 32) + "/.."
	_, err := objectstore.Parse(http.MethodGet, path, "")
	if refused, ok := errors.AsType[*objectstore.PathError](err); !ok || refused.Segment != 33 || refused.Reason != "is one too many" {
		t.Errorf("34 segments: error %v, want the 33rd to be one too many", err)
	}
	_, err = objectstore.Parse(http.MethodGet, "/api/v1"+strings.Repeat("/x", 32), "")
	if !errors.Is(err, objectstore.ErrNotObjectStore) {
		t.Errorf("32 segments: error %v, want ErrNotObjectStore", err)
	}
}

// TestADoubledBaseIsReadOnce, also of a base URL that ends in "/api/v1/".
func TestADoubledBaseIsReadOnce(t *testing.T) {
	for _, base := range []string{"", "/api/v1", "/api/v1/", "/api/v1//"} {
		o, err := objectstore.Parse(http.MethodGet, base+keys+"/k", "")
		if err != nil || o.Path() != keys+"/k" {
			t.Errorf("%q in front: path %q, error %v", base, o.Path(), err)
		}
	}
	for _, path := range []string{"/api/v1/" + keys[len("/api/v1"):], "/api/v1/api/v1" + keys, "/api/v1//x" + keys, "/api//v1" + keys[len("/api/v1"):]} {
		if o, err := objectstore.Parse(http.MethodGet, path+"/k", ""); err == nil {
			t.Errorf("%q was read as %q", path, o.Path())
		}
	}
}

func TestLegalKeysAreReadOnceAndPassedOnAsReceived(t *testing.T) {
	for raw, key := range map[string]string{
		"%2F": "/", "a%2Fb": "a/b", "a%2fb": "a/b", "%41": "A", "a+b": "a+b", "a%20b": "a+b", "a%2Bb": "a+b", "a;b": "a;b", "a%3Bb": "a;b", "%3Bx": ";x",
		"...": "...", "..a": "..a", "a..": "a..", ".a": ".a", "%5C": `\`, "a[b]": "a[b]", "%7E": "~", "ключ": "ключ", "%D0%BA": "к", "%25": "%", "100%25": "100%",
		"%2541": "%41", "a%252": "a%2", "a%252Fb": "a%2Fb", "{x}^`\"<>": "{x}^`\"<>", "%C2%85": "\u0085", "keys": "keys", "a:b@c!$&'()*,=": "a:b@c!$&'()*,=",
	} {
		o, err := objectstore.Parse(http.MethodGet, keys+"/"+raw, "")
		if err != nil || o.Ref.Key != key || o.Path() != keys+"/"+raw || o.Kind != objectstore.GetKey {
			t.Errorf("%q: key %q, path %q, error %v; want %q", raw, o.Ref.Key, o.Path(), err, key)
		}
	}
	for _, spelling := range []string{"a%20b", "a+b", "a%2bb"} {
		if o, _ := objectstore.Parse(http.MethodGet, keys+"/"+spelling, ""); o.Canonical() != keys+"/a+b" {
			t.Errorf("%q is not one key with a+b: %q", spelling, o.Canonical())
		}
	}
	if o, _ := objectstore.Parse(http.MethodGet, prefix+"/stores/a%20b", ""); o.Ref.Store != "a b" {
		t.Errorf("a space in a store became %q", o.Ref.Store)
	}
}

func TestConfirmableIsSeenInEverySpelling(t *testing.T) {
	for query, want := range map[string]bool{
		"": false, "confirmable=false": false, "confirmable=False": false, "x=confirmable": false, "pageSize=3": false,
		"confirmable=true": true, "confirmable=TRUE": true, "confirmable": true, "confirmable=": true, "confirmable=1": true, "Confirmable=true": true,
		"confirmabl%65=true": true, "a=1&confirmable=true": true, "a=1;confirmable=true": true, "confirmable=false&confirmable=true": true,
		"confirmable=true&confirmable=false": true, "confirmable[]=true": true, "+confirmable=true": true, "confirmable=%74rue": true, "confirmable=false%00": true,
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete} {
			o, err := objectstore.Parse(method, keys+"/k", query)
			if err != nil || o.Confirmable != want || o.RawQuery() != query {
				t.Errorf("%s ?%s: confirmable %v, query %q, error %v; want %v", method, query, o.Confirmable, o.RawQuery(), err, want)
			}
			if want && (o.CacheKind() != objectstore.CacheNone || !o.Touches().Has(objectstore.Key)) {
				t.Errorf("%s ?%s is confirmable but cached or touches nothing", method, query)
			}
		}
	}
}

func TestMalformedQueriesAreRefused(t *testing.T) {
	for _, query := range []string{"a=%zz", "%=1", "a=%", "a b=1", "a=1#b", "a=\x00"} {
		_, err := objectstore.Parse(http.MethodGet, keys, query)
		if _, refused := errors.AsType[*objectstore.QueryError](err); !refused {
			t.Errorf("?%q: error %v, want a QueryError", query, err)
		}
	}
}

func TestOnlyUnderstoodQueriesAreCached(t *testing.T) {
	for request, want := range map[string]objectstore.CacheKind{
		keys + "/k":                             objectstore.CacheKey,
		keys + "/k?confirmable=false":           objectstore.CacheKey,
		keys + "/k?x=1":                         objectstore.CacheNone,
		keys + "/k?pageSize=1":                  objectstore.CacheNone,
		keys + "?pageSize=1&nextPageToken=a":    objectstore.CacheKeys,
		keys + "?pageSize=1&pageSize=2":         objectstore.CacheNone,
		keys + "?beginsWith=a;pageSize=2":       objectstore.CacheNone,
		keys + "?PageSize=1":                    objectstore.CacheNone,
		prefix + "/stores?beginsWith=APP_":      objectstore.CacheStores,
		prefix + "/stores/s":                    objectstore.CacheStores,
		prefix + "/stores/s?x":                  objectstore.CacheNone,
		prefix + "/stores/s/partitions":         objectstore.CacheKeys,
		prefix + "/stores/s/partitions/p":       objectstore.CacheNone,
		"/api/v1/organizations/o/regions":       objectstore.CacheStores,
		"/api/v1/organizations/o?period=1month": objectstore.CacheNone,
	} {
		path, query, _ := strings.Cut(request, "?")
		o, err := objectstore.Parse(http.MethodGet, path, query)
		if err != nil || o.CacheKind() != want || (o.DependsOn() == 0) != (want == objectstore.CacheNone) {
			t.Errorf("GET %s: cache kind %v, depends %v, error %v; want %v", request, o.CacheKind(), o.DependsOn(), err, want)
		}
	}
}

func TestPropertiesOfOperations(t *testing.T) {
	type row struct {
		Depends, Touches string
		Writes, C        bool
	}
	got := map[string]row{}
	kinds := map[objectstore.Kind]bool{}
	for _, request := range []string{
		"PATCH " + prefix + "/stores/s", "DELETE " + prefix + "/stores/s", "HEAD " + keys + "/k", "DELETE " + keys + "/k", "POST " + keys + "/k/confirmations/c",
		"HEAD " + prefix + "/stores/s/partitions/p", "GET " + prefix + "/stores/s/partitions/p", "DELETE " + prefix + "/stores/s/partitions/p",
		"GET /api/v1/organizations/o", "DELETE " + prefix + "/stores/s/partitions?confirmable=true",
		"GET " + prefix + "/stores/s/partitions/p?confirmable=true", "GET " + prefix + "/stores/s?confirmable=true", "GET " + prefix + "/stores?confirmable=true",
		"GET /api/v1/organizations/o/regions", "GET " + prefix + "/stores", "GET " + prefix + "/stores/s", "PUT " + prefix + "/stores/s", "DELETE " + prefix + "/stores/s/partitions",
		"GET " + prefix + "/stores/s/partitions", "GET " + keys, "DELETE " + keys, "GET " + keys + "/k", "POST " + keys + "/k", "PUT " + keys + "/k", "GET " + keys + "/k?confirmable=true",
		"DELETE " + prefix + "/stores/s/partitions/p?confirmable=true", "PATCH " + keys + "/k/confirmations/c", "DELETE " + keys + "/k/confirmations/c",
	} {
		method, target, _ := strings.Cut(request, " ")
		path, query, _ := strings.Cut(target, "?")
		o, err := objectstore.Parse(method, path, query)
		if err != nil {
			t.Fatalf("%s: %v", request, err)
		}
		kinds[o.Kind] = true
		name := o.Kind.String()
		if o.Confirmable {
			name += " confirmable"
		}
		got[name] = row{o.DependsOn().String(), o.Touches().String(), o.Writes(), o.CacheKind() != objectstore.CacheNone}
	}
	want := map[string]row{
		"listRegions":                  {"R", "", false, true},
		"listStores":                   {"S", "", false, true},
		"getStore":                     {"s", "", false, true},
		"putStore":                     {"", "S s", true, false},
		"patchStore":                   {"", "S s", true, false},
		"deleteStore":                  {"", "S s", true, false},
		"deletePartitions":             {"", "S s", true, false},
		"listPartitions":               {"s ps", "", false, true},
		"listKeys":                     {"s p pk", "", false, true},
		"deleteKeys":                   {"", "ps p pk", true, false},
		"getKey":                       {"s p k", "", false, true},
		"postKey":                      {"", "ps pk k", true, false},
		"putKey":                       {"", "ps pk k", true, false},
		"getKey confirmable":           {"", "ps pk k", true, false},
		"headKey":                      {"s p k", "", false, true},
		"headPartition":                {"", "", false, false},
		"listValues":                   {"", "", false, false},
		"readStats":                    {"", "", false, false},
		"deleteKey":                    {"", "ps pk k", true, false},
		"deletePartition":              {"", "ps p pk", true, false},
		"ack":                          {"", "ps pk k", true, false},
		"deletePartitions confirmable": {"", "S s", true, false},
		"getStore confirmable":         {"", "S s", true, false},
		"listStores confirmable":       {"", "", false, false},
		"listValues confirmable":       {"", "ps p pk", true, false},
		"deletePartition confirmable":  {"", "ps p pk", true, false},
		"extend":                       {"", "ps pk k", true, false},
		"nack":                         {"", "ps pk k", true, false},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("properties (-want +got):\n%s", diff)
	}
	for _, k := range []objectstore.Kind{0, objectstore.ReadStats + 1} {
		if k.String() != "none" {
			t.Errorf("what is no kind is called %q, want none", k)
		}
	}
	all := objectstore.Kinds()
	if len(all) != len(kinds) || !slices.IsSorted(all) || slices.ContainsFunc(all, func(k objectstore.Kind) bool { return !kinds[k] }) {
		t.Errorf("all kinds are %v, want these in their order: %v", all, slices.Sorted(maps.Keys(kinds)))
	}
}

// FuzzPathIdentity: a path that parses is sent upstream as the bytes received, an
// independent decoding of those bytes finds the same Ref, the canonical form parses to
// the same operation again, and a normalizing server finds no dot segment to resolve.
func FuzzPathIdentity(f *testing.F) {
	for _, s := range refusedSegments {
		f.Add("DELETE", keys+"/"+s, "")
	}
	f.Add("GET", keys+"/%2F", "confirmable=true")
	f.Add("GET", "/api/v1"+keys+"/a%20b", "a=1;b")
	f.Add("GET", "/api/v1//"+keys+"/a", "")
	f.Add("PUT", prefix+"/stores/s%2Ft", "")
	f.Add("GET", prefix+"/regions/r/stores/s", "startDate=2024")
	f.Fuzz(func(t *testing.T, method, path, query string) {
		o, err := objectstore.Parse(method, path, query)
		if err != nil {
			return
		}
		front, whole := strings.CutSuffix(path, o.Path())
		if front = strings.TrimRight(front, "/"); !whole || front != "" && front != "/api/v1" || o.RawQuery() != query {
			t.Fatalf("upstream would get %q?%q of %q?%q", o.Path(), o.RawQuery(), path, query)
		}
		var values []string
		for i, raw := range strings.Split(o.Path(), "/")[3:] {
			value, err := url.PathUnescape(raw)
			if err != nil || value == "" || strings.ContainsAny(value, "|\x00\r\n") {
				t.Fatalf("segment %d of %q: %q, %v", i, o.Path(), value, err)
			}
			for element := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == '/' || r == '\\' }) {
				if name, _, _ := strings.Cut(element, ";"); name == "." || name == ".." {
					t.Fatalf("%q has a dot element", o.Path())
				}
			}
			if i%2 == 1 {
				values = append(values, value)
			}
		}
		if store := o.StorePath(); store != "" {
			whole, err := objectstore.Parse("GET", store, "")
			r := objectstore.Ref{Organization: o.Ref.Organization, Environment: o.Ref.Environment, Store: o.Ref.Store}
			if err != nil || whole.Kind != objectstore.GetStore || whole.Ref != r || !strings.HasPrefix(o.Path(), store) {
				t.Fatalf("the store of %q is at %q: %+v, %v", o.Path(), store, whole, err)
			}
		} else if o.Ref.Store != "" && !o.Stats() {
			t.Fatalf("%q has no store", o.Path())
		}
		r := o.Ref
		want := []string{r.Organization, r.Environment, r.Region, r.Store, r.Partition, r.Key, r.Confirmation}
		at := 0
		for _, w := range want {
			if w == "" {
				continue
			}
			if values[at] != w && strings.ReplaceAll(values[at], " ", "+") != r.Key {
				t.Fatalf("%q: %+v, decoded independently %q", o.Path(), r, values)
			}
			at++
		}
		if at != len(values) {
			t.Fatalf("%q: %+v has %d of %q", o.Path(), r, at, values)
		}
		again, err := objectstore.Parse(method, o.Canonical(), query)
		if err != nil || again.Ref != o.Ref || again.Kind != o.Kind || again.Canonical() != o.Canonical() || again.Confirmable != o.Confirmable {
			t.Fatalf("canonical %q of %q: %+v, error %v", o.Canonical(), path, again, err)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := objectstore.Parse(http.MethodGet, keys+"/a%20key", "confirmable=false"); err != nil {
			b.Fatal(err)
		}
	}
}

func TestARefusalNamesThePlaceAndTheReason(t *testing.T) {
	for _, tt := range []struct{ path, query, want string }{
		{prefix + "/stores//partitions", "", "path segment 6 is empty"},
		{"/api/v1/organizations/a b", "", "path segment 2 holds a space, a control byte or '#'; percent-encode it"},
		{"/api/v1/organizations/%zz", "", "path segment 2 holds a malformed percent-encoding"},
		{"/api/v1/organizations/%ff", "", "path segment 2 is not valid UTF-8"},
		{"/api/v1/organizations/%01", "", "path segment 2 holds a control byte"},
		{"/api/v1/organizations/a%7Cb", "", "path segment 2 holds '|', which Object Store does not allow"},
		{"/api/v1/organizations/a%2F..", "", "path segment 2 holds '.' or '..' as a path element"},
		{prefix + "/stores", "a b", "query holds a space, a control byte or '#'; percent-encode it"},
	} {
		o, err := objectstore.Parse(http.MethodGet, tt.path, tt.query)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s?%s: %+v, error %v, want %s", tt.path, tt.query, o, err, tt.want)
		}
	}
	err := &objectstore.QueryError{Parameter: "period", Reason: "is missing"}
	if got, want := err.Error(), "query parameter period is missing"; got != want {
		t.Errorf("error %q, want %q", got, want)
	}
}
