package cache

import (
	"net/http"
	"testing"
	"time"

	"osgate/objectstore"
)

// A stale answer of an operation is not worth keeping: the cache never validates it
// with Object Store.
func TestAnOperationsAnswerThatIsNotFreshIsNotStored(t *testing.T) {
	read, err := objectstore.Parse(http.MethodGet, "/api/v1/organizations/o/environments/e/stores/s/partitions/p/keys/k", "")
	if err != nil {
		t.Fatal(err)
	}
	for control, want := range map[string]string{"max-age=0, stale-if-error=9": "expired", "max-age=9": ""} {
		h := http.Header{"Cache-Control": {control}, "Etag": {"1"}}
		if got := judgeOperation(&read, time.Minute, false, http.StatusOK, h).Refused; got != want {
			t.Errorf("%s: refused %q, want %q", control, got, want)
		}
	}
}
