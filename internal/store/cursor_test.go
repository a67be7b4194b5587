package store

import (
	"errors"
	"math"
	"testing"
	"time"
)

// FuzzCursors reads cursors and event ids as strangers may send them: what is
// accepted is exactly what would be given out.
func FuzzCursors(f *testing.F) {
	f.Add(CallCursor{1, "0199a0b0c0d070008000000000000001"}.String())
	f.Add(CallCursor{math.MinInt64, "x"}.String())
	f.Add(CallCursor{1, "x"}.String() + "\n")
	f.Add("\r" + CallCursor{1, "x"}.String())
	f.Add(EventID(1))
	f.Add(EventID(math.MaxInt64))
	f.Add("")
	f.Add("-000000000000001")
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := ParseCallCursor(s); err == nil && c.String() != s {
			t.Errorf("cursor %q was read as %+v, which is %q", s, c, c)
		} else if err != nil && !errors.Is(err, ErrBadCursor) {
			t.Errorf("cursor %q: error %v", s, err)
		}
		if n, err := ParseEventID(s); err == nil && (n < 0 || (s != "" && EventID(n) != s)) {
			t.Errorf("event id %q was read as %d", s, n)
		} else if err != nil && !errors.Is(err, ErrBadCursor) {
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
		if Nanos(times[i]) >= Nanos(times[i+1]) {
			t.Errorf("%v is not before %v", times[i], times[i+1])
		}
	}
	if !FromNanos(Nanos(time.Time{})).IsZero() {
		t.Error("the zero time does not come back")
	}
}
