package redis

import (
	"context"
	"time"

	"perezvon/internal/store"
)

// Enqueue queues a job and returns at once, see sqlite.DB.Enqueue. The commit
// settles when it is durable on this node, which carries it to Redis. There any
// node can claim it.
func (d *DB) Enqueue(j store.Job) *store.Commit { return d.spool.Enqueue(j) }

// ClaimJobs claims the first jobs of lanes, see sqlite.DB.ClaimJobs; of all
// nodes together one has a job. While Redis is away it is store.ErrAway, like all
// that is asked about jobs.
func (d *DB) ClaimJobs(ctx context.Context, owner, kind string, ttl time.Duration, limit int) (jobs []store.Job, err error) {
	err = d.read(ctx, func(ctx context.Context) (err error) {
		jobs, err = d.remote.claimJobs(ctx, owner, kind, ttl, limit)
		return err
	})
	return jobs, err
}

// JobDone ends a job that was claimed, see sqlite.DB.JobDone. After
// store.ErrAway it may be tried again.
func (d *DB) JobDone(ctx context.Context, j store.Job) error {
	return d.finishJob(ctx, j, store.JobDone, "", time.Time{})
}

// RetryJob gives a claimed job back, see sqlite.DB.RetryJob. After
// store.ErrAway it may be tried again.
func (d *DB) RetryJob(ctx context.Context, j store.Job, at time.Time, cause string) error {
	return d.finishJob(ctx, j, store.JobWaiting, cause, at)
}

// BuryJob gives a claimed job up, see sqlite.DB.BuryJob. After store.ErrAway it
// may be tried again.
func (d *DB) BuryJob(ctx context.Context, j store.Job, cause string) error {
	return d.finishJob(ctx, j, store.JobDead, cause, time.Time{})
}

func (d *DB) finishJob(ctx context.Context, j store.Job, to store.JobState, cause string, due time.Time) error {
	return d.askNow(ctx, func(ctx context.Context) error { return d.remote.finishJob(ctx, j, to, cause, due) })
}

// askNow asks Redis, whatever is on its way there.
func (d *DB) askNow(ctx context.Context, op func(context.Context) error) error {
	if d.closed.Load() {
		return store.ErrClosed
	}
	return d.link.ask(ctx, readLimit, op)
}

// Jobs returns jobs of a kind and a state, of all nodes, see sqlite.DB.Jobs.
func (d *DB) Jobs(ctx context.Context, f store.JobFilter) (jobs []store.Job, next string, err error) {
	err = d.read(ctx, func(ctx context.Context) (err error) {
		jobs, next, err = d.remote.jobs(ctx, f)
		return err
	})
	return jobs, next, err
}

// ReviveJob lets a dead job join the end of its lane again, see
// sqlite.DB.ReviveJob.
func (d *DB) ReviveJob(ctx context.Context, kind, id string) error {
	return d.read(ctx, func(ctx context.Context) error { return d.remote.reviveJob(ctx, kind, id) })
}

// ReviveJobs revives all dead jobs of a kind, see sqlite.DB.ReviveJobs.
func (d *DB) ReviveJobs(ctx context.Context, kind string) (revived int, err error) {
	for before := ""; ; {
		n := 0
		err = d.read(ctx, func(ctx context.Context) (err error) {
			n, before, err = d.remote.reviveSome(ctx, kind, before)
			return err
		})
		if revived += n; err != nil || n < reviveAtOnce {
			return revived, err
		}
	}
}

// JobStats says how much of a kind there is to do, see sqlite.DB.JobStats.
func (d *DB) JobStats(ctx context.Context, kind string) (s store.JobStats, err error) {
	err = d.read(ctx, func(ctx context.Context) (err error) {
		s, err = d.remote.jobStats(ctx, kind)
		return err
	})
	return s, err
}

// pruneJobs forgets jobs that have served their time.
func (d *DB) pruneJobs(ctx context.Context) error {
	for more := true; more; {
		err := d.askNow(ctx, func(ctx context.Context) (err error) {
			more, err = d.remote.pruneJobs(ctx)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
