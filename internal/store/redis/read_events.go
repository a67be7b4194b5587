package redis

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"perezvon/internal/store"
)

// events returns events oldest first. next is the value of After that gives the
// following page, empty when there was nothing more. An After that is not an
// event's id is store.ErrBadCursor.
func (r *remote) events(ctx context.Context, f store.EventFilter) (evs []store.Event, next string, err error) {
	after, err := store.ParseEventID(f.After)
	if err != nil {
		return nil, "", fmt.Errorf("list events: %w", err)
	}
	limit := store.PageSize(f.Limit, 100)
	evs, err = within(ctx, r, func(ctx context.Context) ([]store.Event, error) {
		if after == math.MaxInt64 {
			return nil, nil // nothing can follow
		}
		if f.CallID != "" {
			return r.eventsOf(ctx, f.CallID, after, limit+1)
		}
		found, err := r.data.XRangeN(ctx, eventsSlot+":log", strconv.FormatInt(after+1, 10)+"-0", "+", int64(limit+1)).Result()
		if err != nil {
			return nil, err
		}
		return decodeEvents(found)
	})
	if err != nil {
		return nil, "", fmt.Errorf("list events: %w", err)
	}
	if len(evs) <= limit {
		return evs, "", nil
	}
	return evs[:limit:limit], evs[limit-1].ID, nil
}

// eventsOf returns up to n events of one call.
func (r *remote) eventsOf(ctx context.Context, callID string, after int64, n int) ([]store.Event, error) {
	ids, err := r.data.ZRangeByScore(ctx, eventsSlot+":call:"+callID,
		&goredis.ZRangeBy{Min: "(" + strconv.FormatInt(after, 10), Max: "+inf", Count: int64(n)}).Result()
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	runs, err := runsOf(ids)
	if err != nil {
		return nil, err
	}
	p := r.data.Pipeline()
	cmds := make([]*goredis.XMessageSliceCmd, 0, len(runs))
	for _, run := range runs {
		cmds = append(cmds, p.XRange(ctx, eventsSlot+":log", strconv.FormatInt(run.first, 10)+"-0", strconv.FormatInt(run.last, 10)+"-0"))
	}
	if _, err := p.Exec(ctx); err != nil {
		return nil, err
	}
	evs := make([]store.Event, 0, len(ids))
	for _, cmd := range cmds {
		some, err := decodeEvents(cmd.Val())
		if err != nil {
			return nil, err
		}
		for i := range some {
			if some[i].CallID == callID {
				evs = append(evs, some[i])
			}
		}
	}
	return evs, nil
}

// run is a part of the log.
type run struct{ first, last int64 }

// runGap is how far apart events of a call may lie and still be read at once:
// to find a place in the log costs more than to pass over a few events of
// others.
const runGap = 8

// runsOf returns the parts of the log, as few as make sense, in which ids are
// that ascend.
func runsOf(ids []string) ([]run, error) {
	var runs []run
	for _, id := range ids {
		n, err := strconv.ParseInt(id, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is no number of an event: %w", id, err)
		}
		if last := len(runs) - 1; last >= 0 && n-runs[last].last <= runGap {
			runs[last].last = n
		} else {
			runs = append(runs, run{n, n})
		}
	}
	return runs, nil
}

func decodeEvents(entries []goredis.XMessage) ([]store.Event, error) {
	var evs []store.Event
	for _, entry := range entries {
		n, err := eventNumber(entry.ID)
		if err != nil {
			return nil, err
		}
		e := store.Event{ID: store.EventID(n)}
		e.CallID, _ = entry.Values["c"].(string)
		e.Type, _ = entry.Values["t"].(string)
		at, _ := entry.Values["a"].(string)
		nanos, err := strconv.ParseInt(at, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("event %s has no time: %w", e.ID, err)
		}
		e.At = store.FromNanos(nanos)
		if data, _ := entry.Values["d"].(string); data != "" {
			e.Data = []byte(data)
		}
		evs = append(evs, e)
	}
	return evs, nil
}

// eventNumber reads the number of an entry of the log.
func eventNumber(id string) (int64, error) {
	number, zero, _ := strings.Cut(id, "-")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n <= 0 || zero != "0" {
		return 0, fmt.Errorf("%q is no entry of the log", id)
	}
	return n, nil
}

// lastEvent returns the id of the newest event. Where there is none it is one
// that comes before all that will be.
func (r *remote) lastEvent(ctx context.Context) (string, error) {
	n, err := within(ctx, r, func(ctx context.Context) (int64, error) {
		newest, err := r.data.XRevRangeN(ctx, eventsSlot+":log", "+", "-", 1).Result()
		if err != nil {
			return 0, err
		}
		if len(newest) > 0 {
			return eventNumber(newest[0].ID)
		}
		n, err := r.data.Get(ctx, eventsSlot+":last").Int64()
		return n, missing(err)
	})
	if err != nil {
		return "", fmt.Errorf("find the last event: %w", err)
	}
	return store.EventID(n), nil
}

// followFor is how long follow waits.
const followFor = 30 * time.Second

// follow waits until there are events behind the one with the id after, at most
// half a minute, and reports whether there are. It has a connection of its own,
// so that one may follow at a time.
func (r *remote) follow(ctx context.Context, after string) (grown bool, err error) {
	n, err := store.ParseEventID(after)
	if err != nil {
		return false, fmt.Errorf("follow events: %w", err)
	}
	grown, err = within(ctx, r, func(ctx context.Context) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, followFor+time.Second)
		defer cancel()
		found, err := r.blocked.XRead(ctx, &goredis.XReadArgs{
			Streams: []string{eventsSlot + ":log", strconv.FormatInt(n, 10) + "-0"}, Count: 1, Block: followFor,
		}).Result()
		if errors.Is(err, goredis.Nil) {
			return false, nil
		}
		return len(found) > 0, err
	})
	if err != nil {
		return false, fmt.Errorf("follow events: %w", err)
	}
	return grown, nil
}
