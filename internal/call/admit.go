package call

import (
	"context"
	"errors"
	"fmt"
	"time"

	"perezvon/configs"
	"perezvon/internal/route"
	"perezvon/internal/store"
)

// Callback accepts a callback. It returns when the call is stored: from then
// on it reaches exactly one terminal result, also after a crash. The same form
// sent again (same key, or same line and number while a callback is open)
// returns the open call and true. Requests that make no call are a
// *RefusedError that names every bad field.
func (s *Service) Callback(ctx context.Context, req CallbackRequest) (store.Call, bool, error) {
	if s.draining.Err() != nil {
		return store.Call{}, false, drainingRefusal(errShutdown)
	}
	line, number, err := s.validate(req)
	if err != nil {
		return store.Call{}, false, err
	}
	now := time.Now()
	rec := s.newCallback(line, number, req, now)
	// What is stored is carried out, even if the requester has gone meanwhile.
	events := []store.Event{newEvent(rec.ID, store.EventCallCreated, createdData{
		Kind: rec.Kind, Line: rec.Line, Number: rec.Number, Manager: req.Manager, Key: req.KeyName,
	})}
	if rec.State == store.StateScheduled {
		events = append(events, newEvent(rec.ID, store.EventCallState, scheduledData(line, req, rec)))
	}
	stored, duplicate, err := s.records.CreateCall(context.WithoutCancel(ctx), rec, s.admission(req.Key, now), events...)
	switch {
	case errors.Is(err, store.ErrKeyReused):
		return store.Call{}, false, keyReused()
	case errors.Is(err, store.ErrTooMany):
		return store.Call{}, false, s.tooMany()
	case err != nil:
		s.log.Error("a callback could not be stored", "err", err)
		return store.Call{}, false, notReady("the store takes no calls at present; the server's log says why")
	case duplicate:
		return s.bringForward(stored, line, req.NotBefore), true, nil
	}
	s.spawn(newCall(s, line, stored), s.runCallback)
	return stored, false, nil
}

// newCallback is the record of a callback that is due at once, or scheduled
// for the time it was ordered for and the line's next opening.
func (s *Service) newCallback(line *configs.Line, number string, req CallbackRequest, now time.Time) store.Call {
	cfg := s.set().CallbackOf(line)
	rec := store.Call{
		ID: newID(), Kind: store.KindCallback, State: store.StateQueued, Line: line.ID, Number: number, CreatedAt: now,
		Request: store.Request{Text: req.Text, Voice: req.Voice, Manager: req.Manager, Key: req.KeyName, Mode: req.Mode},
	}
	if rec.Request.Mode == "" {
		rec.Request.Mode = cfg.Mode
	}
	first := now
	if req.NotBefore.After(now) {
		first, rec.Request.NotBefore = req.NotBefore, &req.NotBefore
	}
	first, _ = route.NextOpening(line.Hours, first) // validate has found one
	if first.After(now) {
		rec.State, rec.NextAt = store.StateScheduled, &first
	}
	rec.Deadline = first.Add(cfg.TTL)
	return rec
}

// admission holds limits.per_number. Who repeats a request gets his call,
// whatever the limit says.
func (s *Service) admission(key *store.Key, now time.Time) store.Admission {
	limit := s.set().Limits.PerNumber
	return store.Admission{Key: key, PerNumber: store.Limit{Count: limit.Count, Since: now.Add(-limit.Per)}}
}

func (s *Service) tooMany() error {
	limit := s.set().Limits.PerNumber
	return &RefusedError{Status: 429, Code: CodeTooMany, RetryAfter: limit.Per / time.Duration(limit.Count), Problems: []Problem{{
		Field:  "number",
		Detail: fmt.Sprintf("limits.per_number allows %d calls to one number in %s", limit.Count, limit.Per),
	}}}
}

// createdData is the content of a call.created event.
type createdData struct {
	Kind    store.Kind `json:"kind"`
	Line    string     `json:"line"`
	Number  string     `json:"number"`
	Manager string     `json:"manager,omitempty"` // whom the request names
	Key     string     `json:"key,omitempty"`     // name of the API key that asked
}

// Check returns every problem of a request, without placing a call.
func (s *Service) Check(_ context.Context, req CallbackRequest) []Problem {
	_, _, err := s.validate(req)
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		return refused.Problems
	}
	return nil
}

// validate checks every field and gathers all problems.
func (s *Service) validate(req CallbackRequest) (*configs.Line, string, error) {
	refused := &RefusedError{Status: 422}
	var number string
	line := s.set().Line(req.Line)
	if line == nil {
		refused.add(CodeUnknownLine, "line", s.unknownLine(req.Line))
	} else {
		var err error
		number, err = s.numbers().Dialable(s.set(), line, req.Number)
		refused.add(numberCode(err), "number", err)
		if req.Manager != "" {
			_, err = route.ManagerPlan(s.set(), line, req.Manager)
			refused.add(CodeInvalidManager, "manager", err)
		}
		refused.add(CodeLineClosed, "line", neverOpen(line, req.NotBefore))
	}
	refused.add(CodeInvalidMode, "mode", wrongMode(req.Mode))
	if time.Until(req.NotBefore) > MaxAhead {
		refused.add(CodeInvalidTime, "not_before", fmt.Errorf("a callback can be ordered for the next %d days", int(MaxAhead.Hours()/24)))
	}
	if req.Text != "" {
		refused.add(CodeInvalidText, "text", s.speech.Validate(req.Text, ""))
	}
	if req.Voice != "" {
		refused.add(CodeUnknownVoice, "voice", s.speech.Validate("voice", req.Voice))
	}
	if len(refused.Problems) > 0 {
		return nil, "", refused
	}
	return line, number, nil
}

func wrongMode(mode string) error {
	switch mode {
	case "", ManagerFirst, CustomerFirst:
		return nil
	}
	return fmt.Errorf("%q is no mode; write %s or %s", mode, ManagerFirst, CustomerFirst)
}

// neverOpen reports that the working hours of a line have no time to call.
func neverOpen(line *configs.Line, after time.Time) error {
	if now := time.Now(); after.Before(now) {
		after = now
	}
	if _, ok := route.NextOpening(line.Hours, after); !ok {
		return fmt.Errorf("the working hours of line %q never come; see lines[].hours", line.ID)
	}
	return nil
}

// numberCode is the code of a number that is refused.
func numberCode(err error) string {
	var ne *route.NumberError
	if errors.As(err, &ne) && ne.Code == route.NotAllowed {
		return CodeNotAllowed
	}
	return CodeInvalidNumber
}

func (s *Service) unknownLine(id string) error {
	set := s.set()
	known := make([]string, 0, len(set.Lines))
	for i := range set.Lines {
		known = append(known, set.Lines[i].ID)
	}
	if len(known) > 10 {
		known = append(known[:10], "…")
	}
	return fmt.Errorf("there is no line %q; there are %q", id, known)
}

// scheduledData says why a new callback is put aside.
func scheduledData(line *configs.Line, req CallbackRequest, rec store.Call) stateData {
	d := stateData{State: rec.State, NextAt: rec.NextAt, Text: textOrdered}
	if !rec.NextAt.Equal(req.NotBefore) {
		d.Text = textClosed
	}
	return d
}

const (
	textClosed  = "the line is closed until then"
	textOrdered = "it was ordered for then"
)

// bringForward is for a customer who asks again: a waiting retry is tried at
// once, and a call that was ordered for later comes at the time that is asked
// for now, if that is earlier. It returns the call as it is then.
func (s *Service) bringForward(rec store.Call, line *configs.Line, notBefore time.Time) store.Call {
	s.mu.Lock()
	c := s.live[rec.ID]
	s.mu.Unlock()
	if c == nil {
		return rec
	}
	now := time.Now()
	if notBefore.Before(now) {
		notBefore = now
	}
	first, ok := route.NextOpening(line.Hours, notBefore)
	if !ok || !c.advance(first) {
		return rec
	}
	select {
	case c.hurry <- struct{}{}:
	default:
	}
	return c.Record()
}
