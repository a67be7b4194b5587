package main

import (
	"context"

	"perezvon/internal/call"
	"perezvon/internal/store"
	"perezvon/internal/trace"
)

// openTrace begins to keep what goes over the wire in calls, unless that is
// off.
func (s *server) openTrace(context.Context) error {
	if s.cfg.Load().Trace.Keep <= 0 {
		return nil
	}
	s.traces = trace.New(trace.Config{Store: s.db, Logger: s.log})
	s.opened(func(context.Context) error {
		s.traces.Close()
		return nil
	})
	return nil
}

// records are the store as calls see it.
func (s *server) records() call.Records {
	if s.traces == nil {
		return s.db
	}
	return tracedRecords{s.db, s.traces}
}

// tracedRecords tells the traces where a call is.
type tracedRecords struct {
	engine
	traces *trace.Collector
}

// SaveCall implements call.Records.
func (r tracedRecords) SaveCall(c store.Call, evs ...store.Event) *store.Commit {
	switch c.State {
	case store.StateEnded:
		r.traces.Ended(c.ID)
	case store.StateWaitingRetry, store.StateScheduled:
		r.traces.Rests(c.ID)
	}
	return r.engine.SaveCall(c, evs...)
}
