package main

import (
	"context"
	"errors"
	"fmt"

	"perezvon/configs"
	"perezvon/internal/store/redis"
)

// selftestStores hands out the empty databases of a Redis: each server of a
// self-test takes one, for only one server at a time uses a database. A URL that
// names no Redis is wrong usage.
func selftestStores(ctx context.Context, url string) (func(context.Context) (configs.Store, func(), error), error) {
	at, err := configs.ParseStore(url)
	if err == nil && at.Engine != configs.Redis {
		err = errors.New("name a Redis, such as redis://127.0.0.1:6379")
	}
	if err != nil {
		return nil, &usageError{fmt.Errorf("--store: %w", err)}
	}
	databases, err := redis.EmptyDatabases(ctx, redis.Options{URL: url})
	if err != nil {
		return nil, fmt.Errorf("--store: %w", err)
	}
	return func(ctx context.Context) (configs.Store, func(), error) {
		own, done, err := databases.Take(ctx)
		if err != nil {
			return configs.Store{}, nil, err
		}
		at, err := configs.ParseStore(own)
		return at, done, err
	}, nil
}
