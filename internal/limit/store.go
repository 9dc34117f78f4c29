package limit

import (
	"context"
	"time"
)

// Rate is a count per window; windows are aligned to the Unix epoch by the clock of
// the store that counts.
type Rate struct {
	Count  int
	Window time.Duration // whole milliseconds
}

// Store counts permits where all instances can see them. Both methods keep the
// deadline of ctx and are safe for concurrent use.
type Store interface {
	// TakePermits asks for up to want permits of key out of the window that the
	// store's clock falls into. With want 0 it only asks.
	TakePermits(ctx context.Context, key string, rate Rate, burst, want int) (Grant, error)
	// ReturnPermits gives permits of one window back. It is never repeated: a permit
	// returned twice would be spent twice.
	ReturnPermits(ctx context.Context, key string, rate Rate, window int64, permits int) error
}

// Grant is what a store has handed out.
type Grant struct {
	Permits   int
	Window    int64         // number of the window, by the store's clock
	Left      time.Duration // of the window, when the store counted
	Remaining int           // permits that the window still has for others
	Wait      time.Duration // when Permits is 0: until asking again is worth it
	Exclusive bool          // no other process asks this store, so that Remaining stays true
	// Common says that the store has no count for this subject alone: there were too
	// many subjects, and all such of a limit share the common count. Permits is 1 at
	// most then, and not to be returned.
	Common bool
}

// share is the arithmetic of a window, which takeScript does likewise: of want permits,
// how many are granted into milliseconds after the window's begin when used are taken
// already; how many remain then; and, if none is granted, after how many milliseconds
// one may be.
//
// burst may be taken at once, the other permits are released evenly over the window.
// One request gets no more than half of what is free, so that near the limit chunks
// shrink, and no instance holds what others need.
func share(rate Rate, burst, used, want int, into int64) (permits, remaining int, wait int64) {
	size := rate.Window.Milliseconds()
	released := min(int64(rate.Count), int64(burst)+int64(rate.Count)*into/size)
	free := int(released) - used
	if free <= 0 {
		wait = size - into
		if used < rate.Count {
			// When released reaches used + 1, rounded up.
			need := int64(used+1-burst)*size + int64(rate.Count) - 1
			wait = max(1, min(wait, need/int64(rate.Count)-into))
		}
		return 0, max(0, rate.Count-used), wait
	}
	permits = min(want, max(1, free/2))
	return permits, rate.Count - used - permits, 0
}
