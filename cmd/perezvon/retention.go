package main

import (
	"context"
	"log/slog"
	"time"

	"perezvon/configs"
	"perezvon/internal/keep"
)

// What has served its time is removed some time after the start, when the calls
// of the last run have been settled, and every hour.
const (
	firstRound = time.Minute
	nextRound  = time.Hour
)

// housekeep removes what has served its time until it is stopped.
func (s *server) housekeep() (stop func()) {
	tellKept(s.cfg.Load(), s.log)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		next := time.NewTimer(firstRound)
		defer next.Stop()
		for {
			select {
			case <-next.C:
			case <-ctx.Done():
				return
			}
			s.tidy(ctx)
			next.Reset(nextRound)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// tidy removes what has served its time by now.
func (s *server) tidy(ctx context.Context) {
	cfg := s.cfg.Load()
	_, err := keep.Round(ctx, s.db, cfg.Recordings.Dir, keepTimes(cfg), s.log)
	if err != nil && ctx.Err() == nil {
		s.log.Warn("not everything that has been kept for long enough could be removed; it is tried again in an hour", "err", err)
	}
}

// keepTimes are how long a configuration has things kept.
func keepTimes(cfg *configs.Config) keep.Times {
	return keep.Times{
		Recordings: cfg.RecordingsKept(), Calls: cfg.Calls.Keep, Events: cfg.Events.Keep, Traces: cfg.Trace.Keep,
	}
}

// tellKept logs what is removed so soon that it is likely not meant.
func tellKept(cfg *configs.Config, log *slog.Logger) {
	for _, words := range cfg.KeptWarnings() {
		log.Warn("records are removed within a day", "what", words)
	}
}
