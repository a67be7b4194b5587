package sqlite

import (
	"context"
	"fmt"
	"time"

	"perezvon/internal/store"
)

// stepOp is a write that a function does. It may run again in another
// transaction. Its first result is a refusal that wrote nothing.
type stepOp struct {
	pending
	step func(t *conn) (refused, err error)
}

func (o *stepOp) apply(t *conn) (err error) {
	o.refused, err = o.step(t)
	return err
}

// step runs a write and waits until it is durable, refused or has failed. what
// says in errors what it is for.
func (d *DB) step(ctx context.Context, what string, f func(t *conn) (refused, err error)) error {
	if err := d.writer.do(ctx, &stepOp{newPending(), f}); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// fromMillis is the time, in UTC, of which Time.UnixMilli gives ms; the zero
// time where that is zero.
func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

const (
	deleteCounts = `DELETE FROM counts WHERE (name, until_ms) IN (SELECT name, until_ms FROM counts WHERE until_ms <= ? LIMIT ?)`
	deleteRates  = `DELETE FROM rates WHERE (scope, name) IN (SELECT scope, name FROM rates WHERE full_us <= ? LIMIT ?)`
	endedJobs    = `SELECT seq FROM jobs WHERE state IN ('done', 'dead') AND until_ms <= ?`
	deleteDead   = `DELETE FROM jobs WHERE seq IN (` + endedJobs + ` LIMIT ?)`
	deleteDone   = `DELETE FROM jobs WHERE seq IN (` + endedJobs + ` AND +state = 'done' LIMIT ?)`
)

// pruneDomains forgets counts whose window is over, rates that are as if nobody
// had taken anything, and jobs that ended long ago.
func (d *DB) pruneDomains(ctx context.Context, now time.Time) error {
	for _, old := range []struct {
		query string
		until int64
	}{
		{deleteCounts, now.UnixMilli()},
		{deleteRates, now.UnixMicro()},
		{deleteDone, now.Add(-store.KeepDone).UnixMilli()},
		{deleteDead, now.Add(-store.KeepDead).UnixMilli()},
	} {
		if err := d.pruneAll(ctx, old.query, old.until); err != nil {
			return err
		}
	}
	return nil
}
