package call

import (
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// throttle keeps a flood out of the log: ten lines at once, then one a second.
type throttle struct {
	limiter *rate.Limiter
	skipped atomic.Int64
}

func newThrottle() *throttle { return &throttle{limiter: rate.NewLimiter(rate.Every(time.Second), 10)} }

// allow reports whether a line may be logged, and how many were not since the
// last one that was.
func (t *throttle) allow() (skipped int64, ok bool) {
	if !t.limiter.Allow() {
		t.skipped.Add(1)
		return 0, false
	}
	return t.skipped.Swap(0), true
}
