package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"perezvon/internal/store"
)

const (
	firstDead = `SELECT seq, kind, lane FROM jobs WHERE state = 'dead' AND `
	oneDead   = `kind = ? AND id = ?`
	allDead   = `kind = ? AND +until_ms <= ?`
)

// reviveAtOnce is how many dead jobs are revived in one write.
const reviveAtOnce = 200

// ReviveJob lets a dead job join the end of its lane again, as if it had never
// been tried. Where there is no dead job of that id it is store.ErrNotFound.
func (d *DB) ReviveJob(ctx context.Context, kind, id string) error {
	now := time.Now().UnixMilli()
	return d.step(ctx, "revive job "+id, func(t *conn) (refused, err error) {
		found, err := t.revive(now, oneDead, kind, id)
		if err == nil && !found {
			refused = store.ErrNotFound
		}
		return refused, err
	})
}

// ReviveJobs revives all dead jobs of a kind, in the order in which they joined
// their lanes, and says how many.
func (d *DB) ReviveJobs(ctx context.Context, kind string) (int, error) {
	now := time.Now().UnixMilli()
	revived := 0
	for {
		n := 0
		err := d.step(ctx, "revive jobs", func(t *conn) (refused, err error) {
			n = 0
			for range reviveAtOnce {
				// One that is given up again meanwhile is not revived again.
				if found, err := t.revive(now, allDead, kind, now); err != nil || !found {
					return nil, err
				}
				n++
			}
			return nil, nil
		})
		if err != nil {
			return revived, err
		}
		if revived += n; n < reviveAtOnce {
			return revived, nil
		}
	}
}

// revive revives the first dead job of those that a condition is true of.
func (c *conn) revive(now int64, where string, args ...any) (found bool, err error) {
	var seq int64
	var kind, lane string
	found, err = c.row(firstDead+where+` ORDER BY seq LIMIT 1`, args, &seq, &kind, &lane)
	if err != nil || !found {
		return false, err
	}
	_, err = c.exec(`UPDATE jobs SET seq = (SELECT max(seq) + 1 FROM jobs), state = 'waiting', due_ms = 0, joined_ms = ?,
		tries = 0, owner = '', until_ms = 0 WHERE seq = ?`, now, seq)
	return true, errors.Join(err, c.lane(kind, lane))
}

// Jobs returns jobs of a kind and a state in the order in which they joined
// their lanes. next is the cursor of the following page, empty after the last.
// A cursor that Jobs did not give is store.ErrBadCursor.
func (d *DB) Jobs(ctx context.Context, f store.JobFilter) (jobs []store.Job, next string, err error) {
	limit := store.PageSize(f.Limit, 50)
	var after store.CallCursor
	if f.Cursor != "" {
		if after, err = store.ParseCallCursor(f.Cursor); err != nil {
			return nil, "", fmt.Errorf("list jobs: %w", err)
		}
	}
	var places []int64
	jobs, err = list(ctx, d, "list jobs", func(scan func(...any) error) (store.Job, error) {
		var seq int64
		row := jobRow{}
		err := scan(append([]any{&seq}, row.columns()...)...)
		places = append(places, seq)
		return row.job(), err
	}, listJobs,
		f.Kind, string(f.State), after.Created, limit+1)
	if err != nil || len(jobs) <= limit {
		return jobs, "", err
	}
	return jobs[:limit:limit], store.CallCursor{Created: places[limit-1], ID: jobs[limit-1].ID}.String(), nil
}

// JobStats says how much of a kind there is to do.
func (d *DB) JobStats(ctx context.Context, kind string) (store.JobStats, error) {
	var s store.JobStats
	type count struct {
		state string
		n     int
	}
	counts, err := list(ctx, d, "count jobs", func(scan func(...any) error) (c count, err error) {
		err = scan(&c.state, &c.n)
		return c, err
	}, countJobs, kind)
	if err != nil {
		return s, err
	}
	for _, c := range counts {
		switch store.JobState(c.state) {
		case store.JobWaiting:
			s.Waiting = c.n
		case store.JobClaimed:
			s.Claimed = c.n
		case store.JobDead:
			s.Dead = c.n
		}
	}
	oldest, err := list(ctx, d, "find the oldest job", func(scan func(...any) error) (ms int64, err error) {
		err = scan(&ms)
		return ms, err
	}, oldestJobs, kind)
	for _, ms := range oldest {
		if at := fromMillis(ms); s.Oldest.IsZero() || at.Before(s.Oldest) {
			s.Oldest = at
		}
	}
	return s, err
}

const (
	listJobs  = `SELECT seq, ` + columns + ` FROM jobs WHERE kind = ? AND state = ? AND seq > ? ORDER BY seq LIMIT ?`
	countJobs = `SELECT state, count(*) FROM jobs WHERE kind = ? AND state IN ('waiting', 'claimed', 'dead') GROUP BY state`
)

// oldestJobs finds when the first job of each state joined its lane.
const oldestJobs = `SELECT joined_ms FROM jobs WHERE seq IN (
	(SELECT min(seq) FROM jobs WHERE kind = ?1 AND state = 'waiting'),
	(SELECT min(seq) FROM jobs WHERE kind = ?1 AND state = 'claimed'))`

// jobRow is a job as its columns hold it.
type jobRow struct {
	id, kind, lane, state, cause, owner string
	due, joined, fence, until           int64
	tries                               int
	data                                []byte
}

// columns are where the values of columns go.
func (r *jobRow) columns() []any {
	return []any{&r.id, &r.kind, &r.lane, &r.state, &r.due, &r.joined, &r.tries, &r.cause, &r.owner, &r.fence, &r.until, &r.data}
}

func (r *jobRow) job() store.Job {
	return store.Job{
		ID: r.id, Kind: r.kind, Lane: r.lane, Data: r.data, Due: fromMillis(r.due),
		State: store.JobState(r.state), At: fromMillis(r.joined), Tries: r.tries, Cause: r.cause,
		Owner: r.owner, Fence: r.fence, Until: fromMillis(r.until),
	}
}
