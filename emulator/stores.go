package emulator

import (
	"net/http"
)

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

func (c *call) deleteKeys() (answer, error) {
	if err := c.wantPartition(); err != nil {
		return answer{}, err
	}
	c.space.removeKeys(c.store, c.partition)
	return emptyAnswer(http.StatusNoContent), nil
}
