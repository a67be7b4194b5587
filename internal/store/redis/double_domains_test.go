package redis

import (
	"context"

	"perezvon/internal/store"
)

// noDomains are those of a Redis that knows of calls only.
type noDomains struct{ sharedDomains }

func (noDomains) blocks(context.Context, store.BlockFilter) ([]store.Block, string, error) {
	return nil, "", nil
}

func (noDomains) pruneJobs(context.Context) (bool, error) { return false, nil }
