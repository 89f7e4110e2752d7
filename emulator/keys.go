package emulator

import "net/http"

// listKeys answers with the keys of a partition, which extends the life of the listed
// ones: the vendor counts Retrieve All Keys as a read.
func (c *call) listKeys() (answer, error) {
	page, more, err := c.livePage(true)
	if err != nil {
		return answer{}, err
	}
	type keyJSON struct {
		KeyID string `json:"keyId"`
	}
	values := []keyJSON{}
	for _, found := range page {
		c.space.touch(c.store, c.partition, found.name, found.thing, c.now)
		values = append(values, keyJSON{found.name})
	}
	return pageAnswer(c, values, page, more), nil
}

// listObjects answers with the objects of a partition: their descriptions, their
// values, or both.
func (c *call) listObjects() (answer, error) {
	inclusion, err := c.one("inclusion")
	if err != nil {
		return answer{}, err
	}
	if inclusion == "" {
		inclusion = "metadata"
	}
	if inclusion != "all" && inclusion != "metadata" && inclusion != "body" {
		return answer{}, problemf(http.StatusBadRequest, "inclusion is not one of all, metadata, body")
	}
	page, more, err := c.livePage(false)
	if err != nil {
		return answer{}, err
	}
	if fit := fitting(page); fit < len(page) {
		page, more = page[:fit], true
	}
	values := []any{}
	for _, found := range page {
		c.space.touch(c.store, c.partition, found.name, found.thing, c.now)
		listed := listedObject(found.name, found.thing.value, inclusion)
		if c.chosen.is(valueKeyID, "absent") {
			delete(listed, "keyId")
		}
		values = append(values, listed)
	}
	return pageAnswer(c, values, page, more), nil
}

// fitting returns how many of a page's values are in one answer: the most that together
// are no longer than the longest value, and at least one.
func fitting(page []*slot[*item]) int {
	size := 0
	for i, found := range page {
		size += len(found.thing.text)
		if size > maxValue && i > 0 {
			return i
		}
	}
	return len(page)
}

// listedObject is an object in the form of GET of a partition: with an index, and with
// "" without metadata.
func listedObject(key string, v value, inclusion string) map[string]any {
	listed := map[string]any{"keyId": key, "valueType": v.kind, "index": 0}
	if v.index != nil {
		listed["index"] = *v.index
	}
	if inclusion != "body" {
		listed["metadata"] = ""
		if len(v.metadata) > 0 {
			listed["metadata"] = v.metadata
		}
	}
	if inclusion != "metadata" {
		switch o := v.object(key); v.kind {
		case typeString:
			listed["stringValue"] = o.StringValue
		case typeNumber:
			listed["numberValue"] = o.NumberValue
		case typeBinary:
			listed["binaryValue"] = o.BinaryValue
		}
	}
	return listed
}

// livePage returns a page of the items of the path's partition, and removes expired
// ones.
func (c *call) livePage(prefixed bool) (page []*slot[*item], more bool, err error) {
	l, err := c.listing(prefixed)
	if err != nil {
		return nil, false, err
	}
	if err := c.wantPartition(); err != nil {
		return nil, false, err
	}
	var expired []string
	page, more = c.partition.items.page(l, func(found *slot[*item]) bool {
		if c.now.Before(found.thing.expires) {
			return true
		}
		expired = append(expired, found.name)
		return false
	})
	for _, key := range expired {
		c.space.drop(c.store, c.partition, key)
	}
	return page, more, nil
}

func (c *call) getKey() (answer, error) {
	if err := c.readKey(); err != nil {
		return answer{}, err
	}
	if c.chosen.is(etags, "on") && matches(c.in.Header, "If-None-Match", c.item) {
		return c.tagged(emptyAnswer(http.StatusNotModified)), nil
	}
	c.space.touch(c.store, c.partition, c.ref.key, c.item, c.now)
	o := c.item.object(c.ref.key)
	if c.pending != nil && c.chosen.is(confirmationID, "body") {
		o.ConfirmationID = c.pending.id
	}
	return c.tagged(c.confirmed(jsonAnswer(http.StatusOK, o))), nil
}

// headKey reports whether a key exists. This does not extend the key's life: the vendor
// does not count Contains as a read.
func (c *call) headKey() (answer, error) {
	if err := c.readKey(); err != nil {
		return answer{}, err
	}
	return c.tagged(c.confirmed(emptyAnswer(http.StatusNoContent))), nil
}

// readKey finds the item of the path, and makes its read pending if it is confirmable.
func (c *call) readKey() error {
	confirmable, err := c.confirmable()
	if err != nil {
		return err
	}
	if err := c.wantItem(); err != nil {
		return err
	}
	if confirmable {
		c.pending = c.newConfirmation()
		c.space.await(c.pending)
	}
	return nil
}
