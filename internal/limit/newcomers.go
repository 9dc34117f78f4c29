package limit

import (
	"sync"
	"time"
)

// newcomers bounds how many subjects of one limit this process writes to Redis
// that are not there yet. Their keys live for three windows, so the longer the
// window the fewer they are: newPerWindow in each, spread over it, and as many
// at once as a service has clients that come together when it starts.
type newcomers struct {
	mu    sync.Mutex
	left  float64
	asked time.Time // when left was reckoned; zero: never
}

const (
	newPerWindow = 360_000 // 100 a second in windows of an hour
	newAtOnce    = 20_000
)

// admit tells whether one more may be written now.
func (n *newcomers) admit(rate Rate, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	perSecond := newPerWindow / rate.Window.Seconds()
	most := max(newAtOnce, perSecond)
	if n.asked.IsZero() {
		n.left = most
	} else {
		n.left = min(most, n.left+perSecond*now.Sub(n.asked).Seconds())
	}
	n.asked = now
	if n.left < 1 {
		return false
	}
	n.left--
	return true
}

// giveBack takes an admission back, for a subject that was there already.
func (n *newcomers) giveBack() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.left++
}
