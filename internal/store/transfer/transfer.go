// Package transfer moves whole stores: from one engine into another, into a
// file and back, and compares what has arrived.
package transfer

import (
	"context"
	"encoding/json"
	"time"

	"perezvon/internal/store"
)

// Source yields everything that a store holds: counters, records, and all events
// in their order. Parts of one call's trace come one behind the other, and jobs
// in the order in which they joined their lanes.
type Source interface {
	Export(ctx context.Context, yield func(store.Change) error) error
}

// Target is an empty store, which takes what a Source yields, part by part. The
// first part, and one with nothing in it, is store.ErrNotEmpty where it holds
// anything.
type Target interface {
	Source
	Import(ctx context.Context, batch []store.Change) error
}

// Bounds of one part of a copy.
const (
	batchChanges = 500
	batchBytes   = 1 << 20 // of their data, about
)

// soon is how long what is still to be compared must be kept at least: no copy
// takes longer than that, it is hoped.
const soon = time.Hour

// Copy moves everything from one store into another that is empty and returns
// the tally of what it moved. now is the time; what has run out by then is left
// behind, such as an idempotency key of yesterday.
func Copy(ctx context.Context, from Source, to Target, now time.Time) (*Tally, error) {
	t := newTally(now)
	if err := to.Import(ctx, nil); err != nil {
		return nil, err
	}
	var batch []store.Change
	size := 0
	flush := func() error {
		err := to.Import(ctx, batch)
		batch, size = batch[:0], 0
		return err
	}
	err := from.Export(ctx, func(ch store.Change) error {
		if ends, ok := end(ch); ok && !ends.After(now) {
			return nil
		}
		if err := t.add(ch); err != nil {
			return err
		}
		batch = append(batch, ch)
		if size += sizeOf(ch); len(batch) < batchChanges && size < batchBytes {
			return nil
		}
		return flush()
	})
	if err == nil && len(batch) > 0 {
		err = flush()
	}
	return t, err
}

// clocked is a source whose counter of fences is a clock: it grows while nothing
// happens, and what a copy must not be behind is the fence that was given last.
type clocked interface {
	LastFence(ctx context.Context) (int64, error)
}

// Take returns the tally of a store. now is the time that Copy was told, or the
// same for two stores that are compared.
func Take(ctx context.Context, from Source, now time.Time) (*Tally, error) {
	t := newTally(now)
	if err := from.Export(ctx, t.add); err != nil {
		return nil, err
	}
	c, ok := from.(clocked)
	if !ok {
		return t, nil
	}
	given, err := c.LastFence(ctx)
	t.given[store.CounterFence] = given
	return t, err
}

func sizeOf(ch store.Change) int {
	size := len(ch.Data)
	for i := range ch.Events {
		size += len(ch.Events[i].Data) + 100
	}
	return size
}

// keepKeys is how long idempotency keys are remembered.
const keepKeys = 24 * time.Hour

// end says when a record runs out by itself, if it does.
func end(ch store.Change) (time.Time, bool) {
	switch ch.Type {
	case store.ChangeKey:
		k, err := decode[store.KeyUse](ch)
		return k.CreatedAt.Add(keepKeys), err == nil
	case store.ChangeCount:
		c, err := decode[store.CountStep](ch)
		return time.UnixMilli(c.Until), err == nil
	case store.ChangePause:
		p, err := decode[store.PauseUntil](ch)
		return p.Until, err == nil
	case store.ChangeRate:
		r, err := decode[store.RateUse](ch)
		return r.Full, err == nil
	case store.ChangeJob:
		j, err := decode[store.Job](ch)
		switch j.State {
		case store.JobDone:
			return j.Until.Add(store.KeepDone), err == nil
		case store.JobDead:
			return j.Until.Add(store.KeepDead), err == nil
		}
	}
	return time.Time{}, false
}

func decode[T any](ch store.Change) (v T, err error) {
	err = json.Unmarshal(ch.Data, &v)
	return v, err
}
