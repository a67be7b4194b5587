package store

import (
	"errors"
	"fmt"
	"time"
)

// ErrExceeded says that a count would have exceeded its maximum.
var ErrExceeded = errors.New("the maximum would be exceeded")

// MaxCount is the greatest number that a count is exact up to.
const MaxCount = 1<<53 - 1

// Counter names a sum within a window of time, such as what the calls of a
// trunk have cost on one day. The window is known by its end: what is added
// with another Until goes to another window of the same name.
type Counter struct {
	Name  string
	Until time.Time // the window's end, to the millisecond; nothing is kept after it
}

// Count is a counter's sum.
type Count struct {
	Total int64
	Local bool // the shared store is away: what this node knows alone. Others may have added more
}

// Check says whether n may be added to the counter at all.
func (c Counter) Check(n int64) error {
	switch {
	case c.Name == "":
		return errors.New("counter without a name")
	case c.Until.Year() < 1970 || c.Until.Year() > 2261:
		return fmt.Errorf("counter %s has no end that can be kept: %v", c.Name, c.Until)
	case n > MaxCount || n < -MaxCount:
		return fmt.Errorf("counter %s: %d is too much", c.Name, n)
	}
	return nil
}
