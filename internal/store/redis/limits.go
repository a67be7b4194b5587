package redis

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"perezvon/internal/store"
)

// allow takes units of the rates of a scope, of all of them or of none.
func (r *remote) allow(ctx context.Context, scope string, rates []store.Rate) (store.Verdict, error) {
	if err := store.CheckRates(scope, rates); err != nil {
		return store.Verdict{}, fmt.Errorf("take of rates: %w", err)
	}
	args := []any{"take", uuid.NewString()}
	for _, rate := range rates {
		every := rate.Every.Microseconds()
		args = append(args, rate.Name, int64(rate.Cost)*every, int64(rate.Burst)*every)
	}
	v, err := within(ctx, r, func(ctx context.Context) (v store.Verdict, err error) {
		answer, err := r.run(ctx, "rate", rateSlot(scope), args...).Slice()
		if err != nil {
			return v, err
		}
		if len(answer) != 3 {
			return v, errAnswer
		}
		wait, err := strconv.ParseInt(fmt.Sprint(answer[1]), 10, 64)
		v.Allowed, v.RetryAfter, v.Rate = answer[0] == int64(1), time.Duration(wait)*time.Microsecond, fmt.Sprint(answer[2])
		return v, err
	})
	if err != nil {
		return store.Verdict{}, fmt.Errorf("take of rates of %s: %w", scope, err)
	}
	return v, nil
}

// pause lets nothing of a scope be allowed until a time, or until a later one
// that was said before.
func (r *remote) pause(ctx context.Context, scope string, until time.Time) error {
	_, err := within(ctx, r, func(ctx context.Context) (string, error) {
		return r.run(ctx, "rate", rateSlot(scope), "put", "", micros(until)).Text()
	})
	if err != nil {
		return fmt.Errorf("pause %s: %w", scope, err)
	}
	return nil
}

// paused says until when a scope is paused.
func (r *remote) paused(ctx context.Context, scope string) (store.Pause, error) {
	p, err := within(ctx, r, func(ctx context.Context) (p store.Pause, err error) {
		text, err := r.run(ctx, "rate", rateSlot(scope), "paused").Text()
		if err != nil {
			return p, err
		}
		us, err := strconv.ParseInt(text, 10, 64)
		if us > 0 {
			p.Until = time.UnixMicro(us).UTC()
		}
		return p, err
	})
	if err != nil {
		return store.Pause{}, fmt.Errorf("read the pause of %s: %w", scope, err)
	}
	return p, nil
}
