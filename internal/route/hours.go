package route

import (
	"time"

	"perezvon/configs"
)

// farthest is how far NextOpening looks ahead.
const farthest = 400 * 24 * time.Hour

const (
	minute = int64(60)
	day    = 24 * 60 * minute
)

// Open reports whether a line with these hours is open: always, where there
// are none. Hours that Parse of package configs would refuse are no hours.
//
// What counts is the clock on a wall in the hours' zone: an hour that it
// shows twice is open twice, one that it leaves out is not there.
func Open(h *configs.Hours, at time.Time) bool {
	c, ok := newCalendar(h)
	return !ok || c.open(wall(at.In(c.zone)))
}

// NextOpening returns the first moment from at on, at itself included, when a
// line with these hours is open. It is false where there is none within 400
// days.
func NextOpening(h *configs.Hours, at time.Time) (time.Time, bool) {
	c, ok := newCalendar(h)
	if !ok {
		return at, true
	}
	last := at.Add(farthest)
	// From one change of the clock to the next the wall runs evenly, so that
	// openings are the beginnings of ranges, and at a change whatever the
	// clock then shows.
	for from := at.In(c.zone); !from.After(last); {
		if c.open(wall(from)) {
			return at.Add(from.Sub(at)), true // in the zone of at
		}
		_, end := from.ZoneBounds()
		until := last
		if !end.IsZero() && end.Before(until) {
			until = end
		}
		if wait, ok := c.next(wall(from), wall(from)+until.Unix()-from.Unix()); ok {
			return at.Add(time.Unix(from.Unix()+wait, 0).Sub(at)), true
		}
		if end.IsZero() {
			break
		}
		from = end.In(c.zone)
	}
	return time.Time{}, false
}

// wall returns what the clock on the wall shows, in seconds of a calendar
// without changes of the clock.
func wall(t time.Time) int64 {
	_, offset := t.Zone()
	return t.Unix() + int64(offset)
}

// calendar is a Schedule whose days are counted.
type calendar struct {
	zone     *time.Location
	ranges   []configs.Opening
	holidays map[int64]bool // by day since 1970
}

// newCalendar is false for a line that is always open.
func newCalendar(h *configs.Hours) (*calendar, bool) {
	if h == nil {
		return nil, false
	}
	s, err := h.Schedule()
	if err != nil {
		return nil, false
	}
	c := &calendar{zone: s.Zone, ranges: s.Open, holidays: make(map[int64]bool, len(s.Holidays))}
	for _, d := range s.Holidays {
		c.holidays[d.Unix()/day] = true
	}
	return c, true
}

// open reports whether a moment on the wall lies in a range of its day or in
// one that passed midnight.
func (c *calendar) open(wall int64) bool {
	today := floorDiv(wall, day)
	for _, date := range []int64{today, today - 1} {
		for i := range c.ranges {
			r := &c.ranges[i]
			if !c.begins(r, date) {
				continue
			}
			from, to := date*day+int64(r.From)*minute, date*day+int64(r.To)*minute
			if wall >= from && wall < to {
				return true
			}
		}
	}
	return false
}

// next returns how many seconds after a closed moment on the wall the first
// range begins, if it begins before until.
func (c *calendar) next(wall, until int64) (wait int64, ok bool) {
	for date := floorDiv(wall, day); date*day < until; date++ {
		first := until
		for i := range c.ranges {
			r := &c.ranges[i]
			if from := date*day + int64(r.From)*minute; from > wall && from < first && c.begins(r, date) {
				first = from
			}
		}
		if first < until {
			return first - wall, true
		}
	}
	return 0, false
}

// begins reports whether a range begins on a date.
func (c *calendar) begins(r *configs.Opening, date int64) bool {
	const thursday = 4 // 1970-01-01
	weekday := (date + thursday) % 7
	if weekday < 0 {
		weekday += 7
	}
	return r.Days[weekday] && !c.holidays[date]
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
