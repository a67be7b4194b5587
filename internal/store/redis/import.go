package redis

import (
	"context"
	"fmt"
	"strconv"

	"perezvon/internal/store"
)

// importAll stores a part of what an engine has exported, events with the ids
// that they had, and their parts in the order in which they came. A part may be
// stored again. Fences are not carried over: they grow with the clock, and are
// greater than those of any engine that counts.
func (r *remote) importAll(ctx context.Context, batch []store.Change) error {
	for len(batch) > 0 {
		n := chunk(batch)
		if err := r.shipChunk(ctx, "", batch[:n]); err != nil {
			return fmt.Errorf("import: %w", err)
		}
		batch = batch[n:]
	}
	return nil
}

// empty reports whether there is no record and no event. Counters and leases
// are neither.
func (r *remote) empty(ctx context.Context) (bool, error) {
	found, err := within(ctx, r, func(ctx context.Context) (int64, error) {
		calls, err := r.data.ZCard(ctx, indexSlot+":all").Result()
		if err != nil || calls > 0 {
			return calls, err
		}
		traces, err := r.data.ZCard(ctx, indexSlot+":traces").Result()
		if err != nil || traces > 0 {
			return traces, err
		}
		events, err := r.data.XLen(ctx, eventsSlot+":log").Result()
		if err != nil || events > 0 {
			return events, err
		}
		for _, t := range []store.ChangeType{store.ChangeDialog, store.ChangeBinding, store.ChangeDND} {
			records, err := r.data.HLen(ctx, tableSlot(t)+":records").Result()
			if err != nil || records > 0 {
				return records, err
			}
		}
		kinds, err := r.data.SCard(ctx, jobKinds).Result()
		if err != nil || kinds > 0 {
			return kinds, err
		}
		return r.data.ZCard(ctx, blocksSlot+":blocked").Result()
	})
	if err != nil {
		return false, fmt.Errorf("look whether the store is empty: %w", err)
	}
	return found == 0, nil
}

// counter takes a counter of an export.
func (p *plan) counter(ch *store.Change) error {
	n, err := strconv.ParseInt(string(ch.Data), 10, 64)
	if err == nil && ch.ID == store.CounterEvents {
		p.floor = max(p.floor, n)
	}
	return err
}

// importEvents takes events of an export.
func (p *plan) importEvents(ch *store.Change) error {
	for i := range ch.Events {
		e := &ch.Events[i]
		n, err := store.ParseEventID(e.ID)
		if err != nil {
			return fmt.Errorf("event %q: %w", e.ID, err)
		}
		p.events = append(p.events, n, e.CallID, e.Type, store.Nanos(e.At), []byte(e.Data))
	}
	return nil
}
