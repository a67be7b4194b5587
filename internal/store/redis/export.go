package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"perezvon/internal/store"
)

// exportAtOnce is how many records are read in one go.
const exportAtOnce = 200

// export yields everything that is shared: the counters, then the records of
// each kind, then all events in their order with the ids that they have. What
// changes meanwhile may be among it or not. Leases are of who runs now and stay.
// What yield returns ends it.
func (r *remote) export(ctx context.Context, yield func(store.Change) error) error {
	for _, part := range []func(context.Context, func(store.Change) error) error{
		r.exportCounters, r.exportCalls, r.exportTables, r.exportKeys, r.exportDomains, r.exportEvents,
	} {
		if err := part(ctx, yield); err != nil {
			return fmt.Errorf("export: %w", err)
		}
	}
	return nil
}

func (r *remote) exportCounters(ctx context.Context, yield func(store.Change) error) error {
	last, err := within(ctx, r, func(ctx context.Context) (int64, error) {
		n, err := r.data.Get(ctx, eventsSlot+":last").Int64()
		return n, missing(err)
	})
	if err != nil {
		return err
	}
	// Fences grow with the clock; those of leases that are forgotten were smaller.
	now, err := within(ctx, r, func(ctx context.Context) (time.Time, error) { return r.data.Time(ctx).Result() })
	if err != nil {
		return err
	}
	fence, err := r.lastFence(ctx)
	if err != nil {
		return err
	}
	fence = max(fence, now.UnixMicro())
	for _, counter := range []struct {
		name  string
		value int64
	}{{store.CounterFence, fence}, {store.CounterEvents, last}} {
		ch := store.Change{Type: store.ChangeCounter, ID: counter.name, Data: strconv.AppendInt(nil, counter.value, 10)}
		if err := yield(ch); err != nil {
			return err
		}
	}
	return nil
}

// lastFence returns the greatest fence of a lease that is not forgotten, which it
// is a day after its end; 0 where there is none.
func (r *remote) lastFence(ctx context.Context) (fence int64, err error) {
	names, err := r.keys(ctx, leaseSlot("")[:len(leaseSlot(""))-1])
	if err != nil {
		return 0, err
	}
	err = r.eachHash(ctx, names, func(_ string, lease map[string]string) error {
		n, err := strconv.ParseInt(lease["fence"], 10, 64)
		fence = max(fence, n)
		return err
	})
	return fence, err
}

// exportCalls yields calls, each with its trace behind it.
func (r *remote) exportCalls(ctx context.Context, yield func(store.Change) error) error {
	for first := "-"; ; {
		members, calls, err := r.someCalls(ctx, first, "+")
		if err != nil || len(members) == 0 {
			return err
		}
		for i := range calls {
			data, err := calls[i].AppendJSON(nil)
			if err != nil {
				return err
			}
			if err := yield(store.Change{Type: store.ChangeCall, ID: calls[i].ID, Data: data}); err != nil {
				return err
			}
			parts, err := r.traces(ctx, calls[i].ID)
			if err != nil {
				return err
			}
			for _, part := range parts {
				if err := yieldJSON(yield, store.ChangeTrace, part.CallID, part); err != nil {
					return err
				}
			}
		}
		first = "(" + members[len(members)-1]
	}
}

func yieldJSON(yield func(store.Change) error, t store.ChangeType, id string, record any) error {
	data, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("%s %s: %w", t, id, err)
	}
	return yield(store.Change{Type: t, ID: id, Data: data})
}

func (r *remote) exportTables(ctx context.Context, yield func(store.Change) error) error {
	for _, t := range []store.ChangeType{store.ChangeDialog, store.ChangeBinding, store.ChangeDND} {
		entries, err := r.table(ctx, t)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := yield(store.Change{Type: t, ID: e.id, Data: []byte(e.data)}); err != nil {
				return err
			}
		}
	}
	return nil
}

// exportKeys yields the uses of idempotency keys; places that are held for calls
// which are about to be are none.
func (r *remote) exportKeys(ctx context.Context, yield func(store.Change) error) error {
	const begin = prefix + "{k:"
	names, err := r.keys(ctx, begin)
	if err != nil {
		return err
	}
	return r.eachHash(ctx, names, func(key string, fields map[string]string) error {
		if fields["pending"] != "0" {
			return nil
		}
		scope, value, err := parseKeySlot(key)
		if err != nil {
			return err
		}
		at, err := strconv.ParseInt(fields["at"], 10, 64)
		if err != nil {
			return fmt.Errorf("key of call %s: %w", fields["call"], err)
		}
		return yieldJSON(yield, store.ChangeKey, store.KeyID(scope, value),
			store.KeyUse{Scope: scope, Value: value, Hash: fields["hash"], CallID: fields["call"], CreatedAt: fromMicros(at)})
	})
}

func (r *remote) exportEvents(ctx context.Context, yield func(store.Change) error) error {
	for after := ""; ; {
		evs, next, err := r.events(ctx, store.EventFilter{After: after, Limit: exportAtOnce})
		if err != nil || len(evs) == 0 {
			return err
		}
		if err := yield(store.Change{Type: store.ChangeEvents, Events: evs}); err != nil {
			return err
		}
		if after = next; next == "" {
			return nil
		}
	}
}

// keys returns the keys that begin with a text, sorted, from all nodes of a
// cluster. It looks at all keys there are, some at a time.
func (r *remote) keys(ctx context.Context, begin string) ([]string, error) {
	return within(ctx, r, func(ctx context.Context) ([]string, error) {
		var mu sync.Mutex
		found := make(map[string]bool)
		scan := func(ctx context.Context, c goredis.Cmdable) error {
			all := c.Scan(ctx, 0, begin+"*", 1000).Iterator()
			for all.Next(ctx) {
				mu.Lock()
				found[all.Val()] = true
				mu.Unlock()
			}
			return all.Err()
		}
		var err error
		if cluster, ok := r.data.(*goredis.ClusterClient); ok {
			err = cluster.ForEachMaster(ctx, func(ctx context.Context, c *goredis.Client) error { return scan(ctx, c) })
		} else {
			err = scan(ctx, r.data)
		}
		return slices.Sorted(maps.Keys(found)), err
	})
}

// eachHash reads the hashes under keys, some at a time.
func (r *remote) eachHash(ctx context.Context, keys []string, f func(key string, fields map[string]string) error) error {
	for some := range slices.Chunk(keys, exportAtOnce) {
		hashes, err := within(ctx, r, func(ctx context.Context) ([]map[string]string, error) { return r.hashes(ctx, some) })
		if err != nil {
			return err
		}
		for i, fields := range hashes {
			if len(fields) == 0 {
				continue // its time is over
			}
			if err := f(some[i], fields); err != nil {
				return err
			}
		}
	}
	return nil
}

// hashes reads the hashes under keys, nil for what is not there.
func (r *remote) hashes(ctx context.Context, keys []string) ([]map[string]string, error) {
	p := r.data.Pipeline()
	cmds := make([]*goredis.MapStringStringCmd, 0, len(keys))
	for _, key := range keys {
		cmds = append(cmds, p.HGetAll(ctx, key))
	}
	if _, err := p.Exec(ctx); err != nil {
		return nil, err
	}
	all := make([]map[string]string, 0, len(keys))
	for _, cmd := range cmds {
		all = append(all, cmd.Val())
	}
	return all, nil
}
