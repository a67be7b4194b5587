package redis

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"perezvon/internal/store"
)

// exportDomains yields all counts, rates, blocks and jobs, the jobs of each kind
// in the order in which they joined their lanes.
func (r *remote) exportDomains(ctx context.Context, yield func(store.Change) error) error {
	for _, export := range []func(context.Context, func(store.Change) error) error{
		r.exportBlocks, r.exportJobs, r.exportCounts, r.exportRates,
	} {
		if err := export(ctx, yield); err != nil {
			return err
		}
	}
	return nil
}

func (r *remote) exportBlocks(ctx context.Context, yield func(store.Change) error) error {
	keys, err := r.keys(ctx, numberKey(""))
	if err != nil {
		return err
	}
	return r.eachHash(ctx, keys, func(key string, fields map[string]string) error {
		b, err := parseBlock(strings.TrimPrefix(key, numberKey("")), fields)
		return yieldRecord(yield, store.ChangeBlock, b.Number, b, err)
	})
}

func (r *remote) exportJobs(ctx context.Context, yield func(store.Change) error) error {
	kinds, err := within(ctx, r, func(ctx context.Context) ([]string, error) { return r.data.SMembers(ctx, jobKinds).Result() })
	if err != nil {
		return err
	}
	slices.Sort(kinds)
	for _, kind := range kinds {
		places, err := within(ctx, r, func(ctx context.Context) ([]string, error) { return r.places(ctx, kind) })
		if err != nil {
			return err
		}
		keys := make([]string, 0, len(places))
		for _, p := range places {
			keys = append(keys, jobSlot(kind)+":job:"+p[placeLen:])
		}
		err = r.eachHash(ctx, keys, func(key string, fields map[string]string) error {
			j, err := parseJob(kind, strings.TrimPrefix(key, jobSlot(kind)+":job:"), fields)
			return yieldRecord(yield, store.ChangeJob, store.JobID(kind, j.ID), j, err)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// places returns the members of all jobs of a kind in the sets by state, sorted.
func (r *remote) places(ctx context.Context, kind string) ([]string, error) {
	found := make(map[string]bool)
	for _, state := range []store.JobState{store.JobWaiting, store.JobClaimed, store.JobDead, store.JobDone} {
		members, err := r.data.ZRange(ctx, stateKey(kind, state), 0, -1).Result()
		if err != nil {
			return nil, err
		}
		for _, m := range members {
			found[m] = true
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

func (r *remote) exportCounts(ctx context.Context, yield func(store.Change) error) error {
	const begin = prefix + "{m:"
	keys, err := r.keys(ctx, begin)
	if err != nil {
		return err
	}
	keys = slices.DeleteFunc(keys, func(key string) bool { return strings.HasSuffix(key, ":steps") })
	return r.eachHash(ctx, keys, func(key string, fields map[string]string) error {
		end := strings.LastIndexByte(key, ':')
		name := strings.TrimSuffix(key[len(begin):end], "}")
		var c store.CountStep
		var err error
		if c.Until, err = strconv.ParseInt(key[end+1:], 10, 64); err == nil {
			c.N, err = strconv.ParseInt(fields["total"], 10, 64)
		}
		return yieldRecord(yield, store.ChangeCount, name, c, err)
	})
}

func (r *remote) exportRates(ctx context.Context, yield func(store.Change) error) error {
	const begin = prefix + "{r:"
	keys, err := r.keys(ctx, begin)
	if err != nil {
		return err
	}
	return r.eachHash(ctx, keys, func(key string, fields map[string]string) error {
		scope := strings.TrimSuffix(key[len(begin):], "}")
		for _, field := range slices.Sorted(maps.Keys(fields)) {
			name, ok := strings.CutPrefix(field, "f:")
			if !ok {
				continue
			}
			us, err := strconv.ParseInt(fields[field], 10, 64)
			at := time.UnixMicro(us).UTC()
			if name == "" {
				err = yieldRecord(yield, store.ChangePause, scope, store.PauseUntil{Until: at}, err)
			} else {
				err = yieldRecord(yield, store.ChangeRate, scope, store.RateUse{Name: name, Full: at}, err)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// yieldRecord yields a record; err is that of reading it.
func yieldRecord(yield func(store.Change) error, t store.ChangeType, id string, record any, err error) error {
	if err != nil {
		return fmt.Errorf("%s %s: %w", t, id, err)
	}
	return yieldJSON(yield, t, id, record)
}
