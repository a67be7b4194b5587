package main

import (
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/store"
	"perezvon/internal/store/sqlite"
	"perezvon/internal/trace"
	"perezvon/sip"
)

// A call's trace goes into the store when its record says that it is over, or
// that it waits; how long it stays there is trace.keep.
func TestTraceFollowsTheRecordOfItsCall(t *testing.T) {
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "perezvon.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s := &server{db: db, log: slog.New(slog.DiscardHandler)}
	s.cfg.Store(configs.Default())
	if err := s.openTrace(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.traces.Close()
	records := s.records()
	for id, state := range map[string]store.State{"ended": store.StateEnded, "waits": store.StateWaitingRetry, "scheduled": store.StateScheduled, "talks": store.StateTalking} {
		s.traces.Bind(id, sip.DialogRef{Call: id, Leg: "leg"})
		s.traces.Message(sip.Message{
			At: time.Now(), Sent: true, Transport: "udp", Local: netip.MustParseAddrPort("127.0.0.1:5060"), Remote: netip.MustParseAddrPort("127.0.0.1:5070"),
			CallID: []byte(id), Data: []byte("INVITE sip:x SIP/2.0\r\nCall-ID: " + id + "\r\n\r\n"),
		})
		if err := records.SaveCall(store.Call{ID: id, State: state, CreatedAt: time.Now()}).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	stored := func(id string) int {
		parts, err := db.Traces(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return len(parts)
	}
	for limit := time.Now().Add(20 * time.Second); stored("ended")+stored("waits")+stored("scheduled") < 3; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("the traces are not stored")
		}
	}
	if stored("talks") != 0 {
		t.Error("the trace of a call in progress is stored")
	}
	s.tidy(t.Context())
	if stored("ended") != 1 {
		t.Error("a new trace was cleared")
	}
	s.cfg.Load().Trace.Keep = 0
	s.tidy(t.Context())
	if _, err := s.traces.Trace(t.Context(), "ended"); !errors.Is(err, trace.ErrNone) {
		t.Errorf("after trace.keep: %v", err)
	}
}

func TestTracesCanBeOff(t *testing.T) {
	s := new(server)
	s.cfg.Store(configs.Default())
	s.cfg.Load().Trace.Keep = 0
	if err := s.openTrace(t.Context()); err != nil || s.traces != nil || len(s.closers) != 0 {
		t.Errorf("%v, %v", s.traces, err)
	}
	if _, traced := s.records().(tracedRecords); traced {
		t.Error("calls are traced")
	}
}
