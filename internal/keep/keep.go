// Package keep removes what has been kept for long enough: recordings, calls
// with their timelines, events and traces.
//
// A process that dies in between leaves nothing behind that the next round
// would not find: the record says that a recording is gone before its file
// goes, and what no record speaks of any more is found in the folder.
package keep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"perezvon/internal/store"
)

// Records are what is read to know what has served its time. *sqlite.DB and
// *sqlite.Reader are such.
type Records interface {
	Call(ctx context.Context, id string) (store.Call, error)
	Expired(ctx context.Context, e store.Expiry) (store.Expired, error)
}

// Store is what things are removed from. *sqlite.DB is one.
type Store interface {
	Records
	SaveCall(c store.Call, evs ...store.Event) *store.Commit
	Prune(ctx context.Context) error
	PruneCalls(ctx context.Context, before time.Time) (removed int, err error)
	PruneEvents(ctx context.Context, before time.Time) (removed int, err error)
	PruneTraces(ctx context.Context, before time.Time) error
}

// Times are how long things are kept after the end of the call they belong to,
// or after they happened. Zero: without an end; of traces: not at all.
type Times struct {
	Recordings time.Duration // not longer than Calls, or files stay that no record speaks of
	Calls      time.Duration
	Events     time.Duration // of no call
	Traces     time.Duration
}

// expiry is when the times are over.
func (t Times) expiry(now time.Time) store.Expiry {
	return store.Expiry{Calls: over(now, t.Calls), Events: over(now, t.Events), Traces: now.Add(-t.Traces)}
}

// over is what must have been before for its time to be over; the zero time:
// nothing is.
func over(now time.Time, keep time.Duration) (before time.Time) {
	if keep > 0 {
		before = now.Add(-keep)
	}
	return before
}

// Report is what a round has removed, or would remove. Of traces that are
// removed without their calls only Plan tells.
type Report struct {
	store.Expired
	Recordings int   `json:"recordings"` // files
	Bytes      int64 `json:"bytes"`      // of these files
}

// Plan counts what a round would remove now. Dir is the recordings' folder.
func Plan(ctx context.Context, records Records, dir string, t Times) (Report, error) {
	var r Report
	now := time.Now()
	s, err := oldSounds(records, dir, over(now, t.Recordings))
	if s != nil {
		err = errors.Join(s.each(ctx, func(one sound) error {
			r.Recordings++
			r.Bytes += one.bytes
			return nil
		}), s.close())
	}
	var failed error
	r.Expired, failed = records.Expired(ctx, t.expiry(now))
	return r, errors.Join(err, failed)
}

// Round removes what has served its time by now. What cannot be removed stays,
// the rest goes nevertheless. The log is told what went.
func Round(ctx context.Context, s Store, dir string, t Times, log *slog.Logger) (Report, error) {
	var r Report
	now := time.Now()
	e := t.expiry(now)
	errs := []error{s.Prune(ctx), removeSounds(ctx, s, dir, over(now, t.Recordings), &r)}
	var err error
	if t.Calls > 0 {
		r.Calls, err = s.PruneCalls(ctx, e.Calls)
		errs = append(errs, err)
	}
	if t.Events > 0 {
		r.Events, err = s.PruneEvents(ctx, e.Events)
		errs = append(errs, err)
	}
	errs = append(errs, s.PruneTraces(ctx, e.Traces))
	if r != (Report{}) {
		log.Info("removed what has been kept for long enough",
			"calls", r.Calls, "recordings", r.Recordings, "bytes", r.Bytes, "events", r.Events)
	}
	if err := errors.Join(errs...); err != nil {
		return r, fmt.Errorf("remove what has been kept for long enough: %w", err)
	}
	return r, nil
}
