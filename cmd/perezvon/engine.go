package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"perezvon/configs"
	"perezvon/internal/api"
	"perezvon/internal/call"
	"perezvon/internal/keep"
	"perezvon/internal/store"
	"perezvon/internal/store/redis"
	"perezvon/internal/store/sqlite"
	"perezvon/internal/trace"
)

// engine keeps the server's records. *sqlite.DB is one, and so is *redis.DB.
type engine interface {
	call.Records
	call.DialogStore
	api.Records
	trace.Store
	keep.Store

	SaveEvents(evs ...store.Event) *store.Commit
	SaveBinding(b store.Binding) *store.Commit
	DeleteBinding(id string) *store.Commit
	Bindings(ctx context.Context) ([]store.Binding, error)

	// Ping says whether records can be stored.
	Ping(ctx context.Context) error
	Close() error
}

// remoteHealth is what an engine may also tell: how its way to Redis is.
type remoteHealth interface {
	Health(ctx context.Context) (redis.Health, error)
}

// openEngine opens the store of a configuration. The error says that it is the
// store, and what to do.
func openEngine(ctx context.Context, cfg *configs.Config, log *slog.Logger) (engine, error) {
	file := filepath.Join(cfg.DataDir, storeFile)
	if cfg.Store.Engine != configs.Redis {
		return sqlite.Open(ctx, file, sqlite.Options{})
	}
	db, err := redis.Open(ctx, redis.Options{URL: cfg.Store.URL.Reveal(), Spool: file, Logger: log})
	if err != nil {
		return nil, err // not a nil *redis.DB
	}
	return db, nil
}

// health tells how the way to Redis is; false where it is not the store. What
// is wrong with the disk, Ping tells.
func (s *server) health(ctx context.Context) (h redis.Health, ok bool) {
	remote, ok := s.db.(remoteHealth)
	if ok {
		h, _ = remote.Health(ctx)
	}
	return h, ok
}

// storeStatus is how the store is, for the API.
func (s *server) storeStatus(ctx context.Context) api.StoreStatus {
	at := s.cfg.Load().Store
	out := api.StoreStatus{Engine: at.Engine, At: at.At}
	h, ok := s.health(ctx)
	if !ok {
		out.Up = s.db.Ping(ctx) == nil
		return out
	}
	out.Up, out.Since, out.Backlog, out.LastError = h.Up, &h.Since, h.Backlog, h.LastError
	out.BacklogAgeMS = backlogAge(h, time.Now()).Milliseconds()
	return out
}

// backlogAge is how old the oldest change is that Redis does not have.
func backlogAge(h redis.Health, now time.Time) time.Duration {
	if h.Backlog == 0 || h.OldestUnsent.IsZero() {
		return 0
	}
	return max(0, now.Sub(h.OldestUnsent))
}

// storeReasons says that Redis is away, where it is: calls go on.
func (s *server) storeReasons(ctx context.Context) []api.Reason {
	h, ok := s.health(ctx)
	if !ok || h.Up {
		return nil
	}
	why := ""
	if h.LastError != "" {
		why = " (" + h.LastError + ")"
	}
	return []api.Reason{{Part: "store", Detail: fmt.Sprintf("%s is away since %s%s; calls go on and new ones are taken, on this machine's disk: changes that wait for it: %d",
		s.cfg.Load().Store, h.Since.Format(time.TimeOnly), why, h.Backlog)}}
}

var (
	descStoreUp      = prometheus.NewDesc("perezvon_store_up", "Whether Redis answers, where it is the store.", nil, nil)
	descStoreBacklog = prometheus.NewDesc("perezvon_store_backlog", "Changes on this machine's disk that Redis does not have yet.", nil, nil)
	descStoreAge     = prometheus.NewDesc("perezvon_store_backlog_age_seconds", "How old the oldest of them is.", nil, nil)
)

// collectStore tells of a store that may be away.
func (s *server) collectStore(ch chan<- prometheus.Metric) {
	h, ok := s.health(context.Background()) // a collector is given none
	if !ok {
		return
	}
	up := 0.0
	if h.Up {
		up = 1
	}
	ch <- prometheus.MustNewConstMetric(descStoreUp, prometheus.GaugeValue, up)
	ch <- prometheus.MustNewConstMetric(descStoreBacklog, prometheus.GaugeValue, float64(h.Backlog))
	ch <- prometheus.MustNewConstMetric(descStoreAge, prometheus.GaugeValue, backlogAge(h, time.Now()).Seconds())
}
