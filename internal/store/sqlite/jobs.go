package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"perezvon/internal/store"
)

// Enqueue queues a job, which joins the end of its lane, and returns at once
// like SaveCall. A job whose id its kind knows already, done or not, changes
// nothing. With an outbox the job is on its way to the shared store, and cannot
// be claimed here.
func (d *DB) Enqueue(j store.Job) *store.Commit {
	if err := j.Check(); err != nil {
		return store.Settled(fmt.Errorf("enqueue job: %w", err))
	}
	o := &enqueueOp{pending: newPending(), job: j, now: time.Now().UnixMilli()}
	o.job.Data, o.job.At = bytes.Clone(j.Data), fromMillis(o.now)
	return d.writer.post(o, o.commit)
}

type enqueueOp struct {
	pending
	job store.Job
	now int64 // milliseconds
}

func (o *enqueueOp) apply(t *conn) error {
	j := &o.job
	if t.outbox != nil { // it is claimed elsewhere, so that it has no place here
		return t.noteStep(store.ChangeJob, store.JobID(j.Kind, j.ID), j)
	}
	added, err := t.exec(`INSERT INTO jobs (kind, id, lane, state, due_ms, joined_ms, tries, cause, owner, fence, until_ms, data)
		VALUES (?, ?, ?, 'waiting', ?, ?, 0, '', '', 0, 0, CAST(? AS TEXT)) ON CONFLICT (kind, id) DO NOTHING`,
		j.Kind, j.ID, j.Lane, store.DueMillis(j.Due), o.now, []byte(j.Data))
	if err != nil {
		return fmt.Errorf("enqueue job %s: %w", j.ID, err)
	}
	if added == 0 {
		return nil
	}
	_, err = t.exec(`INSERT INTO lanes (kind, lane, due_ms) VALUES (?, ?, ?) ON CONFLICT (kind, lane) DO NOTHING`,
		j.Kind, j.Lane, max(store.DueMillis(j.Due), o.now))
	return err
}

const (
	anyDue  = `SELECT 1 FROM lanes WHERE kind = ? AND due_ms <= ? LIMIT 1`
	nextDue = `SELECT lane FROM lanes WHERE kind = ? AND due_ms <= ? ORDER BY due_ms, lane LIMIT 1`
	head    = `SELECT seq FROM jobs WHERE kind = ? AND lane = ? AND state IN ('waiting', 'claimed') ORDER BY seq LIMIT 1`
	columns = `id, kind, lane, state, due_ms, joined_ms, tries, cause, owner, fence, until_ms, data`
	claim   = `UPDATE jobs SET state = 'claimed', tries = tries + 1, owner = ?, fence = ?, until_ms = ? WHERE seq = ? RETURNING ` + columns
)

// ClaimJobs claims for owner the first job of each lane whose first one is due,
// but for up to limit lanes: those that have waited longest. A claim runs out
// after ttl; then another can have the job.
func (d *DB) ClaimJobs(ctx context.Context, owner, kind string, ttl time.Duration, limit int) ([]store.Job, error) {
	if ttl < time.Millisecond {
		return nil, errors.New("claim jobs: a claim must last longer than zero")
	}
	now := time.Now().UnixMilli()
	due, err := list(ctx, d, "claim jobs", func(scan func(...any) error) (one int, err error) {
		err = scan(&one)
		return one, err
	}, anyDue, kind, now)
	if err != nil || len(due) == 0 || limit < 1 {
		return nil, err // nothing is written for nothing
	}
	var jobs []store.Job
	err = d.step(ctx, "claim jobs", func(t *conn) (refused, err error) {
		jobs = jobs[:0]
		for len(jobs) < limit {
			j, found, err := t.claim(owner, kind, now, now+ttl.Milliseconds())
			if err != nil || !found {
				return nil, err
			}
			jobs = append(jobs, j)
		}
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	return jobs, nil
}

// claim claims one job.
func (c *conn) claim(owner, kind string, now, until int64) (j store.Job, found bool, err error) {
	var lane string
	if found, err = c.row(nextDue, []any{kind, now}, &lane); err != nil || !found {
		return j, false, err
	}
	var seq, fence int64
	if _, err = c.row(head, []any{kind, lane}, &seq); err != nil {
		return j, false, err
	}
	if _, err = c.row(`UPDATE counters SET value = value + 1 WHERE name = 'fence' RETURNING value`, nil, &fence); err != nil {
		return j, false, err
	}
	row := jobRow{}
	if found, err = c.row(claim, []any{owner, fence, until, seq}, row.columns()...); err != nil || !found {
		return j, false, errors.Join(err, c.lane(kind, lane))
	}
	return row.job(), true, c.lane(kind, lane)
}

// lane notes when the first job of a lane can be claimed.
func (c *conn) lane(kind, lane string) error {
	if _, err := c.exec(`DELETE FROM lanes WHERE kind = ? AND lane = ?`, kind, lane); err != nil {
		return err
	}
	_, err := c.exec(`INSERT INTO lanes (kind, lane, due_ms)
		SELECT kind, lane, CASE state WHEN 'claimed' THEN until_ms ELSE max(due_ms, joined_ms) END FROM jobs
		WHERE seq = (`+head+`)`, kind, lane)
	return err
}

// JobDone ends a job that was claimed. Where the claim ran out and somebody else
// has it by now, it is store.ErrHeld. A repetition is no error.
func (d *DB) JobDone(ctx context.Context, j store.Job) error {
	return d.finish(ctx, "end job", j, `state = 'done', until_ms = ?, data = NULL, cause = ''`, store.JobDone, time.Now().UnixMilli())
}

// RetryJob gives a claimed job back, to be claimed again at a time; its lane
// waits for it. The errors are those of JobDone.
func (d *DB) RetryJob(ctx context.Context, j store.Job, at time.Time, cause string) error {
	return d.finish(ctx, "retry job", j, `state = 'waiting', due_ms = ?, cause = ?, owner = '', until_ms = 0`, store.JobWaiting, store.DueMillis(at), cause)
}

// BuryJob gives a claimed job up; its lane goes on without it. The errors are
// those of JobDone.
func (d *DB) BuryJob(ctx context.Context, j store.Job, cause string) error {
	return d.finish(ctx, "bury job", j, `state = 'dead', until_ms = ?, cause = ?`, store.JobDead, time.Now().UnixMilli(), cause)
}

// finish changes a job that is claimed under j's fence.
func (d *DB) finish(ctx context.Context, what string, j store.Job, set string, to store.JobState, args ...any) error {
	return d.step(ctx, what+" "+j.ID, func(t *conn) (refused, err error) {
		changed, err := t.exec(`UPDATE jobs SET `+set+` WHERE kind = ? AND id = ? AND fence = ? AND state = 'claimed'`,
			append(append([]any(nil), args...), j.Kind, j.ID, j.Fence)...)
		if err != nil || changed > 0 {
			return nil, errors.Join(err, t.lane(j.Kind, j.Lane))
		}
		var state string
		found, err := t.row(`SELECT state FROM jobs WHERE kind = ? AND id = ? AND fence = ?`, []any{j.Kind, j.ID, j.Fence}, &state)
		if err != nil || (found && state == string(to)) {
			return nil, err
		}
		return store.ErrHeld, nil
	})
}
