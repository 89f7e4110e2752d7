package emulator

import (
	"fmt"

	"go.etcd.io/bbolt"
)

// Reset restores the state of the start of an empty emulator: the stores and entries of
// the world, rights and secrets of clients, counts, quotas, clock and faults. The
// request log is cleared. Tokens stay valid, so that a program under test need not mint
// again. It waits for the requests that are being processed.
func (e *Emulator) Reset() error {
	e.running.Lock()
	defer e.running.Unlock()
	if err := e.disk.clear(); err != nil {
		return err
	}
	e.clock.ahead.Store(0)
	e.directory = newDirectory(e.options.World)
	e.faults.set(e.fault)
	e.window, e.statsWindow = newWindow(e.options.Rate, e.clock), newWindow(e.options.StatsRate, e.clock)
	e.allowance = &allowance{limit: e.options.AccountsRate}
	e.stats = newCounts(e.options.StatsLag, e.disk)
	e.requests.clear()
	e.clientCounts = newClientCounts(e.options.World.Clients)
	e.spacesMu.Lock()
	e.spaces = map[spaceID]*space{}
	e.spacesMu.Unlock()
	if err := e.seed(e.options.World); err != nil {
		return err
	}
	return e.disk.write(change{bucket: metaBucket, key: "clock", value: record(int64(0))})
}

// clear deletes all data that Reset removes.
func (d *disk) clear() error {
	if d == nil {
		return nil
	}
	err := d.db.Update(func(tx *bbolt.Tx) error {
		for _, name := range []string{
			storeBucket, partitionBucket, itemBucket, confirmationBucket, scopeBucket, secretBucket, countBucket,
		} {
			if err := tx.DeleteBucket([]byte(name)); err != nil {
				return err
			}
			if _, err := tx.CreateBucket([]byte(name)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("clearing data: %w", err)
	}
	return nil
}
