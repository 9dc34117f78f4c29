package memory

import (
	"fmt"
	"testing"
	"time"
)

func TestSketchFindsHotKeys(t *testing.T) {
	var s sketch
	s.distinguish(10)
	hot, warm := HashKey("hot"), HashKey("warm")
	at := func(second, read int) int64 { return int64(second)*int64(time.Second) + int64(read) }
	for second := range 3 {
		for i := range 5000 { // cold ones, each read once
			s.add(HashKey(fmt.Sprint("cold", i)), at(second, i), 1)
		}
		for i := range 100 {
			s.add(hot, at(second, i), 1)
		}
		s.add(warm, at(second, 1), 5)
	}
	if got := s.rate(hot); got < 100 || got > 120 {
		t.Errorf("hot key: %v reads a second, want 100", got)
	}
	if got := s.rate(warm); got < 5 || got > 25 {
		t.Errorf("warm key: %v reads a second, want 5", got)
	}
	s.add(warm, at(9, 0), 1) // nothing was read for a while
	if got := s.rate(hot); got != 0 {
		t.Errorf("hot key after a pause: %v reads a second, want 0", got)
	}
}
