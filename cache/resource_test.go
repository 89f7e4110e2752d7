package cache

import (
	"testing"

	"osgate/cache/coherence"
	"osgate/objectstore"
)

func TestNoOperationHasMoreResourcesThanFit(t *testing.T) {
	path := "/api/v1/organizations/o/environments/e/stores/s/partitions/p/keys/k"
	for end := len(path); end > 0; end-- {
		for _, method := range []string{"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"} {
			for _, query := range []string{"", "confirmable=true"} {
				o, err := objectstore.Parse(method, path[:end], query)
				if err != nil {
					continue
				}
				on, touched := resourcesOf("l", o.Ref, o.DependsOn()), resourcesOf("l", o.Ref, o.Touches())
				var first uint8
				for i, r := range on.All() {
					if i == 0 {
						first = r.Slot
					}
					if r.Slot >= coherence.Slots || r.Slot != first {
						t.Errorf("%s: resource %d that it depends on is in slot %d, the first in %d", o.Kind, i, r.Slot, first)
					}
				}
				if o.Writes() != (touched.Len() > 0) {
					t.Errorf("%s touches %d resources", o.Kind, touched.Len())
				}
			}
		}
	}
}
