package call

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"perezvon/configs"
	"perezvon/internal/store"
	"perezvon/media"
	"perezvon/media/wav"
	"perezvon/sip"
)

// orphanLimit bounds how long the start waits for the ends of the dialogs that
// a crash left.
const orphanLimit = 5 * time.Second

// Start settles what an earlier process left, in this order: its dialogs get
// CANCEL or BYE, its recordings are repaired, its calls reach their terminal
// result or go on. Then the service takes calls.
func (s *Service) Start(ctx context.Context) error {
	sounds, err := readSounds(s.set())
	if err != nil {
		return err
	}
	s.prompts.keep(sounds)
	s.music = sounds[s.set().Music]
	open, err := s.records.OpenCalls(ctx)
	if err != nil {
		return fmt.Errorf("load open calls: %w", err)
	}
	said, err := s.records.DND(ctx)
	if err != nil {
		return fmt.Errorf("load do not disturb: %w", err)
	}
	s.quiet.load(said)
	reached, err := s.endOrphans(ctx, open)
	if err != nil {
		return err
	}
	if _, err := media.RepairRecordings(s.dir); err != nil {
		s.log.Error("recordings that a crash left could not be repaired", "dir", s.dir, "err", err)
	}
	if err := s.records.DropLeases(ctx, leaseOwner); err != nil {
		return fmt.Errorf("drop the leases of the last run: %w", err)
	}
	for _, rec := range open {
		s.resume(rec, reached)
	}
	s.stragglers.Go(func() { s.warm(s.draining) })
	return nil
}

// endOrphans ends the journalled dialogs and tells which legs were answered,
// or may have been although the journal does not say so. A far side that does
// not answer is chased on in the background.
//
// That a customer has picked up is stored before the dialog is forgotten: this
// start may be cut short as well, and the far side does not tell twice.
func (s *Service) endOrphans(ctx context.Context, open []store.Call) (map[string]bool, error) {
	dialogs, err := s.records.Dialogs(ctx)
	if err != nil {
		return nil, fmt.Errorf("load dialogs: %w", err)
	}
	if len(dialogs) == 0 {
		return nil, nil
	}
	fates := fatesOf(dialogs)
	calls := make(map[string]store.Call, len(open))
	for _, rec := range open {
		calls[rec.ID] = rec
	}
	var mu sync.Mutex // guards fates and resumed from here on
	resumed := false  // the calls have changed since they were loaded
	note := func(d store.Dialog, picked bool) {
		mu.Lock()
		defer mu.Unlock()
		if resumed {
			return
		}
		fates.ended(d.LegID, picked)
		rec := calls[d.CallID]
		if l := findLeg(&rec, d.LegID); picked && l != nil && l.Role == store.RoleCustomer {
			rec.CustomerReached = true
			s.records.SaveCall(clone(rec))
		}
	}
	var left sync.WaitGroup
	for _, d := range dialogs {
		left.Add(1)
		s.stragglers.Go(func() {
			defer left.Done()
			note(d, s.endOrphan(d))
			s.records.DeleteDialog(d.ID)
		})
	}
	s.awaitOrphans(&left)
	s.log.Info("dialogs that the last run left have been ended", "count", len(dialogs))
	mu.Lock()
	defer mu.Unlock()
	resumed = true
	return fates.answered, nil
}

// fates is which legs of the last run were answered. A leg has several dialogs
// where its INVITE forked.
type fates struct {
	answered map[string]bool // by leg; true until the far side of each of its dialogs says otherwise
	picked   map[string]bool // one of the leg's dialogs was answered
	waiting  map[string]int  // for so many of the leg's dialogs
}

func fatesOf(dialogs []store.Dialog) *fates {
	f := &fates{make(map[string]bool), make(map[string]bool), make(map[string]int)}
	for _, d := range dialogs {
		f.answered[d.LegID] = true
		f.waiting[d.LegID]++
	}
	return f
}

// ended takes the end of one dialog of a leg.
func (f *fates) ended(leg string, picked bool) {
	f.waiting[leg]--
	f.picked[leg] = f.picked[leg] || picked
	f.answered[leg] = f.picked[leg] || f.waiting[leg] > 0
}

func (s *Service) awaitOrphans(left *sync.WaitGroup) {
	done := make(chan struct{})
	s.stragglers.Go(func() {
		left.Wait()
		close(done)
	})
	timer := time.NewTimer(orphanLimit)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

func (s *Service) endOrphan(d store.Dialog) (answered bool) {
	var rec sip.DialogRecord
	if err := json.Unmarshal(d.Data, &rec); err != nil {
		s.log.Error("a journalled dialog cannot be read", "call", d.CallID, "leg", d.LegID, "err", err)
		return true
	}
	answered, err := s.phones.EndOrphan(s.draining, rec, sip.Reason{Protocol: "Q.850", Cause: causeTemporary, Text: "server restarted"})
	if err != nil {
		s.log.Warn("the far side did not confirm the end of a dialog that the last run left",
			"call", d.CallID, "leg", d.LegID, "err", err)
	}
	return answered
}

// resume gives a call of the last run its future: a call that nobody was
// dialled for goes on, one in progress is redialled unless the customer may
// have been reached, everything else ends.
func (s *Service) resume(rec store.Call, answered map[string]bool) {
	line := s.set().Line(rec.Line)
	if rec.Kind == store.KindInternal {
		line = &configs.Line{}
	}
	c := newCall(s, line, rec)
	if line == nil {
		c.log = s.log.With("call", rec.ID)
		c.endInterrupted(noLine(rec))
		return
	}
	interrupted := outcome{
		result: store.ResultInterrupted, code: codeOther, owner: store.PartyUs,
		reason: errDied, hangupBy: store.PartyUs, retry: retrySoon,
	}
	flow := s.runCallback
	if rec.Kind == store.KindInfocall {
		flow = s.runInfocall
	}
	switch {
	case rec.Kind != store.KindCallback && rec.Kind != store.KindInfocall:
		c.endInterrupted(interrupted)
		return
	case inProgress(rec.State):
		if customerMayBeReached(rec, answered) || rec.Interrupted >= maxInterrupted {
			c.endInterrupted(interrupted)
			return
		}
		now := time.Now()
		c.change("", nil, func(r *store.Call) {
			r.Interrupted++
			closeLegs(r, now, errDied)
		})
		if known := lastOutcome(rec); known != nil { // only telling the manager was cut short
			next, again := c.nextAttempt(*known)
			if !again {
				c.finish(*known)
				return
			}
			c.wait(*known, next)
			break
		}
		c.wait(interrupted, now)
	}
	s.spawn(c, flow)
}

// errDied is why a call ended during which the last run did.
const errDied = "the server stopped during the call"

// endInterrupted ends a call that the last run left. Its dialogs have got their
// BYE already.
func (c *Call) endInterrupted(o outcome) {
	now := time.Now()
	c.change("", nil, func(r *store.Call) {
		for i := range r.Legs {
			if l := &r.Legs[i]; l.State == store.LegAnswered && l.Q850 == 0 {
				l.Q850 = causeTemporary
			}
		}
		closeLegs(r, now, errDied)
	})
	c.attachRecording()
	c.finish(o)
}

// lastOutcome is how the last attempt ended, where that was known before the
// process died.
func lastOutcome(rec store.Call) *outcome {
	if len(rec.Attempts) == 0 {
		return nil
	}
	a := rec.Attempts[len(rec.Attempts)-1]
	if a.EndedAt == nil {
		return nil
	}
	o := &outcome{result: a.Result, code: a.Code, owner: a.ReasonOwner, reason: a.Reason}
	switch a.Result {
	case store.ResultCustomerBusy:
		o.retry = retryBusy
	case store.ResultCustomerNoAnswer, store.ResultCustomerUnavailable, store.ResultTrunkFailed:
		o.retry = retryLater
	}
	return o
}

// maxInterrupted bounds how often a call is dialled again after crashes, lest
// a call that causes one does so for ever.
const maxInterrupted = 3

// inProgress reports whether phones may have rung in a state.
func inProgress(st store.State) bool {
	switch st {
	case store.StateQueued, store.StateScheduled, store.StateWaitingRetry, store.StateRendering:
		return false
	}
	return true
}

// customerMayBeReached reports whether the customer answered, or may have
// answered in the moment that the journal misses.
func customerMayBeReached(rec store.Call, answered map[string]bool) bool {
	if rec.CustomerReached {
		return true
	}
	for _, l := range rec.Legs {
		if l.Role != store.RoleCustomer {
			continue
		}
		// A leg that is not over and has no dialog any more: it ended in the
		// moment before the stop, and nobody wrote down how.
		if up, known := answered[l.ID]; up || !known && l.State != store.LegEnded {
			return true
		}
	}
	return false
}

// attachRecording finds the recording of a call that a crash cut short.
func (c *Call) attachRecording() {
	file := recordingFile(c.Record())
	path := filepath.Join(c.svc.dir, file)
	info, err := os.Stat(path)
	if err != nil {
		return // nothing was recorded
	}
	length, err := wav.Repair(path)
	if err != nil {
		c.log.Error("the recording of an interrupted call cannot be read", "file", path, "err", err)
		return
	}
	c.change(store.EventRecordingReady, func(r *store.Call) any { return r.Recording }, func(r *store.Call) {
		r.Recording = &store.Recording{File: file, Bytes: info.Size(), DurationMS: length.Milliseconds()}
		if r.AnsweredAt != nil { // else it is a message to us
			r.TalkMS = max(r.TalkMS, length.Milliseconds()) // what is known of the talk
		}
	})
}
