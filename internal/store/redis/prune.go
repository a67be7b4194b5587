package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"perezvon/internal/store"
)

// Idempotency keys and leases go by themselves when their time is over. What is
// removed here is removed a little at a time, so that nobody waits for it.
const pruneCalls = 50

// pruneEnded removes the calls that ended before a time, each with its events
// and its trace, and returns how many. An open call stays.
func (r *remote) pruneEnded(ctx context.Context, before time.Time) (removed int, err error) {
	err = r.eachEnded(ctx, before, func(ids []string) error {
		steps := make([]step, 0, len(ids)+2)
		index, events := []any{"", 0}, []any{}
		for _, id := range ids {
			steps = append(steps, step{"ship_call", callSlot(id), []any{"", 0, "r", 0, "", ""}})
			index, events = append(index, 0, id, ""), append(events, id)
		}
		// The index comes last: what leads to a call goes when nothing is left.
		steps = append(steps, step{"forget_events", eventsSlot, events}, step{"ship_index", indexSlot, index})
		_, err := within(ctx, r, func(ctx context.Context) ([]*goredis.Cmd, error) { return r.runAll(ctx, steps) })
		if err == nil {
			removed += len(ids)
		}
		return err
	})
	if err != nil {
		return removed, fmt.Errorf("prune calls: %w", err)
	}
	return removed, nil
}

// eachEnded calls f with the ids of the calls that ended before a time, some at
// a time.
func (r *remote) eachEnded(ctx context.Context, before time.Time, f func(ids []string) error) error {
	if before.IsZero() {
		return nil
	}
	for first, last := "-", "("+timeText(before); ; {
		members, calls, err := r.someCalls(ctx, first, last)
		if err != nil || len(members) == 0 {
			return err
		}
		var ids []string
		for i := range calls {
			ended := calls[i].CreatedAt // where a record lacks its end
			if calls[i].EndedAt != nil {
				ended = *calls[i].EndedAt
			}
			if calls[i].State == store.StateEnded && ended.Before(before) {
				ids = append(ids, calls[i].ID)
			}
		}
		if len(ids) > 0 {
			if err := f(ids); err != nil {
				return err
			}
		}
		first = "(" + members[len(members)-1]
	}
}

// someCalls returns the oldest calls within bounds of ZRANGEBYLEX, and where
// they stand.
func (r *remote) someCalls(ctx context.Context, first, last string) (members []string, calls []store.Call, err error) {
	type some struct {
		members []string
		calls   []store.Call
	}
	s, err := within(ctx, r, func(ctx context.Context) (s some, err error) {
		s.members, err = r.data.ZRangeByLex(ctx, indexSlot+":all", &goredis.ZRangeBy{Min: first, Max: last, Count: pruneCalls}).Result()
		if err == nil {
			s.calls, err = r.records(ctx, s.members)
		}
		return s, err
	})
	return s.members, s.calls, err
}

// pruneEvents removes the events of no call from before a time, and returns how
// many. They are about in the order of their times: it ends where none is older
// any more.
func (r *remote) pruneEvents(ctx context.Context, before time.Time) (removed int, err error) {
	err = r.eachLoose(ctx, before, func(ids []any) error {
		n, err := within(ctx, r, func(ctx context.Context) (int, error) {
			return r.run(ctx, "forget_loose", eventsSlot, ids...).Int()
		})
		removed += n
		return err
	})
	if err != nil {
		return removed, fmt.Errorf("prune events: %w", err)
	}
	return removed, nil
}

// eachLoose calls f with the numbers of events of no call from before a time,
// some at a time.
func (r *remote) eachLoose(ctx context.Context, before time.Time, f func(numbers []any) error) error {
	if before.IsZero() {
		return nil
	}
	for after := int64(0); ; {
		evs, err := within(ctx, r, func(ctx context.Context) ([]store.Event, error) { return r.eventsOf(ctx, "", after, lookAt) })
		if err != nil {
			return err
		}
		var old []any
		for i := range evs {
			n, err := store.ParseEventID(evs[i].ID)
			if err != nil {
				return err
			}
			after = n
			if evs[i].At.Before(before) {
				old = append(old, strconv.FormatInt(n, 10))
			}
		}
		if len(old) == 0 {
			return nil
		}
		if err := f(old); err != nil {
			return err
		}
	}
}

// pruneTraces forgets traces that were saved before a time, and returns how many
// parts.
func (r *remote) pruneTraces(ctx context.Context, before time.Time) (removed int, err error) {
	text := timeText(before)
	type some struct{ members, parts int }
	for {
		s, err := within(ctx, r, func(ctx context.Context) (s some, err error) {
			members, err := r.data.ZRangeByLex(ctx, indexSlot+":traces", &goredis.ZRangeBy{Min: "-", Max: "(" + text, Count: pruneCalls}).Result()
			if err != nil {
				return s, err
			}
			s.members = len(members)
			places, steps, seen := []any{"traces"}, []step{}, make(map[string]bool)
			for _, member := range members {
				places = append(places, member)
				if _, id := parsePlace(member); !seen[id] {
					seen[id] = true
					steps = append(steps, step{"forget_traces", callSlot(id), []any{text}})
				}
			}
			cmds, err := r.runAll(ctx, append(steps, step{"forget_places", indexSlot, places}))
			for i := range cmds[:min(len(steps), len(cmds))] {
				n, _ := cmds[i].Int() // where it failed, err says so
				s.parts += n
			}
			return s, err
		})
		removed += s.parts
		if err != nil {
			return removed, fmt.Errorf("prune traces: %w", err)
		}
		if s.members == 0 {
			return removed, nil
		}
	}
}

// expired counts what pruneEnded, pruneEvents and pruneTraces would remove.
func (r *remote) expired(ctx context.Context, e store.Expiry) (n store.Expired, err error) {
	old := "(" + timeText(e.Traces)
	calls := make(map[string]bool)
	err1 := r.eachEnded(ctx, e.Calls, func(ids []string) error {
		for _, id := range ids {
			calls[id] = true
		}
		return nil
	})
	err2 := r.eachLoose(ctx, e.Events, func(numbers []any) error {
		n.Events += len(numbers)
		return nil
	})
	_, err3 := within(ctx, r, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, r.walk(ctx, "traces", old, func(members []string) error {
			for _, member := range members {
				if _, id := parsePlace(member); !calls[id] {
					n.Traces++
				}
			}
			return nil
		})
	})
	if err := errors.Join(err1, err2, err3); err != nil {
		return store.Expired{}, fmt.Errorf("count what has expired: %w", err)
	}
	n.Calls = len(calls)
	return n, nil
}
