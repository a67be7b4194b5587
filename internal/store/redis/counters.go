package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	goredis "github.com/redis/go-redis/v9"

	"perezvon/internal/store"
)

var errAnswer = errors.New("redis gives an answer that nobody understands")

// addCount adds n to a counter, unless it is positive and the sum would exceed
// limit, which is store.ErrExceeded. A step of the same id counts once within
// an hour. The count is what the sum is then.
func (r *remote) addCount(ctx context.Context, c store.Counter, n, limit int64, id string) (store.Count, error) {
	if err := c.Check(n); err != nil {
		return store.Count{}, fmt.Errorf("add to count: %w", err)
	}
	count, err := within(ctx, r, func(ctx context.Context) (store.Count, error) {
		answer, err := r.run(ctx, "count", counterSlot(c.Name), c.Until.UnixMilli(), n, min(limit, store.MaxCount), id, "", "").Slice()
		if err != nil {
			return store.Count{}, err
		}
		if len(answer) != 2 {
			return store.Count{}, errAnswer
		}
		total, err := strconv.ParseInt(fmt.Sprint(answer[1]), 10, 64)
		if err == nil && answer[0] == int64(0) {
			err = store.ErrExceeded
		}
		return store.Count{Total: total}, err
	})
	if err != nil {
		return count, fmt.Errorf("add to count %s: %w", c.Name, err)
	}
	return count, nil
}

// readCount returns a counter's sum.
func (r *remote) readCount(ctx context.Context, c store.Counter) (store.Count, error) {
	if err := c.Check(0); err != nil {
		return store.Count{}, fmt.Errorf("read count: %w", err)
	}
	count, err := within(ctx, r, func(ctx context.Context) (store.Count, error) {
		total, err := r.data.HGet(ctx, fmt.Sprint(counterSlot(c.Name), ":", c.Until.UnixMilli()), "total").Int64()
		if errors.Is(err, goredis.Nil) {
			err = nil
		}
		return store.Count{Total: total}, err
	})
	if err != nil {
		return store.Count{}, fmt.Errorf("read count %s: %w", c.Name, err)
	}
	return count, nil
}
