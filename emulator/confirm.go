package emulator

import (
	"net/http"
	"time"
)

// confirmationHeader contains the id of a pending operation. The vendor's documents do
// not define how it is returned; a 204 can return it only in a header.
const confirmationHeader = "X-Confirmation-Id"

// newConfirmation returns a confirmation of the call's operation that is not pending
// yet.
func (c *call) newConfirmation() *confirmation {
	return &confirmation{
		id: c.ids.uuid(), store: c.ref.store, partition: c.ref.partition, key: c.ref.key,
		deadline: c.now.Add(c.store.attributes.confirmationTTL()), place: -1,
	}
}

// confirmed returns a with the id of the pending operation, if there is one.
func (c *call) confirmed(a answer) answer {
	switch {
	case c.pending == nil:
		return a
	case c.chosen.is(confirmationID, "header"), c.in.Method == http.MethodHead:
		a.header.Set(confirmationHeader, c.pending.id)
		return a
	case c.in.Method == http.MethodGet:
		return a // the object already contains it
	}
	status := a.status
	if status == http.StatusNoContent {
		status = http.StatusOK
	}
	return jsonAnswer(status, map[string]string{"confirmationId": c.pending.id})
}

// wantConfirmation finds the pending operation of the path. One of a whole partition is
// found under any key of it.
func (c *call) wantConfirmation() error {
	found := c.space.pending.byID[c.ref.confirmation]
	if found == nil || found.store != c.ref.store || found.partition != c.ref.partition ||
		found.key != "" && found.key != c.ref.key {
		return missing("operation that waits for confirmation", c.ref.confirmation)
	}
	c.pending = found
	return nil
}

func (c *call) ackConfirmation() (answer, error) {
	if err := c.wantConfirmation(); err != nil {
		return answer{}, err
	}
	c.space.ack(c.pending)
	return emptyAnswer(http.StatusNoContent), nil
}

func (c *call) nackConfirmation() (answer, error) {
	if err := c.wantConfirmation(); err != nil {
		return answer{}, err
	}
	c.space.rollBack(c.pending)
	return emptyAnswer(http.StatusNoContent), nil
}

// extendConfirmation gives a pending operation ttl seconds from now.
func (c *call) extendConfirmation() (answer, error) {
	var ttl *int64
	if err := c.body.read("ttl", &ttl); err != nil {
		return answer{}, err
	}
	if ttl == nil || *ttl < 1 || *ttl > maxTTLSeconds {
		return answer{}, problemf(http.StatusBadRequest, "ttl is not a number of seconds from 1 to %d", maxTTLSeconds)
	}
	if err := c.wantConfirmation(); err != nil {
		return answer{}, err
	}
	c.space.extend(c.pending, c.now.Add(time.Duration(*ttl)*time.Second))
	return emptyAnswer(http.StatusNoContent), nil
}
