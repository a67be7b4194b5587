package sqlite

import (
	"errors"
	"math"
	"testing"
	"time"

	"perezvon/internal/store"
)

// FuzzCursors reads cursors and event ids as strangers may send them: what is
// accepted is exactly what would be given out.
func FuzzCursors(f *testing.F) {
	f.Add(callCursor{1, "0199a0b0c0d070008000000000000001"}.String())
	f.Add(callCursor{math.MinInt64, "x"}.String())
	f.Add(callCursor{1, "x"}.String() + "\n")
	f.Add("\r" + callCursor{1, "x"}.String())
	f.Add(eventID(1))
	f.Add(eventID(math.MaxInt64))
	f.Add("")
	f.Add("-000000000000001")
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := parseCallCursor(s); err == nil && c.String() != s {
			t.Errorf("cursor %q was read as %+v, which is %q", s, c, c)
		} else if err != nil && !errors.Is(err, store.ErrBadCursor) {
			t.Errorf("cursor %q: error %v", s, err)
		}
		if n, err := parseEventID(s); err == nil && (n < 0 || (s != "" && eventID(n) != s)) {
			t.Errorf("event id %q was read as %d", s, n)
		} else if err != nil && !errors.Is(err, store.ErrBadCursor) {
			t.Errorf("event id %q: error %v", s, err)
		}
	})
}

func TestTimesOutsideTheRangeStayInOrder(t *testing.T) {
	times := []time.Time{
		{},
		time.Date(1678, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Unix(0, 0),
		time.Date(2261, 12, 31, 0, 0, 0, 0, time.UTC),
		time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	for i := range times[1:] {
		if nanos(times[i]) >= nanos(times[i+1]) {
			t.Errorf("%v is not before %v", times[i], times[i+1])
		}
	}
	if !fromNanos(nanos(time.Time{})).IsZero() {
		t.Error("the zero time does not come back")
	}
}
