package emulator

import (
	"net/http"
	"strconv"
	"strings"
)

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
