package limit

import (
	"sync"
	"time"
)

// firstSeen bounds how many subjects of one limit this process writes to Redis that are
// not there yet. It is a token bucket. Keys of subjects live for three windows, so the
// longer the window the fewer keys may be made: firstSeenPerWindow in each, spread over
// it, and as many at once as a service has clients that come together when it starts.
type firstSeen struct {
	mu    sync.Mutex
	left  float64
	asked time.Time // when left was last filled up; zero: never
}

const (
	firstSeenPerWindow = 360_000 // 100 a second in windows of an hour
	firstSeenAtOnce    = 20_000
)

// admit tells whether one more may be written now.
func (s *firstSeen) admit(rate Rate, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	perSecond := firstSeenPerWindow / rate.Window.Seconds()
	most := max(firstSeenAtOnce, perSecond)
	if s.asked.IsZero() {
		s.left = most
	} else {
		s.left = min(most, s.left+perSecond*now.Sub(s.asked).Seconds())
	}
	s.asked = now
	if s.left < 1 {
		return false
	}
	s.left--
	return true
}

// undo takes an admission back, for a subject that was there already.
func (s *firstSeen) undo() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left++
}
