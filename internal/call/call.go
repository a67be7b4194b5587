package call

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"perezvon/configs"
	"perezvon/internal/store"
)

// Call is a call in progress: its record, its context and the legs it still
// owns.
type Call struct {
	svc *Service
	log *slog.Logger
	at  atomic.Pointer[configs.Line] // never nil but for a call that only ends

	ctx    context.Context // ends with an *EndReason as its cause
	cancel context.CancelCauseFunc
	legs   sync.WaitGroup // goroutines that dial, watch or hang up legs
	ended  chan struct{}  // closed when the record and its result are stored
	left   chan struct{}  // closed when its flow has returned
	stuck  chan struct{}  // closed when the store refused them; they are tried again
	hurry  chan struct{}  // brings a waiting retry forward
	asked  bool           // it did, for the next attempt; touched by the flow only

	assigned string // what was told last of who is responsible; touched by the flow only

	mu        sync.Mutex
	interrupt context.CancelCauseFunc // guarded by mu; ends the ringing of managers; nil: it may not be ended
	rec       store.Call              // guarded by mu
	bridge    *bridge                 // guarded by mu; nil: nobody has talked yet
	saves     []save                  // guarded by mu; those that may not be durable yet
}

// save is a write that is under way.
type save struct {
	commit *store.Commit
	events []store.Event
}

func newCall(s *Service, line *configs.Line, rec store.Call) *Call {
	rec.Durability = "" // of its creation, which has been answered
	ctx, cancel := context.WithCancelCause(context.Background())
	c := &Call{
		svc: s, rec: rec,
		log: s.log.With("call", rec.ID, "line", rec.Line),
		ctx: ctx, cancel: cancel, ended: make(chan struct{}), left: make(chan struct{}), stuck: make(chan struct{}), hurry: make(chan struct{}, 1),
	}
	c.at.Store(line)
	return c
}

// line is whose rules the call follows.
func (c *Call) line() *configs.Line { return c.at.Load() }

// Record returns a copy of the call as it is now.
func (c *Call) Record() store.Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return clone(c.rec)
}

// change is the one door to a call's record: it applies mutate, appends an
// event to the timeline and hands both to the store in this order. data is the
// event's content; a func(*store.Call) any is called with the changed record.
// An empty event changes the record silently.
// Nothing changes a call that has ended.
func (c *Call) change(event string, data any, mutate func(*store.Call)) *store.Commit {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rec.State == store.StateEnded {
		return store.Settled(nil)
	}
	mutate(&c.rec)
	if event == "" {
		return c.store()
	}
	if f, ok := data.(func(*store.Call) any); ok {
		data = f(&c.rec)
	}
	return c.store(newEvent(c.rec.ID, event, data))
}

// note changes the record without telling the store: the next change takes it
// along, which follows at once.
func (c *Call) note(mutate func(*store.Call)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rec.State != store.StateEnded {
		mutate(&c.rec)
	}
}

// store hands the record and events to the store, together with the events
// that it refused before. c.mu is held: the order of events is the order of
// changes.
func (c *Call) store(events ...store.Event) *store.Commit {
	events = append(c.refused(), events...)
	commit := c.svc.records.SaveCall(c.rec, events...)
	c.saves = append(c.saves, save{commit, events})
	return commit
}

// refused forgets the saves that are settled and returns the events of those
// that failed. c.mu is held.
func (c *Call) refused() []store.Event {
	var lost []store.Event
	pending := c.saves[:0]
	for _, s := range c.saves {
		settled, err := s.commit.Poll()
		switch {
		case !settled:
			pending = append(pending, s)
		case err != nil:
			lost = append(lost, s.events...)
		}
	}
	c.saves = pending
	return lost
}

// stateData is the content of a call.state event.
type stateData struct {
	State   store.State `json:"state"`
	Attempt int         `json:"attempt,omitempty"`
	NextAt  *time.Time  `json:"next_at,omitempty"`
	Text    string      `json:"text,omitempty"`
}

// enter moves the call to a state in which nothing is planned.
func (c *Call) enter(state store.State, text string) *store.Commit {
	c.log.Debug("state", "state", state, "text", text)
	return c.change(store.EventCallState, func(r *store.Call) any {
		return stateData{State: state, Attempt: len(r.Attempts), Text: text}
	}, func(r *store.Call) { r.State, r.NextAt = state, nil })
}

// mayInterrupt says how the ringing of managers is ended when the customer
// calls in; nil: it no longer may be.
func (c *Call) mayInterrupt(interrupt context.CancelCauseFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interrupt = interrupt
}

// stopRinging ends the ringing of managers, and the text, as long as the
// customer has not been dialled.
func (c *Call) stopRinging(why *EndReason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.interrupt != nil && c.rec.State != store.StateRingingCustomer {
		c.interrupt(why)
	}
}

// decisionData is the content of a call.decision event.
type decisionData struct {
	Text string `json:"text"`
}

// decide tells in the timeline why the flow does what it does, where that does
// not go without saying.
func (c *Call) decide(text string) {
	c.change(store.EventDecision, decisionData{text}, func(*store.Call) {})
}

// beginAttempt opens the next attempt.
func (c *Call) beginAttempt(state store.State) *store.Commit {
	return c.change(store.EventCallState, func(r *store.Call) any {
		return stateData{State: state, Attempt: len(r.Attempts)}
	}, func(r *store.Call) {
		r.State = state
		r.NextAt = nil
		r.Attempts = append(r.Attempts, store.Attempt{N: len(r.Attempts) + 1, StartedAt: time.Now(), Asked: c.asked})
		c.asked = false
	})
}

// conclude keeps the outcome of an attempt that is not quite over: a crash
// does not make it unknown again.
func (c *Call) conclude(o outcome) {
	now := time.Now()
	c.change("", nil, func(r *store.Call) { endAttempt(r, o, now) })
}

// endAttempt writes an outcome into the attempt that is open.
func endAttempt(r *store.Call, o outcome, at time.Time) {
	if len(r.Attempts) == 0 {
		return
	}
	a := &r.Attempts[len(r.Attempts)-1]
	if a.EndedAt != nil {
		return
	}
	a.EndedAt, a.Result, a.Code, a.Reason, a.ReasonOwner = &at, o.result, o.code, o.reason, o.owner
	a.Waited = o.retry == retryFree
}

// wait puts the call aside until next. Waiting on for the same thing is no
// event of its own.
func (c *Call) wait(o outcome, next time.Time) *store.Commit {
	now := time.Now()
	state, event := store.StateWaitingRetry, store.EventCallState
	if o.retry == retrySoon && c.Record().State == state {
		event = ""
	}
	if opening := c.closedUntil(next); opening != nil {
		state, next = store.StateScheduled, *opening
	}
	return c.change(event, func(r *store.Call) any {
		return stateData{State: r.State, Attempt: len(r.Attempts), NextAt: r.NextAt, Text: o.reason}
	}, func(r *store.Call) {
		endAttempt(r, o, now)
		r.State = state
		r.NextAt = &next
		switch {
		case state == store.StateScheduled:
			r.Deadline = next.Add(c.settings().TTL)
		case o.retry != retrySoon && r.Deadline.Before(next): // the time-to-live reaches to the next planned retry
			r.Deadline = next.Add(time.Minute)
		}
	})
}

// endData is the content of the call.ended event.
type endData struct {
	Result      store.Result `json:"result"`
	Code        string       `json:"code"`
	Reason      string       `json:"reason,omitempty"`
	ReasonOwner store.Party  `json:"reason_owner,omitempty"`
	HangupBy    store.Party  `json:"hangup_by,omitempty"`
	TalkMS      int64        `json:"talk_ms"`
	RingMS      int64        `json:"ring_ms"`
	Info        *store.Info  `json:"info,omitempty"`
}

func endDataOf(r *store.Call) endData {
	return endData{r.Result, r.Code, r.Reason, r.ReasonOwner, r.HangupBy, r.TalkMS, r.RingMS, r.Info}
}

// legGrace is how long the end of a call waits for legs whose far side does
// not answer our CANCEL or BYE. They are chased further, but no longer seen in
// the record.
const legGrace = 5 * time.Second

// finish gives the call its one terminal result, after its legs are down.
func (c *Call) finish(o outcome) {
	c.cancel(&EndReason{By: store.PartyUs, Text: "call is over"})
	c.waitLegs(legGrace)
	now := time.Now()
	c.change(store.EventCallEnded, func(r *store.Call) any {
		return endDataOf(r)
	}, func(r *store.Call) {
		endAttempt(r, o, now)
		closeLegs(r, now, "the far side did not confirm the end")
		r.State, r.NextAt, r.EndedAt = store.StateEnded, nil, &now
		r.Result, r.Code, r.Reason, r.ReasonOwner = o.result, o.code, o.reason, o.owner
		if r.HangupBy == "" {
			r.HangupBy = o.hangupBy
		}
		inform(r, c.svc.set().Language)
	})
	c.svc.count(o.result)
	c.log.Info("call ended", "result", o.result, "code", o.code, "reason", o.reason)
	c.persist()
}

// Waits between tries to store the end of a call.
const (
	firstPersist = 100 * time.Millisecond
	maxPersist   = 10 * time.Second
)

// persist waits until everything of an ended call is durable. While the store
// refuses it, it tries again: the call keeps its terminal result.
func (c *Call) persist() {
	for wait := firstPersist; ; wait = min(2*wait, maxPersist) {
		err := c.flush()
		if err == nil {
			close(c.ended)
			return
		}
		if wait == firstPersist {
			c.log.Error("the end of a call cannot be stored; it is tried again until it is", "err", err)
			close(c.stuck)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-c.svc.quit.Done():
			timer.Stop()
			c.log.Error("the end of a call is not stored; the next start settles it", "err", err)
			return
		}
		c.mu.Lock()
		c.store()
		c.mu.Unlock()
	}
}

// flush waits for the saves that are under way and returns the first failure.
func (c *Call) flush() error {
	c.mu.Lock()
	saves := slices.Clone(c.saves)
	c.mu.Unlock()
	for _, s := range saves {
		if err := s.commit.Wait(c.svc.quit); err != nil {
			return err
		}
	}
	return nil
}

// waitLegs waits for every goroutine of the call's legs, at most limit.
func (c *Call) waitLegs(limit time.Duration) {
	done := make(chan struct{})
	c.svc.stragglers.Go(func() { // ends with the legs, waited for by Close
		c.legs.Wait()
		close(done)
	})
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// closeLegs ends the legs that are still open in the record.
func closeLegs(r *store.Call, at time.Time, why string) {
	for i := range r.Legs {
		if l := &r.Legs[i]; l.State != store.LegEnded {
			l.State, l.EndedAt = store.LegEnded, &at
			if l.Reason == "" {
				l.Reason = why
			}
		}
	}
}

// usualLeg is how long a leg is in JSON, bytes; few are longer.
const usualLeg = 512

func newEvent(callID, typ string, data any) store.Event {
	ev := store.Event{Type: typ, At: time.Now(), CallID: callID}
	// Only our own plain structs come here: they can always be written.
	switch data := data.(type) {
	case nil:
	case *store.Leg: // half of all events
		ev.Data, _ = data.AppendJSON(make([]byte, 0, usualLeg))
	default:
		ev.Data, _ = json.Marshal(data)
	}
	return ev
}

// clone copies a record so that it may be read while the call goes on.
func clone(r store.Call) store.Call {
	r.Attempts = slices.Clone(r.Attempts)
	r.Legs = slices.Clone(r.Legs)
	return r
}
