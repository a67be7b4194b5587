package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"perezvon/internal/store"
)

// CreateCall stores a new call with its events, under the rules of its
// admission, which hold across all nodes: Redis is asked first and this node's
// own records then, for callLimit each at most. When CreateCall returns without
// an error the call is durable here, and in Redis as well unless its Durability
// is store.DurabilityLocal: Redis was away, and the rules have been those of
// what this node knows. A duplicate is that while something that this node has
// stored waits for Redis.
//
// Errors and duplicates are those of sqlite.DB.CreateCall.
func (d *DB) CreateCall(ctx context.Context, c store.Call, adm store.Admission, evs ...store.Event) (store.Call, bool, error) {
	if d.closed.Load() {
		return store.Call{}, false, fmt.Errorf("create call: %w", store.ErrClosed)
	}
	if err := context.Cause(ctx); err != nil {
		return store.Call{}, false, fmt.Errorf("create call: %w", err)
	}
	existing, err := d.admit(ctx, c, adm)
	asked := !errors.Is(err, store.ErrAway)
	switch {
	case err != nil && asked:
		return store.Call{}, false, fmt.Errorf("create call: %w", err)
	case existing != nil:
		return *existing, true, nil
	}
	stored, duplicate, err := d.spool.CreateCall(ctx, c, adm, evs...)
	if err != nil || duplicate {
		if asked && (err == nil || d.absent(ctx, c.ID)) {
			d.retract(ctx, c.ID, c, adm)
		}
	}
	if err != nil {
		return stored, duplicate, err
	}
	// A call that was there before may be in Redis; a new one that Redis was not
	// asked about is told as it was decided.
	if (!asked && !duplicate) || d.shipper.wait(ctx, callLimit) != nil {
		stored.Durability = store.DurabilityLocal
	}
	return stored, duplicate, nil
}

// admit asks Redis whether the call may be created. A duplicate is told as it
// is now. Of a call of our own this node knows better than Redis whether it is
// still open: what was saved before is carried there and Redis asked again. So
// it is where the record of the other call is still on its way; one that does
// not come in time has never come to be.
func (d *DB) admit(ctx context.Context, c store.Call, adm store.Admission) (*store.Call, error) {
	settled := false
	for began := time.Now(); ; {
		existing, err := d.ask(ctx, c, adm)
		if err != nil || existing == nil {
			return nil, err
		}
		arrived := existing.Kind != ""
		own, err := d.spool.Call(ctx, existing.ID)
		switch {
		case err == nil && settled && arrived:
			return &own, d.keepKey(ctx, adm.Key, own.ID)
		case errors.Is(err, store.ErrNotFound) && arrived:
			return existing, nil // it is another node's, or of long ago
		case err != nil && !errors.Is(err, store.ErrNotFound):
			return nil, err
		}
		if err := d.settle(ctx); err != nil {
			return nil, err
		}
		settled = true
		if arrived {
			continue
		}
		if time.Since(began) >= callLimit {
			d.retract(ctx, existing.ID, c, adm)
			began = time.Now()
		}
		pause(ctx, arrivalPause, nil)
	}
}

// keepKey ties a key to a call of this node as Redis has done, so that it holds
// while Redis is away.
func (d *DB) keepKey(ctx context.Context, key *store.Key, callID string) error {
	if key == nil {
		return nil
	}
	return d.spool.KeepKey(ctx, *key, callID)
}

// arrivalPause lies between two looks whether the record of a call has come.
const arrivalPause = 5 * time.Millisecond

func (d *DB) ask(ctx context.Context, c store.Call, adm store.Admission) (existing *store.Call, err error) {
	err = d.link.ask(ctx, callLimit, func(ctx context.Context) (err error) {
		existing, _, err = d.remote.admit(ctx, c, adm)
		return err
	})
	return existing, err
}

// retract gives back in Redis what is held for a call that has not come to be.
// Where Redis does not hear of it the place is free after a while.
func (d *DB) retract(ctx context.Context, id string, c store.Call, adm store.Admission) {
	_ = d.link.ask(context.WithoutCancel(ctx), callLimit, func(ctx context.Context) error {
		return d.remote.retract(ctx, id, c, adm)
	})
}

// settle returns when what was queued before is in Redis. Where that takes
// too long it is store.ErrAway: this node decides alone.
func (d *DB) settle(ctx context.Context) error {
	if err := d.spool.Ping(ctx); err != nil { // goes the way of all writes
		return err
	}
	err := d.shipper.wait(ctx, callLimit)
	if errors.Is(err, errSlow) {
		return away(err)
	}
	return err
}

// absent reports whether this node has no such call, also not in its queue.
func (d *DB) absent(ctx context.Context, id string) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readLimit)
	defer cancel()
	if d.spool.Ping(ctx) != nil {
		return false
	}
	_, err := d.spool.Call(ctx, id)
	return errors.Is(err, store.ErrNotFound)
}
