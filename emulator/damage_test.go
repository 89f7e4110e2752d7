package emulator_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"osgate/emulator"
)

// An emulator must not start without a part of its data.
func TestDamagedDataAreAnError(t *testing.T) {
	whole := fullData(t)
	for bucket, key := range map[string]string{
		"stores": "", "partitions": "", "items": "", "confirmations": "", "access": "", "refresh": "",
		"scopes": "app-two", "secrets": "app-two", "counts": "", "meta": "runs",
	} {
		t.Run(bucket, func(t *testing.T) {
			o := emulator.Options{Data: t.TempDir(), Rate: -1}
			path := filepath.Join(o.Data, "osemu.db")
			if err := os.WriteFile(path, whole, 0o600); err != nil {
				t.Fatal(err)
			}
			damage(t, path, bucket, key)
			e, err := emulator.New(o)
			if err == nil {
				t.Error("the damaged data are no error", e.Close())
			}
		})
	}
}

// fullData returns a data file in which every bucket has a record.
func fullData(t *testing.T) []byte {
	t.Helper()
	w := emulator.BuiltInWorld()
	w.Clients[0].GrantTypes = append(w.Clients[0].GrantTypes, "client_credentials", "password", "refresh_token")
	o := emulator.Options{Data: t.TempDir(), Rate: -1, World: w}
	c := newOn(t, o)
	c.confirmable(http.MethodPut, demoKeys+"/KeyOne", `{"stringValue":"one"}`)
	c.must(http.StatusOK, http.MethodPatch, "/_osemu/clients/app-two", `{"scopes":["read:store"],"secret":"fresh"}`)
	c.want(c.form("/us/accounts/api/v2/oauth2/token",
		"client_id=app-one&client_secret=secret-one&grant_type=password&username=admin&password=admin-password"), http.StatusOK)
	if err := c.e.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(o.Data, "osemu.db"))
	if err != nil {
		t.Fatal(err)
	}
	return whole
}

// damage cuts the record of a key, or the first one of its bucket.
func damage(t *testing.T, path, bucket, key string) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte(bucket))
		name, value := b.Cursor().First()
		if key != "" {
			name, value = []byte(key), b.Get([]byte(key))
		}
		if value == nil {
			t.Fatalf("%s has no record %q", bucket, key)
		}
		return b.Put(name, []byte("{"))
	})
	if err != nil {
		t.Fatal(err)
	}
}
