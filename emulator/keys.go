package emulator

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
)

// keyOperations are the operations of keys and of the objects under them.
func keyOperations() []operation {
	data := []string{scopeData}
	return []operation{
		{keysPath, http.MethodGet, data, noBody, (*call).listKeys},
		{partitionPath, http.MethodGet, data, noBody, (*call).listObjects},
		{keyPath, http.MethodGet, data, noBody, (*call).getKey},
		{keyPath, http.MethodHead, data, noBody, (*call).headKey},
		{keyPath, http.MethodPut, data, keyObject, (*call).putKey},
		{keyPath, http.MethodPost, data, keyObject, (*call).postKey},
		{keyPath, http.MethodDelete, data, noBody, (*call).deleteKey},
	}
}

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

func (c *call) putKey() (answer, error) {
	confirmable, err := c.confirmable()
	if err != nil {
		return answer{}, err
	}
	v, err := c.value()
	if err != nil {
		return answer{}, err
	}
	created, err := c.write(v, confirmable)
	if err != nil {
		return answer{}, err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	if !c.chosen.is(putAnswer, "created") {
		status, _ = strconv.Atoi(c.chosen[putAnswer]) // its other values are numbers
	}
	return c.keyWritten(status), nil
}

// postKey stores a value, as the vendor's page shows, or calculates with a number, as
// its API description defines.
func (c *call) postKey() (answer, error) {
	if c.number {
		return c.calculate()
	}
	if c.chosen.is(postExisting, "409") && c.wantItem() == nil {
		return answer{}, problemf(http.StatusConflict, "The resource already exists on this service: key %q", c.ref.key)
	}
	v, err := c.value()
	if err != nil {
		return answer{}, err
	}
	if _, err := c.write(v, false); err != nil {
		return answer{}, err
	}
	return c.keyWritten(http.StatusCreated), nil
}

func (c *call) deleteKey() (answer, error) {
	confirmable, err := c.confirmable()
	if err != nil {
		return answer{}, err
	}
	if err := c.wantItem(); err != nil {
		return answer{}, err
	}
	if err := c.precondition(c.item); err != nil {
		return answer{}, err
	}
	c.changing(c.item, confirmable)
	c.space.drop(c.store, c.partition, c.ref.key)
	return c.confirmed(emptyAnswer(http.StatusNoContent)), nil
}

// value returns the value in the body.
func (c *call) value() (value, error) {
	o, err := objectOf(c.body)
	if err != nil {
		return value{}, err
	}
	if o.KeyID != "" && strings.ReplaceAll(o.KeyID, " ", "+") != c.ref.key {
		return value{}, problemf(http.StatusBadRequest, "keyId is not the key in the path")
	}
	v, wrong := o.value()
	if wrong != nil {
		return value{}, c.oversize(wrong)
	}
	return v, nil
}

// objectOf returns the members of a body as an object.
func objectOf(f fields) (object, error) {
	var o object
	for _, member := range []struct {
		name string
		into any
	}{
		{"keyId", &o.KeyID},
		{"valueType", &o.ValueType},
		{"index", &o.Index},
		{"metadata", &o.Metadata},
		{"stringValue", &o.StringValue},
		{"numberValue", &o.NumberValue},
		{"binaryValue", &o.BinaryValue},
	} {
		if err := f.read(member.name, member.into); err != nil {
			return object{}, err
		}
	}
	return o, nil
}

// write stores v under the key of the path, makes that pending if it is confirmable,
// and reports whether the key is new.
func (c *call) write(v value, confirmable bool) (created bool, err error) {
	if err := c.wantItem(); c.store == nil {
		if !c.chosen.is(missingStore, "create") {
			return false, err
		}
		c.store = c.space.setStore(c.ref.store, defaultAttributes(c.ref.store))
	}
	before := c.item
	if err := c.precondition(before); err != nil {
		return false, err
	}
	c.partition = c.space.ensurePartition(c.store, c.ref.partition)
	c.changing(before, confirmable)
	c.item = c.space.put(c.store, c.partition, c.ref.key, v, c.now)
	return before == nil, nil
}

// changing prepares a change of a key with the item before: the pending changes below
// it are settled, or this change is made pending too.
func (c *call) changing(before *item, confirmable bool) {
	if !confirmable {
		c.space.settle(c.partition, c.ref.key, len(c.partition.undos[c.ref.key])-1)
		return
	}
	c.pending = c.newConfirmation()
	c.space.remember(c.partition, c.pending, c.ref.key, before)
	c.space.await(c.pending)
}

// keyWritten is the answer to a written key.
func (c *call) keyWritten(status int) answer {
	a := emptyAnswer(status)
	if c.chosen.is(writeBody, "object") && status != http.StatusNoContent {
		a = jsonAnswer(status, c.item.object(c.ref.key))
	}
	return c.tagged(c.confirmed(a))
}

// calculate changes a number in place. The API description defines this for POST ("in a
// non-idempotent fashion") with a media type; the members of the body are the
// emulator's choice: {"operation":"add","numberValue":5}, with add, subtract, multiply.
// A key that does not exist counts as 0.
func (c *call) calculate() (answer, error) {
	operation := "add"
	var operand json.RawMessage // a json.Number would accept "1" for 1
	if err := c.body.read("operation", &operation); err != nil {
		return answer{}, err
	}
	if err := c.body.read("numberValue", &operand); err != nil {
		return answer{}, err
	}
	if len(operand) == 0 || !finite(string(operand)) {
		return answer{}, problemf(http.StatusBadRequest, "numberValue is missing or not a number")
	}
	old := value{kind: typeNumber, text: "0"}
	if c.wantItem() == nil {
		old = c.item.value
	}
	if old.kind != typeNumber {
		return answer{}, problemf(http.StatusBadRequest, "the key holds a %s, not a NUMBER", old.kind)
	}
	text, ok := arithmetic(operation, old.text, string(operand))
	if !ok {
		return answer{}, problemf(http.StatusBadRequest,
			"operation is not one of add, subtract, multiply, or the result is out of range")
	}
	v := old
	v.text = text
	if _, err := c.write(v, false); err != nil {
		return answer{}, err
	}
	return c.tagged(jsonAnswer(http.StatusOK, c.item.object(c.ref.key))), nil
}

// arithmetic applies an operation to two JSON numbers: exactly if both are integers and
// the result fits 64 bits, otherwise in floating point.
func arithmetic(operation, a, b string) (string, bool) {
	x, errX := strconv.ParseInt(a, 10, 64)
	y, errY := strconv.ParseInt(b, 10, 64)
	if errX == nil && errY == nil {
		if n, fits := integers(operation, x, y); fits {
			return strconv.FormatInt(n, 10), true
		}
	}
	p, _ := strconv.ParseFloat(a, 64) // both are finite, which was checked
	q, _ := strconv.ParseFloat(b, 64)
	var r float64
	switch operation {
	case "add":
		r = p + q
	case "subtract":
		r = p - q
	case "multiply":
		r = p * q
	default:
		return "", false
	}
	if r == 0 {
		r = 0 // no negative zero
	}
	return string(numberText(r)), !math.IsInf(r, 0)
}

// integers returns the result if it fits.
func integers(operation string, x, y int64) (n int64, fits bool) {
	switch operation {
	case "add":
		n = x + y
		return n, (n > x) == (y > 0)
	case "subtract":
		n = x - y
		return n, (n < x) == (y > 0)
	case "multiply":
		if x == 0 || y == 0 {
			return 0, true
		}
		n = x * y
		return n, n/y == x && !(x == -1 && y == math.MinInt64) && !(y == -1 && x == math.MinInt64)
	}
	return 0, false
}
