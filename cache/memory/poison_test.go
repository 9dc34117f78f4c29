//go:build !race

// The race detector would report the fault that is made here, and that is its task.

package memory

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestAReaderBeyondItsPinIsSeen is the checker's own proof: a reader that gives up its pin
// before it has copied the answer meets bytes of others, and the poison.
func TestAReaderBeyondItsPinIsSeen(t *testing.T) {
	t.Parallel()
	s := newPinned(t, 1<<20)
	torn, poisoned := 0, 0
	for i := range 2_000 {
		key := fmt.Sprint("mine:", i)
		s.keep(key)
		pin := s.Pin(1)
		_, data, _, _ := s.Peek(s.sh, []byte(key)).Parts(s.sh)
		pin.Release() // too early
		for range 200 * (i % 50) {
			s.keep(fmt.Sprint("other:", rand.IntN(25_000)))
		}
		if !strings.HasPrefix(string(data), `"`+key+" ") {
			torn++
		}
		if bytes.IndexByte(data, 0xDB) >= 0 {
			poisoned++
		}
		if torn > 0 && poisoned > 0 {
			return
		}
	}
	t.Errorf("%d answers were read torn, %d of them with the poison: both should be met", torn, poisoned)
}
