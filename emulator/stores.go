package emulator

import (
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"time"
)

// storeOperations are the operations of regions, stores and partitions.
func storeOperations() []operation {
	view := []string{scopeRead, scopeManage, scopeData}
	manage := []string{scopeManage, scopeData}
	data := []string{scopeData}
	return []operation{
		{regionsPath, http.MethodGet, nil, noBody, (*call).listRegions},
		{storesPath, http.MethodGet, view, noBody, (*call).listStores},
		{storePath, http.MethodGet, view, noBody, (*call).getStore},
		{storePath, http.MethodPut, manage, optionalObject, (*call).putStore},
		{storePath, http.MethodPatch, manage, wantedObject, (*call).patchStore},
		{storePath, http.MethodDelete, manage, noBody, (*call).deleteStore},
		{partitionsPath, http.MethodGet, data, noBody, (*call).listPartitions},
		{partitionsPath, http.MethodDelete, data, noBody, (*call).deletePartitions},
		{partitionPath, http.MethodHead, data, noBody, (*call).headPartition},
		{partitionPath, http.MethodDelete, data, noBody, (*call).deletePartition},
		{keysPath, http.MethodDelete, data, noBody, (*call).deleteKeys},
	}
}

// listRegions answers with the regions of the plane. The page shows their url as http
// and with a dot, which is not the host of its own table.
func (c *call) listRegions() (answer, error) {
	type regionJSON struct {
		ID   string `json:"id"`
		Name string `json:"name"`
		URL  string `json:"url"`
	}
	p := c.atlas.planes[c.place.plane]
	list := []regionJSON{}
	for _, r := range p.regions {
		url := "http://" + p.dottedHost(r.id)
		if c.chosen.is(regionURL, "table") {
			url = "https://" + p.host(r.id)
		}
		list = append(list, regionJSON{r.id, r.name, url})
	}
	return jsonAnswer(http.StatusOK, list), nil
}

func (c *call) listStores() (answer, error) {
	l, err := c.listing(true)
	if err != nil {
		return answer{}, err
	}
	page, more := c.space.stores.page(l, func(*slot[*store]) bool { return true })
	values := []any{}
	for _, found := range page {
		values = append(values, c.shown(found.thing.attributes))
	}
	return pageAnswer(c, values, page, more), nil
}

func (c *call) getStore() (answer, error) {
	if err := c.wantStore(); err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusOK, c.shown(c.store.attributes)), nil
}

// putStore creates a store, or changes the attributes of an existing one and leaves its
// contents unchanged.
func (c *call) putStore() (answer, error) {
	a := defaultAttributes(c.ref.store)
	body, err := c.storeBody()
	if err != nil {
		return answer{}, err
	}
	if _, err := a.apply(body); err != nil {
		return answer{}, err
	}
	return c.storeWritten(c.space.setStore(c.ref.store, a)), nil
}

// patchStore changes some attributes. A new TTL applies to later writes.
func (c *call) patchStore() (answer, error) {
	if err := c.wantStore(); err != nil {
		return answer{}, err
	}
	a := c.store.attributes
	body, err := c.storeBody()
	if err != nil {
		return answer{}, err
	}
	recognized, err := a.apply(body)
	if err != nil {
		return answer{}, err
	}
	if recognized == 0 {
		return answer{}, problemf(http.StatusBadRequest, "the body has no attribute of a store")
	}
	return c.storeWritten(c.space.setStore(c.ref.store, a)), nil
}

// storeWritten is the answer to PUT and PATCH of a store: 200 with no body described.
func (c *call) storeWritten(st *store) answer {
	if c.chosen.is(writeBody, "object") {
		return jsonAnswer(http.StatusOK, c.shown(st.attributes))
	}
	return emptyAnswer(http.StatusOK)
}

func (c *call) deleteStore() (answer, error) {
	if err := c.wantStore(); err != nil {
		return answer{}, err
	}
	c.space.removeStore(c.store)
	return emptyAnswer(http.StatusNoContent), nil
}

// removeStore deletes a store with its contents.
func (s *space) removeStore(st *store) {
	s.stores.remove(st.id)
	s.forgetStore(st)
	s.forgetPending(func(c *confirmation) bool { return c.store == st.id })
}

// listPartitions answers with plain strings, as the vendor's page shows.
func (c *call) listPartitions() (answer, error) {
	l, err := c.listing(false)
	if err != nil {
		return answer{}, err
	}
	if err := c.wantStore(); err != nil {
		return answer{}, err
	}
	page, more := c.store.partitions.page(l, func(found *slot[*partition]) bool { return found.thing.hidden == nil })
	values := []string{}
	for _, found := range page {
		values = append(values, found.name)
	}
	return pageAnswer(c, values, page, more), nil
}

func (c *call) deletePartitions() (answer, error) {
	if err := c.wantStore(); err != nil {
		return answer{}, err
	}
	c.space.removePartitions(c.store)
	return emptyAnswer(http.StatusNoContent), nil
}

// removePartitions deletes all partitions of a store.
func (s *space) removePartitions(st *store) {
	st.partitions = newShelf[*partition]()
	s.forgetPartitions(st)
	s.forgetPending(func(c *confirmation) bool { return c.store == st.id })
}

func (c *call) headPartition() (answer, error) {
	if err := c.wantPartition(); err != nil {
		return answer{}, err
	}
	return emptyAnswer(http.StatusNoContent), nil
}

// deletePartition removes a partition with its keys; if it is confirmable, until it is
// settled.
func (c *call) deletePartition() (answer, error) {
	confirmable, err := c.confirmable()
	if err != nil {
		return answer{}, err
	}
	if err := c.wantPartition(); err != nil {
		return answer{}, err
	}
	if !confirmable {
		c.space.removePartition(c.store, c.partition)
		return emptyAnswer(http.StatusNoContent), nil
	}
	c.pending = c.newConfirmation()
	c.pending.key = ""
	c.space.hide(c.store, c.partition, c.pending, c.now)
	return c.confirmed(emptyAnswer(http.StatusNoContent)), nil
}

// removePartition deletes a partition with its keys.
func (s *space) removePartition(st *store, p *partition) {
	st.partitions.remove(p.name)
	s.forgetPartition(st, p)
	s.forgetPending(func(c *confirmation) bool { return c.store == st.id && c.partition == p.name })
}

// hide removes a partition with its keys until c is settled.
func (s *space) hide(st *store, p *partition, c *confirmation, now time.Time) {
	p.items.each(func(found *slot[*item]) bool {
		if now.Before(found.thing.expires) {
			s.remember(p, c, found.name, found.thing)
		}
		return true
	})
	p.items = newShelf[*item]()
	p.hidden = c
	s.forgetItems(st, p)
	s.keepPartition(st, p)
	s.await(c)
}

func (c *call) deleteKeys() (answer, error) {
	if err := c.wantPartition(); err != nil {
		return answer{}, err
	}
	c.space.removeKeys(c.store, c.partition)
	return emptyAnswer(http.StatusNoContent), nil
}

// removeKeys deletes all keys of a partition, which stays.
func (s *space) removeKeys(st *store, p *partition) {
	p.items = newShelf[*item]()
	s.forgetItems(st, p)
	for key := range p.undos {
		s.settle(p, key, len(p.undos[key])-1)
	}
}

// attributes are a store's attributes. The order of the fields is the order on the
// vendor's page.
type attributes struct {
	StoreID                       string `json:"storeId"`
	Encrypted                     bool   `json:"encrypted"`
	PermanentOSFlag               bool   `json:"permanentOsFlag"`
	Persistent                    bool   `json:"persistent"`
	DefaultTTLSeconds             int64  `json:"defaultTtlSeconds"`
	DefaultConfirmationTTLSeconds int64  `json:"defaultConfirmationTtlSeconds"`
	IsFixedTTL                    *bool  `json:"isFixedTtl"`
}

const (
	// maxTTLSeconds is 30 days, the longest and the default life of an object.
	maxTTLSeconds = 2_592_000
	// confirmationTTLSeconds is the default time to confirm, as on the vendor's page.
	confirmationTTLSeconds = 600
)

func defaultAttributes(storeID string) attributes {
	return attributes{
		StoreID: storeID, Encrypted: true, Persistent: true,
		DefaultTTLSeconds: maxTTLSeconds, DefaultConfirmationTTLSeconds: confirmationTTLSeconds,
	}
}

func (a attributes) ttl() time.Duration { return time.Duration(a.DefaultTTLSeconds) * time.Second }

// apply reads the attributes that f has and returns how many it recognized. A TTL that
// is out of bounds becomes the default without an error (page "Object Store v2": "the
// value defaults to 2592000 seconds (30 days), without returning an error").
func (a *attributes) apply(f fields) (recognized int, err error) {
	id, maximumEntries := a.StoreID, int64(0) // the latter is accepted and has no effect
	for _, member := range []struct {
		name string
		into any
	}{
		{"storeId", &id},
		{"encrypted", &a.Encrypted},
		{"permanentOsFlag", &a.PermanentOSFlag},
		{"persistent", &a.Persistent},
		{"defaultTtlSeconds", &a.DefaultTTLSeconds},
		{"defaultConfirmationTtlSeconds", &a.DefaultConfirmationTTLSeconds},
		{"isFixedTtl", &a.IsFixedTTL},
		{"maximumEntries", &maximumEntries},
	} {
		if _, given := f[member.name]; given && member.name != "storeId" {
			recognized++
		}
		if err := f.read(member.name, member.into); err != nil {
			return 0, err
		}
	}
	if id != a.StoreID {
		return 0, problemf(http.StatusBadRequest, "storeId is not the one in the path")
	}
	a.DefaultTTLSeconds = within(a.DefaultTTLSeconds, maxTTLSeconds)
	a.DefaultConfirmationTTLSeconds = within(a.DefaultConfirmationTTLSeconds, confirmationTTLSeconds)
	return recognized, nil
}

// within returns the TTL if it is in bounds, and otherwise the second value.
func within(seconds, otherwise int64) int64 {
	if seconds < 1 || seconds > maxTTLSeconds {
		return otherwise
	}
	return seconds
}

// shown returns the attributes of a store in the chosen form: that of the pages and of
// users' reports, or that of the examples in the vendor's OpenAPI description.
func (c *call) shown(a attributes) any {
	milliseconds, text := c.chosen.is(ttlNames, "milliseconds"), c.chosen.is(encryptedForm, "string")
	if !milliseconds && !text {
		return a
	}
	shown := map[string]any{
		"storeId": a.StoreID, "encrypted": a.Encrypted,
		"permanentOsFlag": a.PermanentOSFlag, "persistent": a.Persistent,
		"defaultTtlSeconds": a.DefaultTTLSeconds, "defaultConfirmationTtlSeconds": a.DefaultConfirmationTTLSeconds,
		"isFixedTtl": a.IsFixedTTL,
	}
	if text {
		shown["encrypted"] = strconv.FormatBool(a.Encrypted)
	}
	if milliseconds {
		delete(shown, "defaultTtlSeconds")
		delete(shown, "defaultConfirmationTtlSeconds")
		shown["defaultTtlMillis"], shown["defaultConfirmationTtlMillis"] =
			1000*a.DefaultTTLSeconds, 1000*a.DefaultConfirmationTTLSeconds
	}
	return shown
}

// storeBody returns the body of a store's write with the names of the pages if those of
// the OpenAPI description are chosen.
func (c *call) storeBody() (fields, error) {
	body := maps.Clone(c.body)
	if c.chosen.is(ttlNames, "milliseconds") {
		for from, to := range map[string]string{
			"defaultTtlMillis": "defaultTtlSeconds", "defaultConfirmationTtlMillis": "defaultConfirmationTtlSeconds",
		} {
			var milliseconds int64
			if err := body.read(from, &milliseconds); err != nil {
				return nil, err
			}
			if _, given := body[from]; given {
				body[to] = json.RawMessage(strconv.FormatInt(milliseconds/1000, 10))
				delete(body, from)
			}
		}
	}
	if text, given := body["encrypted"]; given && c.chosen.is(encryptedForm, "string") {
		var quoted string
		if json.Unmarshal(text, &quoted) == nil {
			body["encrypted"] = json.RawMessage(quoted)
		}
	}
	return body, nil
}
