package redis

import (
	"context"

	"perezvon/internal/store"
)

// Call returns a call, or store.ErrNotFound.
func (w *Whole) Call(ctx context.Context, id string) (store.Call, error) {
	return w.remote.call(ctx, id)
}

// Expired counts what a server's PruneCalls, PruneEvents and PruneTraces would
// remove.
func (w *Whole) Expired(ctx context.Context, e store.Expiry) (store.Expired, error) {
	return w.remote.expired(ctx, e)
}
