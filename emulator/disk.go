package emulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// disk stores the contents of the memory in a bbolt file: the changes by one request
// are one transaction, committed before the answer is sent. It does not wait until the
// file is on the device (bbolt's NoSync), so that the data survive the end of the
// process, but not a failure of the machine. A nil disk does not store data.
type disk struct {
	db *bbolt.DB

	mu     sync.Mutex // guards failed
	failed error      // the first failed write; there is no write after it
}

// change is one write: a value, or nil to delete the key, or all keys that begin with
// it if below is true.
type change struct {
	bucket string
	key    string
	value  []byte
	below  bool
}

// The buckets. Keys are names joined by a NUL, which no name contains.
const (
	storeBucket        = "stores"
	partitionBucket    = "partitions"
	itemBucket         = "items"
	confirmationBucket = "confirmations"
	accessBucket       = "access"
	refreshBucket      = "refresh"
	scopeBucket        = "scopes"
	secretBucket       = "secrets"
	countBucket        = "counts"
	metaBucket         = "meta"
)

func buckets() []string {
	return []string{
		storeBucket, partitionBucket, itemBucket, confirmationBucket,
		accessBucket, refreshBucket, scopeBucket, secretBucket, countBucket, metaBucket,
	}
}

// openDisk opens the file in a folder, which it creates if necessary.
func openDisk(folder string) (*disk, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("making data folder: %w", err)
	}
	path := filepath.Join(folder, "osemu.db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second, FreelistType: bbolt.FreelistMapType})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("opening %s: another process uses it", path)
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	db.NoSync = true
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range buckets() {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("preparing %s: %w", path, err), db.Close())
	}
	return &disk{db: db}, nil
}

// write commits changes together.
func (d *disk) write(changes ...change) error {
	if d == nil || len(changes) == 0 {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed != nil {
		return d.failed
	}
	err := d.db.Update(func(tx *bbolt.Tx) error {
		for _, c := range changes {
			if err := c.apply(tx.Bucket([]byte(c.bucket))); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		d.failed = fmt.Errorf("keeping data: %w", err)
	}
	return d.failed
}

func (c change) apply(b *bbolt.Bucket) error {
	if c.below {
		cursor := b.Cursor()
		for key, _ := cursor.Seek([]byte(c.key)); strings.HasPrefix(string(key), c.key); key, _ = cursor.Seek([]byte(c.key)) {
			if err := cursor.Delete(); err != nil {
				return err
			}
		}
		return nil
	}
	if c.value == nil {
		return b.Delete([]byte(c.key))
	}
	return b.Put([]byte(c.key), c.value)
}

// close flushes and closes the file, and returns the error of the first failed write.
func (d *disk) close() error {
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return errors.Join(d.failed, d.db.Sync(), d.db.Close())
}

// read visits every record of a bucket. The slices are valid only during the visit.
func (d *disk) read(bucket string, visit func(key string, value []byte) error) error {
	return d.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(bucket)).ForEach(func(key, value []byte) error {
			if err := visit(string(key), value); err != nil {
				return fmt.Errorf("reading %s: %w", bucket, err)
			}
			return nil
		})
	})
}

// record encodes v. Its type is this package's own and always marshals.
func record(v any) []byte {
	encoded, err := json.Marshal(v)
	if err != nil {
		panic("emulator: a record that does not marshal: " + err.Error())
	}
	return encoded
}

func joined(parts ...string) string { return strings.Join(parts, "\x00") }

// countRecord is the number of requests of a series in an hour.
type countRecord struct {
	Series [5]string `json:"series"`
	Hour   int64     `json:"hour"`
	N      int64     `json:"n"`
}

// countKey is the key of a count; the value repeats it, decoded.
func countKey(of series, hour int64) string {
	return joined(of.plane, of.organization, of.environment, of.region, of.store,
		time.Unix(hour, 0).UTC().Format(time.RFC3339))
}
