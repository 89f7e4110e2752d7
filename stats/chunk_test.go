package stats

import (
	"math"
	"testing"
)

// FuzzPackedChunks checks that a chunk is read as it was written, and that no bytes
// make reading panic.
func FuzzPackedChunks(f *testing.F) {
	f.Add([]byte{}, uint8(0), uint64(0), uint64(0))
	f.Add([]byte{2, 0, 1, 1, 30, 1}, uint8(30), uint64(math.MaxUint64), uint64(1))
	f.Add([]byte{1, 3, 0xff, 0xff}, uint8(7), uint64(300), uint64(0))
	f.Fuzz(func(t *testing.T, value []byte, at uint8, client, upstream uint64) {
		chunk, ok := packed(value).unpack()
		if again, _ := pack(&chunk).unpack(); again != chunk {
			t.Fatalf("%v is written and read as %v", chunk, again)
		}
		if !ok {
			return
		}
		chunk[at%maxChunk] = Counts{Client: client, Upstream: upstream, ClientUnits: upstream, UpstreamUnits: client}
		if again, ok := pack(&chunk).unpack(); !ok || again != chunk {
			t.Fatalf("%v is written and read as %v, %v", chunk, again, ok)
		}
	})
}

func TestChunkWrittenWithFewerMeasuresIsRead(t *testing.T) {
	t.Parallel()
	chunk, ok := packed{1, 4, 200, 1, 5, 7}.unpack()
	if !ok || chunk[4] != (Counts{Client: 200}) || chunk[5] != (Counts{Client: 7}) {
		t.Errorf("got %v, %v; want 200 and 7 at 4 and 5", chunk, ok)
	}
	chunk, ok = packed{2, 4, 200, 1, 3, 5, 7, 6}.unpack() // written before billed units were counted
	if !ok || chunk[4] != (Counts{Client: 200, Upstream: 3}) || chunk[5] != (Counts{Client: 7, Upstream: 6}) {
		t.Errorf("got %v, %v; want 200, 3 and 7, 6 at 4 and 5", chunk, ok)
	}
}

func TestQuietChunksTakeNoSpace(t *testing.T) {
	t.Parallel()
	chunk := [maxChunk]Counts{30: {Client: 100, Upstream: 7}}
	if got := len(pack(&chunk)); got != 6 {
		t.Errorf("one busy bucket takes %d bytes, want 6", got)
	}
}

func TestADamagedChunkHoldsTheBucketsBeforeTheDamage(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]packed{
		"a bucket past the last one": {1, 4, 200, 1, maxChunk, 7},
		"a number that is cut off":   {1, 4, 200, 1, 5, 0xff},
	} {
		chunk, ok := damage.unpack()
		if ok || chunk[4] != (Counts{Client: 200}) || chunk[5] != (Counts{}) {
			t.Errorf("%s: got %v, %v; want 200 at 4, and damage", name, chunk, ok)
		}
	}
	if chunk, ok := (packed{byte(measures) + 1, 0, 1, 1, 1, 1, 1}).unpack(); ok || chunk != ([maxChunk]Counts{}) {
		t.Errorf("more measures than there are: got %v, %v; want nothing, and damage", chunk, ok)
	}
}
