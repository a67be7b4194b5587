package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"perezvon/internal/store"
)

// Export yields everything that the nodes have stored in Redis, see
// sqlite.DB.Export. What changes meanwhile comes as it was or as it is. While
// Redis is away it is store.ErrAway.
func (d *DB) Export(ctx context.Context, yield func(store.Change) error) error {
	fence, err := d.fence(ctx)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	err = d.both(ctx, func(context.Context) error { return nil }, func(ctx context.Context) error {
		return d.remote.export(ctx, func(ch store.Change) error {
			if ch.Type == store.ChangeCounter && ch.ID == store.CounterFence {
				return yield(greater(ch, fence))
			}
			return yield(ch)
		})
	})
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

// greater is the counter that is greater.
func greater(a, b store.Change) store.Change {
	if x, y := string(a.Data), string(b.Data); len(y) > len(x) || (len(y) == len(x) && y > x) {
		return b
	}
	return a
}

// fence is the greatest of a lease that this node has given, as an export of its
// file begins with it.
func (d *DB) fence(ctx context.Context) (fence store.Change, err error) {
	enough := errors.New("enough")
	err = d.spool.Export(ctx, func(ch store.Change) error {
		if fence = ch; ch.Type == store.ChangeCounter && ch.ID == store.CounterFence {
			return enough
		}
		return nil
	})
	if errors.Is(err, enough) {
		err = nil
	}
	return fence, err
}

// Import stores a part of what Export has yielded in Redis, and on this node
// what a node has to know. The first part is store.ErrNotEmpty where either
// holds anything. While Redis is away it is store.ErrAway.
func (d *DB) Import(ctx context.Context, batch []store.Change) error {
	if err := d.importPart(ctx, batch); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	return nil
}

func (d *DB) importPart(ctx context.Context, batch []store.Change) error {
	if d.closed.Load() {
		return store.ErrClosed
	}
	if !d.importing.Load() {
		if err := d.nothingThere(ctx); err != nil {
			return err
		}
	}
	own, err := ofNodes(batch)
	if err != nil {
		return err
	}
	err = d.link.ask(ctx, pruneLimit, func(ctx context.Context) error { return d.remote.importAll(ctx, batch) })
	if err != nil {
		return err
	}
	d.importing.Store(true)
	if len(own) == 0 {
		return nil
	}
	return d.spool.ImportQuietly(ctx, own)
}

// nothingThere is store.ErrNotEmpty where there is anything.
func (d *DB) nothingThere(ctx context.Context) error {
	here, err := d.spool.Empty(ctx)
	if err != nil {
		return err
	}
	there := false
	err = d.link.ask(ctx, readLimit, func(ctx context.Context) (err error) {
		there, err = d.remote.empty(ctx)
		return err
	})
	if err == nil && (!here || !there) {
		err = store.ErrNotEmpty
	}
	return err
}

var errUnknown = errors.New("a newer perezvon has written it")

// ofNodes are the records that nodes answer from their own file: open calls,
// dialogs, phones, what was said of do not disturb, keys, and the fence that
// leases must exceed. The error is about a change of any kind that cannot be
// taken.
func ofNodes(batch []store.Change) (own []store.Change, err error) {
	for i := range batch {
		needed, err := ofNode(&batch[i])
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", batch[i].Type, batch[i].ID, err)
		}
		if needed {
			own = append(own, batch[i])
		}
	}
	return own, nil
}

func ofNode(ch *store.Change) (bool, error) {
	if ch.Data == nil && ch.Type != store.ChangeEvents {
		return false, errors.New("it is empty")
	}
	switch ch.Type {
	case store.ChangeDialog, store.ChangeBinding, store.ChangeDND, store.ChangeKey:
		return true, nil
	case store.ChangeTrace, store.ChangePause, store.ChangeRate, store.ChangeBlock, store.ChangeCount, store.ChangeJob:
		return false, nil
	case store.ChangeCall:
		var head callHead
		err := json.Unmarshal(ch.Data, &head)
		return head.State != store.StateEnded, err
	case store.ChangeEvents:
		for j := range ch.Events {
			if n, err := store.ParseEventID(ch.Events[j].ID); err != nil || n == 0 {
				return false, fmt.Errorf("event %q: %w", ch.Events[j].ID, store.ErrBadCursor)
			}
		}
		return false, nil
	case store.ChangeCounter:
		if ch.ID != store.CounterFence && ch.ID != store.CounterEvents {
			return false, errUnknown
		}
		return ch.ID == store.CounterFence, nil
	}
	return false, errUnknown
}
