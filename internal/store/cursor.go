package store

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"strconv"
	"time"
)

// maxPage is the longest page anyone gets.
const maxPage = 1000

// PageSize is how long a page is of which limit was asked for: standard where
// limit is zero or less, and 1000 at most.
func PageSize(limit, standard int) int {
	if limit <= 0 {
		return standard
	}
	return min(limit, maxPage)
}

// CallCursor is the place of the last call of a page, by which every engine
// goes on with the next one: a cursor of one is good for the others.
type CallCursor struct {
	Created int64 // as Nanos tells it
	ID      string
}

// String writes the cursor with a checksum: it is no secret, but whoever
// mangles one should hear of it rather than get a wrong page.
func (c CallCursor) String() string {
	b := binary.BigEndian.AppendUint64(make([]byte, 4, 12+len(c.ID)), uint64(c.Created))
	b = append(b, c.ID...)
	binary.BigEndian.PutUint32(b, crc32.ChecksumIEEE(b[4:]))
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParseCallCursor reads what String has written. Anything else is ErrBadCursor.
func ParseCallCursor(s string) (CallCursor, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) < 13 {
		return CallCursor{}, ErrBadCursor
	}
	c := CallCursor{Created: int64(binary.BigEndian.Uint64(b[4:])), ID: string(b[12:])}
	if c.String() != s { // the checksum, and the line breaks that base64 passes over
		return CallCursor{}, ErrBadCursor
	}
	return c, nil
}

// eventIDLen makes ids of all sizes sort as text.
const eventIDLen = 16

// EventID is the id of the event with the number n, 1 or greater; that of 0
// comes before all events. Ids sort as their numbers do.
func EventID(n int64) string { return fmt.Sprintf("%0*x", eventIDLen, n) }

// ParseEventID reads the number of an event's id; the empty one is before all
// events. What EventID has not written is ErrBadCursor.
func ParseEventID(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 16, 63)
	if err != nil || EventID(int64(n)) != s {
		return 0, ErrBadCursor
	}
	return int64(n), nil
}

// Nanos is how engines store a time: nanoseconds since 1970, which reach from
// 1677 to 2262. What lies outside is stored as the nearest that can be, and the
// zero time as the least.
func Nanos(t time.Time) int64 {
	switch {
	case t.Year() < 1678:
		return math.MinInt64
	case t.Year() > 2261:
		return math.MaxInt64
	}
	return t.UnixNano()
}

// FromNanos is the time, in UTC, of which Nanos gives n.
func FromNanos(n int64) time.Time {
	if n == math.MinInt64 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
