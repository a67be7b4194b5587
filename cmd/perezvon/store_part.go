package main

import (
	"context"
	"fmt"
	"path/filepath"

	"perezvon/configs"
	"perezvon/internal/store/sqlite"
)

// partWarnings tells of a file that is the whole store by the configuration, and
// has been what a server had beside a Redis: its history is not complete.
func partWarnings(ctx context.Context, cfg *configs.Config) []string {
	if cfg.Store.Engine == configs.Redis {
		return nil
	}
	file := filepath.Join(cfg.DataDir, storeFile)
	shares, err := sqlite.Shares(ctx, file)
	if err != nil || !shares { // it is made, or whoever opens it says what is wrong
		return nil
	}
	return []string{fmt.Sprintf("store: %s has been a part of a store in Redis, and is used as the whole store now: "+
		"it lacks what is only there, as all that is older than a day. To have everything, stop the server, move the file away, "+
		"with its -wal and -shm, and run: %s store copy --from redis://… --to %s", file, program(), cfg.DataDir)}
}
