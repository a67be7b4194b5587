package store

import (
	"errors"
	"fmt"
	"time"
)

// Rate is a limit to how often something is done, by the generic cell rate
// algorithm: Burst units may be taken at once, and one comes back each Every.
type Rate struct {
	Name  string        // within its scope
	Every time.Duration // to the microsecond, at most a day
	Burst int           // 1 to 1 000 000
	Cost  int           // how many units are asked for, 1 to Burst
}

// Check says whether anybody could ever be allowed what the rate asks for.
func (r Rate) Check() error {
	switch {
	case r.Name == "":
		return errors.New("rate without a name")
	case r.Every < time.Microsecond || r.Every > 24*time.Hour:
		return fmt.Errorf("rate %s: a unit each %v", r.Name, r.Every)
	case r.Burst < 1 || r.Burst > 1_000_000:
		return fmt.Errorf("rate %s: %d units at once", r.Name, r.Burst)
	case r.Cost < 1 || r.Cost > r.Burst:
		return fmt.Errorf("rate %s: %d of at most %d units are asked for", r.Name, r.Cost, r.Burst)
	}
	return nil
}

// CheckRates says whether the rates can be asked for in one scope at once.
func CheckRates(scope string, rates []Rate) error {
	if scope == "" {
		return errors.New("rates without a scope")
	}
	names := make(map[string]bool, len(rates))
	for _, r := range rates {
		if err := r.Check(); err != nil {
			return err
		}
		if names[r.Name] {
			return fmt.Errorf("rate %s is asked for twice", r.Name)
		}
		names[r.Name] = true
	}
	return nil
}

// Take is the arithmetic of the algorithm, in microseconds: full is when all
// units that were taken will have come back (which lies in the past where they
// have), and is what it becomes where the units may be taken. Where they may
// not, wait is how long it takes until they could be.
func (r Rate) Take(full, now int64) (then, wait int64) {
	every := r.Every.Microseconds()
	then = max(full, now) + int64(r.Cost)*every
	return then, max(0, then-int64(r.Burst)*every-now)
}

// Verdict is the answer to who asks for units of rates.
type Verdict struct {
	Allowed    bool
	RetryAfter time.Duration // where not allowed: by then it may be, if nobody else takes the units
	Rate       string        // the one to wait longest for; empty: the scope is paused
	Local      bool          // the shared store is away: what this node knows alone. Others may have taken more
}

// Pause is until when nothing of a scope is allowed.
type Pause struct {
	Until time.Time // to the microsecond; the zero time: it is not paused
	Local bool      // the shared store is away: what this node knows alone
}
