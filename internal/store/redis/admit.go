package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"perezvon/internal/store"
)

// holdPlace is how long a call that was admitted may take to arrive. One that
// has not by then has never come to be, its node having died meanwhile, and
// makes room.
const holdPlace = 30 * time.Second

// tries bounds how often admit begins anew because what it found had gone.
const tries = 5

// admit asks whether a call may be created: whether its key was not used, no
// callback to its line and number is open, and the number had not too many
// calls. Errors and duplicates are those of CreateCall. Where it may, a place
// is held for it until the call was shipped, undo was called or 30 seconds have
// passed; undo is never nil and may be called at any time, also twice.
//
// existing is the call of which c is a duplicate. Where nothing but its ID is
// set its record has not arrived: its node is about to ship it, or died before
// it was created. Who knows that it never came to be calls retract for it.
func (r *remote) admit(ctx context.Context, c store.Call, adm store.Admission) (existing *store.Call, undo func(context.Context) error, err error) {
	undo = func(ctx context.Context) error { return r.retract(ctx, c.ID, c, adm) }
	if c.ID == "" {
		return nil, undo, errors.New("admit call: call without an id")
	}
	existing, err = within(ctx, r, func(ctx context.Context) (*store.Call, error) {
		for range tries {
			existing, again, err := r.admitOnce(ctx, &c, &adm)
			if err != nil || !again {
				return existing, err
			}
		}
		return nil, errors.New("what was found was gone each time")
	})
	if err != nil {
		return nil, undo, fmt.Errorf("admit call: %w", err)
	}
	return existing, undo, nil
}

func (r *remote) admitOnce(ctx context.Context, c *store.Call, adm *store.Admission) (existing *store.Call, again bool, err error) {
	if adm.Key != nil {
		existing, again, err = r.admitKey(ctx, c, adm.Key)
		if existing != nil || again || err != nil {
			return existing, again, err
		}
	}
	if c.Number == "" {
		return nil, false, nil
	}
	existing, again, err = r.admitNumber(ctx, c, adm.PerNumber)
	if adm.Key == nil {
		return existing, again, err
	}
	slot := keySlot(adm.Key.Scope, adm.Key.Value)
	switch {
	case err != nil:
		// The key was not used, as far as its place is held.
		return nil, false, errors.Join(err, r.run(ctx, "admit_forget_key", slot, c.ID, "1").Err())
	case existing != nil:
		err = r.run(ctx, "admit_tie", slot, c.ID, existing.ID).Err()
	}
	return existing, again, err
}

// admitKey reserves the key, or finds the call that has it.
func (r *remote) admitKey(ctx context.Context, c *store.Call, key *store.Key) (existing *store.Call, again bool, err error) {
	slot := keySlot(key.Scope, key.Value)
	answer, err := r.run(ctx, "admit_key", slot, key.Hash, c.ID, holdPlace.Milliseconds(), keepKeys.Milliseconds()).Text()
	switch {
	case err != nil || answer == "reserved":
		return nil, false, err
	case answer == "reused":
		return nil, false, store.ErrKeyReused
	}
	id := answer[1:]
	existing, err = r.lookUp(ctx, id)
	if err != nil || existing != nil {
		return existing, false, err
	}
	if answer[0] == '?' {
		return &store.Call{ID: id}, false, nil
	}
	return nil, true, r.run(ctx, "admit_forget_key", slot, id, "0").Err() // the call has served its time
}

// admitNumber holds a place, or finds the open callback to the same line.
func (r *remote) admitNumber(ctx context.Context, c *store.Call, limit store.Limit) (existing *store.Call, again bool, err error) {
	slot := numberSlot(c.Number)
	answer, err := r.run(ctx, "admit_number", slot, c.ID, timeText(c.CreatedAt), c.Line, flag(c.Kind == store.KindCallback), flag(asked(c.Kind)),
		max(0, limit.Count), timeText(limit.Since), holdPlace.Milliseconds(), int64((keepMade + 24*time.Hour).Seconds())).Text()
	switch {
	case err != nil || answer == "admitted":
		return nil, false, err
	case answer == "many":
		return nil, false, store.ErrTooMany
	}
	id := answer[1:]
	existing, err = r.lookUp(ctx, id)
	switch {
	case err != nil:
		return nil, false, err
	case existing != nil && existing.Kind == store.KindCallback && existing.State != store.StateEnded &&
		existing.Number == c.Number && existing.Line == c.Line:
		return existing, false, nil
	case existing == nil && answer[0] == '?':
		return &store.Call{ID: id}, false, nil
	}
	// The record decides, and it is not what is said of it here.
	return nil, true, r.run(ctx, "admit_forget_number", slot, id, "0").Err()
}

// lookUp returns a call, nil where there is none.
func (r *remote) lookUp(ctx context.Context, id string) (*store.Call, error) {
	data, err := r.data.HGet(ctx, callSlot(id)+":record", "d").Bytes()
	if missing(err) != nil || data == nil {
		return nil, missing(err)
	}
	c, err := decodeCall(data)
	return &c, err
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// retract gives back what is held for the call id that was to be created as c
// under adm, by whomever: it has never come to be. What was shipped of it
// meanwhile stays.
func (r *remote) retract(ctx context.Context, id string, c store.Call, adm store.Admission) error {
	var steps []step
	if adm.Key != nil {
		steps = append(steps, step{"admit_forget_key", keySlot(adm.Key.Scope, adm.Key.Value), []any{id, "1"}})
	}
	if c.Number != "" {
		steps = append(steps, step{"admit_forget_number", numberSlot(c.Number), []any{id, "1"}})
	}
	if len(steps) == 0 {
		return nil
	}
	_, err := within(ctx, r, func(ctx context.Context) (struct{}, error) {
		_, err := r.runAll(ctx, steps)
		return struct{}{}, err
	})
	if err != nil {
		return fmt.Errorf("retract call %s: %w", id, err)
	}
	return nil
}
