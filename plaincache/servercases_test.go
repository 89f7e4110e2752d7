package plaincache_test

import (
	"strings"
	"testing"
)

const (
	longAgo = "Tue, 01 Jan 2019 00:00:00 GMT"
	fresh   = "Cache-Control: max-age=60"
	stale   = "Cache-Control: max-age=60 | Age: 100"
)

// plainCase contains two requests for one address: the origin's answer to the first,
// and the outcome of the second.
type plainCase struct {
	answer string // to the first request
	first  string // the first request's header
	second string // the second request's header
	after  string // the origin's answer to the second, if it receives it; empty: 200, fresh
	want   string // outcome of the second, as told returns it
}

func judgePlain(t *testing.T, cases map[string]plainCase) {
	t.Helper()
	g := newPlainRig(t)
	for name, tt := range cases {
		t.Run(name, func(t *testing.T) {
			path := "/" + strings.ReplaceAll(name, " ", "-")
			if tt.after == "" {
				tt.after = fresh
			}
			g.begin()
			g.ask(strings.TrimSuffix("GET "+path+" | "+tt.first, " | "), tt.answer)
			got := g.ask(strings.TrimSuffix("GET "+path+" | "+tt.second, " | "), tt.after)
			if got.told() != tt.want {
				t.Errorf("got %s, want %s; header %v", got.told(), tt.want, got.header)
			}
			stored := strings.HasPrefix(got.body, "v1.")
			if should := strings.HasPrefix(tt.want, "hit") || tt.want == "validated" || tt.want == "stale"; got.status == 200 && stored != should {
				t.Errorf("got body %q, %s", got.body, tt.want)
			}
			if status := got.header.Get("Cache-Status"); !strings.HasPrefix(status, "osgate; ") && got.header.Get("Proxy-Status") == "" {
				t.Errorf("Cache-Status is %q", status)
			}
			if strings.HasPrefix(tt.want, "hit") && got.header.Get("Age") == "" {
				t.Error("a hit has no Age")
			}
		})
	}
}

func TestPlainStoresAndReusesWhatUpstreamAllows(t *testing.T) {
	judgePlain(t, map[string]plainCase{
		"nothing said":                         {answer: "200", want: "fetched"},
		"max-age":                              {answer: fresh, want: "hit"},
		"max-age 0":                            {answer: "Cache-Control: max-age=0", want: "fetched"},
		"max-age used up by Age":               {answer: stale, want: "fetched"},
		"max-age longer than Age":              {answer: "Cache-Control: max-age=60 | Age: 30", want: "hit"},
		"max-age used up by Date":              {answer: "Cache-Control: max-age=60 | Date: {-100}", want: "fetched"},
		"Age of which the first counts":        {answer: "Cache-Control: max-age=60 | Age: 100, 0", want: "fetched"},
		"Age that cannot be read":              {answer: "Cache-Control: max-age=60 | Age: old", want: "hit"},
		"huge max-age":                         {answer: "Cache-Control: max-age=99999999999", want: "hit"},
		"huge Age":                             {answer: "Cache-Control: max-age=60 | Age: 99999999999", want: "fetched"},
		"quoted max-age":                       {answer: `Cache-Control: max-age="60"`, want: "hit"},
		"single quoted max-age":                {answer: `Cache-Control: max-age='60'`, want: "fetched"},
		"negative max-age":                     {answer: "Cache-Control: max-age=-60", want: "fetched"},
		"max-age in capitals":                  {answer: "Cache-Control: MAX-AGE=60", want: "hit"},
		"the least of two max-age":             {answer: "Cache-Control: max-age=60, max-age=0", want: "fetched"},
		"max-age in a quoted string":           {answer: `Cache-Control: extension="max-age=60"`, want: "fetched"},
		"s-maxage":                             {answer: "Cache-Control: s-maxage=60", want: "hit"},
		"s-maxage before max-age":              {answer: "Cache-Control: max-age=0, s-maxage=60", want: "hit"},
		"s-maxage 0 before max-age":            {answer: "Cache-Control: s-maxage=0, max-age=60", want: "fetched"},
		"Expires":                              {answer: "Expires: {+60}", want: "hit"},
		"Expires in the past":                  {answer: "Expires: {-60}", want: "fetched"},
		"Expires against Date":                 {answer: "Date: {-60} | Expires: {-30}", want: "fetched"},
		"Expires 0":                            {answer: "Expires: 0", want: "fetched"},
		"Expires with a one-digit hour":        {answer: "Expires: Thu, 18 Aug 2050 2:01:18 GMT", want: "fetched"},
		"Expires in RFC 850":                   {answer: "Expires: Thursday, 18-Aug-50 02:01:18 GMT", want: "hit"},
		"Expires in ANSI C":                    {answer: "Expires: Thu Aug 18 02:01:18 2050", want: "hit"},
		"two of Expires":                       {answer: "Expires: {+60} | Expires: {+61}", want: "fetched"},
		"max-age before Expires":               {answer: "Cache-Control: max-age=0 | Expires: {+60}", want: "fetched"},
		"max-age before a past Expires":        {answer: "Cache-Control: max-age=60 | Expires: {-60}", want: "hit"},
		"no-store":                             {answer: "Cache-Control: no-store, max-age=60", want: "fetched"},
		"no-store in capitals":                 {answer: "Cache-Control: max-age=60, No-StOrE", want: "fetched"},
		"no-store in a second line":            {answer: fresh + " | Cache-Control: no-store", want: "fetched"},
		"no-store behind a quote never closed": {answer: `Cache-Control: max-age=60, a="b, no-store`, want: "fetched"},
		"no-store understood":                  {answer: "Cache-Control: no-store, must-understand, max-age=60", want: "hit"},
		"must-understand of a strange status":  {answer: "299 | Cache-Control: must-understand, max-age=60", want: "fetched"},
		"private":                              {answer: "Cache-Control: private, max-age=60", want: "fetched"},
		"private fields":                       {answer: `Cache-Control: private="a", max-age=60`, want: "hit"},
		"no-cache":                             {answer: "Cache-Control: no-cache, max-age=60", want: "fetched"},
		"no-cache fields":                      {answer: `Cache-Control: no-cache="a", max-age=60`, want: "hit"},
		"Pragma beside Cache-Control":          {answer: fresh + " | Pragma: no-cache", want: "hit"},
		"heuristic":                            {answer: "Last-Modified: " + longAgo, want: "hit"},
		"heuristic of a strange status":        {answer: "299 | Last-Modified: " + longAgo, want: "fetched"},
		"heuristic of a public strange status": {answer: "299 | Cache-Control: public | Last-Modified: " + longAgo, want: "hit 299"},
		"heuristic that is short":              {answer: "Last-Modified: {-5} | Age: 2", after: "304", want: "validated"},
		"404 with max-age":                     {answer: "404 | " + fresh, want: "hit 404"},
		"404 without anything":                 {answer: "404", want: "fetched"},
		"500 with max-age":                     {answer: "500 | " + fresh, want: "hit 500"},
		"599 with max-age":                     {answer: "599 | " + fresh, want: "hit 599"},
		"204 with max-age":                     {answer: "204 | " + fresh, want: "hit 204"},
		"301 with max-age":                     {answer: "301 | Location: /x | " + fresh, want: "hit 301"},
		"302 without anything":                 {answer: "302 | Location: /x", want: "fetched"},
		"206 never":                            {answer: "206 | Content-Range: bytes 0-4/9 | " + fresh, want: "fetched"},
		"incomplete":                           {answer: fresh + " | cut", want: "fetched"},
		"CDN-Cache-Control":                    {answer: "Cdn-Cache-Control: max-age=60 | Cache-Control: no-store", want: "hit"},
		"CDN-Cache-Control no-store":           {answer: "Cdn-Cache-Control: no-store | Cache-Control: max-age=60", want: "fetched"},
		"CDN-Cache-Control over Expires":       {answer: "Cdn-Cache-Control: max-age=0 | Expires: {+60}", want: "fetched"},
		"CDN-Cache-Control that is no field":   {answer: "Cdn-Cache-Control: max-age=60, &&& | Cache-Control: no-store", want: "fetched"},
		"CDN-Cache-Control of another type":    {answer: `Cdn-Cache-Control: max-age="60" | Cache-Control: no-store`, want: "fetched"},
	})
}

func TestPlainHeedsTheRequest(t *testing.T) {
	const tag = ` | ETag: "a"`
	judgePlain(t, map[string]plainCase{
		"Authorization":                      {answer: fresh, first: "Authorization: Basic a", second: "Authorization: Basic a", want: "fetched"},
		"Authorization public":               {answer: fresh + ", public", first: "Authorization: Basic a", want: "hit"},
		"Authorization s-maxage":             {answer: "Cache-Control: s-maxage=60", first: "Authorization: Basic a", want: "hit"},
		"Authorization must-revalidate":      {answer: fresh + ", must-revalidate", first: "Authorization: Basic a", want: "hit"},
		"Authorization of the second":        {answer: fresh, second: "Authorization: Basic a", want: "hit"},
		"no-cache":                           {answer: fresh, second: "Cache-Control: no-cache", want: "fetched"},
		"no-cache with a validator":          {answer: fresh + tag, second: "Cache-Control: no-cache", after: "304" + tag, want: "validated"},
		"no-store":                           {answer: fresh, second: "Cache-Control: no-store", want: "fetched"},
		"no-store of the first":              {answer: fresh, first: "Cache-Control: no-store", want: "fetched"},
		"Pragma no-cache":                    {answer: fresh, second: "Pragma: no-cache", want: "fetched"},
		"max-age":                            {answer: fresh + " | Age: 30", second: "Cache-Control: max-age=40", want: "hit"},
		"max-age below Age":                  {answer: fresh + " | Age: 30", second: "Cache-Control: max-age=20", want: "fetched"},
		"max-age 0":                          {answer: fresh, second: "Cache-Control: max-age=0", want: "fetched"},
		"min-fresh":                          {answer: fresh, second: "Cache-Control: min-fresh=30", want: "hit"},
		"min-fresh beyond":                   {answer: fresh, second: "Cache-Control: min-fresh=90", want: "fetched"},
		"max-stale":                          {answer: stale + tag, second: "Cache-Control: max-stale=50", want: "hit"},
		"max-stale without a number":         {answer: stale + tag, second: "Cache-Control: max-stale", want: "hit"},
		"max-stale below":                    {answer: stale + tag, second: "Cache-Control: max-stale=30", want: "fetched"},
		"max-stale against must-revalidate":  {answer: "Cache-Control: max-age=60, must-revalidate | Age: 100" + tag, second: "Cache-Control: max-stale", want: "fetched"},
		"max-stale against proxy-revalidate": {answer: "Cache-Control: max-age=60, proxy-revalidate | Age: 100" + tag, second: "Cache-Control: max-stale", want: "fetched"},
		"max-stale against s-maxage":         {answer: "Cache-Control: s-maxage=60 | Age: 100" + tag, second: "Cache-Control: max-stale", want: "fetched"},
		"only-if-cached":                     {answer: fresh, second: "Cache-Control: only-if-cached", want: "hit"},
		"only-if-cached of what is stale":    {answer: stale + tag, second: "Cache-Control: only-if-cached, max-stale", want: "hit"},
		"If-Match":                           {answer: fresh + tag, second: `If-Match: "a"`, want: "fetched"},
		"Vary on what Connection took away":  {answer: fresh + " | Vary: Foo", first: "Foo: 1 | Connection: Foo", second: "Foo: 1", want: "fetched"},
		"Vary":                               {answer: fresh + " | Vary: Foo", first: "Foo: 1", second: "Foo: 1", want: "hit"},
		"Vary by another value":              {answer: fresh + " | Vary: Foo", first: "Foo: 1", second: "Foo: 2", want: "fetched"},
		"Vary by what is missing":            {answer: fresh + " | Vary: Foo", first: "Foo: 1", want: "fetched"},
		"Vary by what was missing":           {answer: fresh + " | Vary: Foo", second: "Foo: 1", want: "fetched"},
		"Vary by what is empty":              {answer: fresh + " | Vary: Foo", second: "Foo: ", want: "fetched"},
		"Vary in capitals":                   {answer: fresh + " | Vary: FOO", first: "Foo: 1", second: "Foo: 1", want: "hit"},
		"Vary by two":                        {answer: fresh + " | Vary: Foo | Vary: Bar", first: "Foo: 1 | Bar: 1", second: "Foo: 1 | Bar: 2", want: "fetched"},
		"Vary by a list":                     {answer: fresh + " | Vary: Foo", first: "Foo: 1, 2", second: "Foo: 1 | Foo: 2", want: "hit"},
		"Vary star":                          {answer: fresh + " | Vary: *", want: "fetched"},
		"Vary star among others":             {answer: fresh + " | Vary: Foo, *", want: "fetched"},
		"Vary by nothing":                    {answer: fresh + " | Vary: ", want: "hit"},
		"other headers":                      {answer: fresh + " | Vary: Foo", second: "Bar: 2", want: "hit"},
	})
}

func TestPlainAsksAndAnswersConditionally(t *testing.T) {
	const tag, date = ` | ETag: "a"`, " | Last-Modified: " + longAgo
	judgePlain(t, map[string]plainCase{
		"validates by tag":                     {answer: stale + tag, after: "304" + tag, want: "validated"},
		"validates by a weak tag":              {answer: stale + ` | ETag: W/"a"`, after: `304 | ETag: W/"a"`, want: "validated"},
		"validates by date":                    {answer: stale + date, after: "304", want: "validated"},
		"validates no-cache":                   {answer: "Cache-Control: no-cache" + tag, after: "304" + tag, want: "validated"},
		"takes a new answer":                   {answer: stale + tag, after: fresh, want: "fetched"},
		"takes an error":                       {answer: stale + tag, after: "500", want: "fetched 500"},
		"answers If-None-Match":                {answer: fresh + tag, second: `If-None-Match: "a"`, want: "hit 304"},
		"answers If-None-Match by weak tags":   {answer: fresh + tag, second: `If-None-Match: W/"a"`, want: "hit 304"},
		"answers If-None-Match of several":     {answer: fresh + tag, second: `If-None-Match: "b", "a"`, want: "hit 304"},
		"answers If-None-Match star":           {answer: fresh + tag, second: "If-None-Match: *", want: "hit 304"},
		"answers another tag":                  {answer: fresh + tag, second: `If-None-Match: "b"`, want: "hit"},
		"answers If-Modified-Since":            {answer: fresh + date, second: "If-Modified-Since: " + longAgo, want: "hit 304"},
		"answers If-Modified-Since by Date":    {answer: fresh, second: "If-Modified-Since: {+5}", want: "hit 304"},
		"answers an older If-Modified-Since":   {answer: fresh + date, second: "If-Modified-Since: Mon, 01 Jan 2018 00:00:00 GMT", want: "hit"},
		"answers If-None-Match before a date":  {answer: fresh + tag + date, second: `If-None-Match: "b" | If-Modified-Since: ` + longAgo, want: "hit"},
		"passes on a condition":                {answer: "200", second: `If-None-Match: "x"`, after: "304", want: "validated 304"},
		"validates for a condition":            {answer: stale + tag, second: `If-None-Match: "a"`, after: "304" + tag, want: "validated 304"},
		"serves a part":                        {answer: fresh, second: "Range: bytes=0-1", want: "hit 206"},
		"serves the end":                       {answer: fresh, second: "Range: bytes=-2", want: "hit 206"},
		"serves from the middle":               {answer: fresh, second: "Range: bytes=3-", want: "hit 206"},
		"serves no part beyond":                {answer: fresh, second: "Range: bytes=99-", want: "hit 416"},
		"serves the whole for several":         {answer: fresh, second: "Range: bytes=0-1,3-4", want: "hit"},
		"serves the whole for another unit":    {answer: fresh, second: "Range: lines=1-2", want: "hit"},
		"serves a part of the same":            {answer: fresh + tag, second: `Range: bytes=0-1 | If-Range: "a"`, want: "hit 206"},
		"serves the whole of another":          {answer: fresh + tag, second: `Range: bytes=0-1 | If-Range: "b"`, want: "hit"},
		"serves the whole for a weak tag":      {answer: fresh + ` | ETag: W/"a"`, second: `Range: bytes=0-1 | If-Range: W/"a"`, want: "hit"},
		"serves a part after asking":           {answer: stale + tag, second: "Range: bytes=0-1", after: "304" + tag, want: "validated 206"},
		"stale-while-revalidate over":          {answer: stale + ", stale-while-revalidate=20" + tag, want: "fetched"},
		"stale-if-error of 503":                {answer: "Age: 100 | Cache-Control: max-age=60, stale-if-error=60" + tag, after: "503", want: "stale"},
		"stale-if-error of 404":                {answer: "Age: 100 | Cache-Control: max-age=60, stale-if-error=60" + tag, after: "404", want: "fetched 404"},
		"stale-if-error over":                  {answer: "Age: 100 | Cache-Control: max-age=60, stale-if-error=20" + tag, after: "503", want: "fetched 503"},
		"stale-if-error and must-revalidate":   {answer: "Age: 100 | Cache-Control: max-age=60, must-revalidate, stale-if-error=60" + tag, after: "503", want: "fetched 503"},
		"nobody at the origin":                 {answer: stale + tag, after: "gone", want: "stale"},
		"nobody at the origin, no-cache asked": {answer: stale + tag, second: "Cache-Control: no-cache", after: "gone", want: "fetched 502"},
	})
}
