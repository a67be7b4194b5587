package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	goredis "github.com/redis/go-redis/v9"

	"perezvon/internal/store"
)

// placeLen is the length of a job's place among those of its kind.
const placeLen = 16

// addJob is a step that gives a job its place at the end of its lane. Without a
// node it is a copy, in whatever state it is.
func addJob(j store.Job, node string, seq int64) step {
	state := j.State
	if state == "" {
		state = store.JobWaiting
	}
	args := []any{
		"add", node, seq, j.ID, j.Lane, string(state), "due", store.DueMillis(j.Due), "at", j.At.UnixMilli(),
		"tries", j.Tries, "cause", j.Cause,
	}
	if j.Data != nil {
		args = append(args, "data", []byte(j.Data))
	}
	if j.Owner != "" {
		args = append(args, "owner", j.Owner)
	}
	if j.Fence != 0 {
		args = append(args, "fence", j.Fence)
	}
	if !j.Until.IsZero() {
		args = append(args, "until", j.Until.UnixMilli())
	}
	return step{"jobs", jobSlot(j.Kind), args}
}

// claimJobs claims the first job of each lane whose first one is due, see
// sqlite.DB.ClaimJobs.
func (r *remote) claimJobs(ctx context.Context, owner, kind string, ttl time.Duration, limit int) ([]store.Job, error) {
	if ttl < time.Millisecond {
		return nil, errors.New("claim jobs: a claim must last longer than zero")
	}
	if limit < 1 {
		return nil, nil
	}
	token := uuid.NewString()
	jobs, err := within(ctx, r, func(ctx context.Context) ([]store.Job, error) {
		answer, err := r.run(ctx, "jobs", jobSlot(kind), "claim", owner, ttl.Milliseconds(), limit, token).Slice()
		if err != nil {
			return nil, err
		}
		var jobs []store.Job
		for _, one := range answer {
			pair, ok := one.([]any)
			if !ok || len(pair) != 2 {
				return nil, errAnswer
			}
			flat, ok := pair[1].([]any)
			if !ok {
				return nil, errAnswer
			}
			fields := make(map[string]string)
			for i := 0; i+1 < len(flat); i += 2 {
				fields[fmt.Sprint(flat[i])] = fmt.Sprint(flat[i+1])
			}
			j, err := parseJob(kind, fmt.Sprint(pair[0]), fields)
			if err != nil {
				return nil, err
			}
			jobs = append(jobs, j)
		}
		return jobs, nil
	})
	if err != nil {
		return nil, fmt.Errorf("claim jobs: %w", err)
	}
	return jobs, nil
}

// parseJob reads a job's hash.
func parseJob(kind, id string, fields map[string]string) (store.Job, error) {
	j := store.Job{
		ID: id, Kind: kind, Lane: fields["lane"], State: store.JobState(fields["state"]),
		Cause: fields["cause"], Owner: fields["owner"],
	}
	if data := fields["data"]; data != "" {
		j.Data = json.RawMessage(data)
	}
	var err error
	number := func(field string) (n int64) {
		if s := fields[field]; s != "" {
			var e error
			n, e = strconv.ParseInt(s, 10, 64)
			err = errors.Join(err, e)
		}
		return n
	}
	at := func(field string) (t time.Time) {
		if ms := number(field); ms != 0 {
			t = time.UnixMilli(ms).UTC()
		}
		return t
	}
	j.Due, j.At, j.Until = at("due"), at("at"), at("until")
	j.Tries, j.Fence = int(number("tries")), number("fence")
	if err != nil {
		return j, fmt.Errorf("job %s is damaged: %w", id, err)
	}
	return j, nil
}

// finishJob ends a claim, see sqlite.DB.JobDone.
func (r *remote) finishJob(ctx context.Context, j store.Job, to store.JobState, cause string, due time.Time) error {
	_, err := within(ctx, r, func(ctx context.Context) (struct{}, error) {
		good, err := r.run(ctx, "jobs", jobSlot(j.Kind), "finish", j.ID, j.Fence, string(to), cause, store.DueMillis(due)).Int()
		if err == nil && good == 0 {
			err = store.ErrHeld
		}
		return struct{}{}, err
	})
	if err != nil {
		return fmt.Errorf("end job %s as %s: %w", j.ID, to, err)
	}
	return nil
}

// reviveJob revives a dead job, see sqlite.DB.ReviveJob.
func (r *remote) reviveJob(ctx context.Context, kind, id string) error {
	_, err := within(ctx, r, func(ctx context.Context) (struct{}, error) {
		was, err := r.run(ctx, "jobs", jobSlot(kind), "revive", id).Int()
		if err == nil && was == 0 {
			err = store.ErrNotFound
		}
		return struct{}{}, err
	})
	if err != nil {
		return fmt.Errorf("revive job %s: %w", id, err)
	}
	return nil
}

// reviveAtOnce is how many dead jobs are revived in one step.
const reviveAtOnce = 200

// reviveSome revives dead jobs of a kind, up to reviveAtOnce that were dead at a
// time, empty: now. It returns how many, and the time.
func (r *remote) reviveSome(ctx context.Context, kind, before string) (n int, at string, err error) {
	if before == "" {
		before = "0"
	}
	answer, err := within(ctx, r, func(ctx context.Context) ([]any, error) {
		answer, err := r.run(ctx, "jobs", jobSlot(kind), "reviveAll", reviveAtOnce, before).Slice()
		if err == nil && len(answer) != 2 {
			err = errAnswer
		}
		return answer, err
	})
	if err == nil {
		n, err = strconv.Atoi(fmt.Sprint(answer[0]))
	}
	if err != nil {
		return 0, "", fmt.Errorf("revive jobs: %w", err)
	}
	return n, fmt.Sprint(answer[1]), nil
}

// jobs returns jobs of a kind and a state, see sqlite.DB.Jobs.
func (r *remote) jobs(ctx context.Context, f store.JobFilter) ([]store.Job, string, error) {
	limit, first := store.PageSize(f.Limit, 50), "-"
	if f.Cursor != "" {
		at, err := store.ParseCallCursor(f.Cursor)
		if err != nil {
			return nil, "", fmt.Errorf("list jobs: %w", err)
		}
		first = fmt.Sprintf("(%0*d%s", placeLen, at.Created, at.ID)
	}
	type page struct {
		jobs []store.Job
		next string
	}
	p, err := within(ctx, r, func(ctx context.Context) (p page, err error) {
		// One more than asked for tells whether there is another page.
		members, err := r.data.ZRangeByLex(ctx, stateKey(f.Kind, f.State), &goredis.ZRangeBy{Min: first, Max: "+", Count: int64(limit) + 1}).Result()
		if err != nil {
			return p, err
		}
		if len(members) > limit {
			members = members[:limit]
			place, err := strconv.ParseInt(members[limit-1][:placeLen], 10, 64)
			if err != nil {
				return p, err
			}
			p.next = store.CallCursor{Created: place, ID: members[limit-1][placeLen:]}.String()
		}
		p.jobs, err = r.jobsOf(ctx, f.Kind, members)
		return p, err
	})
	if err != nil {
		return nil, "", fmt.Errorf("list jobs: %w", err)
	}
	var jobs []store.Job
	for _, j := range p.jobs {
		if j.State == f.State { // and not another one by now
			jobs = append(jobs, j)
		}
	}
	return jobs, p.next, nil
}

func stateKey(kind string, s store.JobState) string { return jobSlot(kind) + ":s:" + string(s) }

// jobsOf reads the jobs of members of the sets by state, but for those that were
// forgotten meanwhile.
func (r *remote) jobsOf(ctx context.Context, kind string, members []string) ([]store.Job, error) {
	keys := make([]string, 0, len(members))
	for _, m := range members {
		keys = append(keys, jobSlot(kind)+":job:"+m[placeLen:])
	}
	hashes, err := r.hashes(ctx, keys)
	if err != nil {
		return nil, err
	}
	var jobs []store.Job
	for i, fields := range hashes {
		if len(fields) == 0 {
			continue
		}
		j, err := parseJob(kind, members[i][placeLen:], fields)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

// jobStats says how much of a kind there is to do.
func (r *remote) jobStats(ctx context.Context, kind string) (store.JobStats, error) {
	s, err := within(ctx, r, func(ctx context.Context) (s store.JobStats, err error) {
		states := map[store.JobState]*int{store.JobWaiting: &s.Waiting, store.JobClaimed: &s.Claimed, store.JobDead: &s.Dead}
		for state, n := range states {
			count, err := r.data.ZCard(ctx, stateKey(kind, state)).Result()
			if err != nil {
				return s, err
			}
			*n = int(count)
			if state == store.JobDead {
				continue
			}
			members, err := r.data.ZRange(ctx, stateKey(kind, state), 0, 0).Result()
			if err != nil {
				return s, err
			}
			jobs, err := r.jobsOf(ctx, kind, members)
			if err != nil {
				return s, err
			}
			for _, j := range jobs {
				if s.Oldest.IsZero() || j.At.Before(s.Oldest) {
					s.Oldest = j.At
				}
			}
		}
		return s, nil
	})
	if err != nil {
		return store.JobStats{}, fmt.Errorf("count jobs: %w", err)
	}
	return s, nil
}

// pruneAtOnce is how many jobs are forgotten in one step.
const pruneAtOnce = 500

// pruneJobs forgets jobs that have served their time, pruneAtOnce of each kind
// and state at most, and says whether there may be more.
func (r *remote) pruneJobs(ctx context.Context) (more bool, err error) {
	more, err = within(ctx, r, func(ctx context.Context) (more bool, err error) {
		kinds, err := r.data.SMembers(ctx, jobKinds).Result()
		if err != nil {
			return false, err
		}
		for _, kind := range kinds {
			for state, age := range map[store.JobState]time.Duration{store.JobDone: store.KeepDone, store.JobDead: store.KeepDead} {
				n, err := r.run(ctx, "jobs", jobSlot(kind), "prune", string(state), age.Milliseconds(), pruneAtOnce).Int()
				if err != nil {
					return false, err
				}
				more = more || n == pruneAtOnce
			}
		}
		return more, nil
	})
	if err != nil {
		return false, fmt.Errorf("prune jobs: %w", err)
	}
	return more, nil
}
