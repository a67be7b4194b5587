package sqlite

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"strconv"
	"time"

	"perezvon/internal/store"
)

// maxPage is the longest page anyone gets.
const maxPage = 1000

func pageSize(limit, standard int) int {
	if limit <= 0 {
		return standard
	}
	return min(limit, maxPage)
}

// callCursor is the place of the last call of a page.
type callCursor struct {
	created int64
	id      string
}

// String writes the cursor with a checksum: it is no secret, but whoever
// mangles one should hear of it rather than get a wrong page.
func (c callCursor) String() string {
	b := binary.BigEndian.AppendUint64(make([]byte, 4, 12+len(c.id)), uint64(c.created))
	b = append(b, c.id...)
	binary.BigEndian.PutUint32(b, crc32.ChecksumIEEE(b[4:]))
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseCallCursor(s string) (callCursor, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) < 13 {
		return callCursor{}, store.ErrBadCursor
	}
	c := callCursor{created: int64(binary.BigEndian.Uint64(b[4:])), id: string(b[12:])}
	if c.String() != s { // the checksum, and the line breaks that base64 passes over
		return callCursor{}, store.ErrBadCursor
	}
	return c, nil
}

// eventIDLen makes ids of all sizes sort as text.
const eventIDLen = 16

func eventID(n int64) string { return fmt.Sprintf("%0*x", eventIDLen, n) }

// parseEventID reads an event's id; the empty one is before all events.
func parseEventID(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 16, 63)
	if err != nil || eventID(int64(n)) != s {
		return 0, store.ErrBadCursor
	}
	return int64(n), nil
}

// Times are stored as nanoseconds since 1970, which reach from 1677 to 2262.
// What lies outside is stored as the nearest that can be, and the zero time as
// the least.
func nanos(t time.Time) int64 {
	switch {
	case t.Year() < 1678:
		return math.MinInt64
	case t.Year() > 2261:
		return math.MaxInt64
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == math.MinInt64 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
