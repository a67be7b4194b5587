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
	if err := s.underLimit(ctx, number); err != nil {
		return store.Call{}, false, err
	}
	now := time.Now()
	rec := store.Call{
		ID: newID(), Kind: store.KindCallback, State: store.StateQueued, Line: line.ID, Number: number,
		CreatedAt: now, Deadline: now.Add(s.set.CallbackOf(line).TTL),
		Request: store.Request{Text: req.Text, Voice: req.Voice, Manager: req.Manager, Key: req.KeyName},
	}
	// What is stored is carried out, even if the requester has gone meanwhile.
	stored, duplicate, err := s.records.CreateCall(context.WithoutCancel(ctx), rec, req.Key, newEvent(rec.ID, store.EventCallCreated, createdData{
		Kind: rec.Kind, Line: rec.Line, Number: rec.Number,
	}))
	switch {
	case errors.Is(err, store.ErrKeyReused):
		return store.Call{}, false, &RefusedError{Status: 422, Code: CodeKeyReused, Problems: []Problem{{
			Field: "Idempotency-Key", Detail: "this key was used with another request; take a new key for a new request",
		}}}
	case err != nil:
		return store.Call{}, false, fmt.Errorf("store callback: %w", err)
	case duplicate:
		s.hurry(stored.ID)
		return stored, true, nil
	}
	s.spawn(newCall(s, line, stored), s.runCallback)
	return stored, false, nil
}

// createdData is the content of a call.created event.
type createdData struct {
	Kind   store.Kind `json:"kind"`
	Line   string     `json:"line"`
	Number string     `json:"number"`
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
	problem := func(code, field string, err error) {
		if err == nil {
			return
		}
		refused.Problems = append(refused.Problems, Problem{Field: field, Detail: err.Error()})
		if refused.Code = code; len(refused.Problems) > 1 {
			refused.Code = CodeInvalidRequest
		}
	}
	var number string
	line := s.set.Line(req.Line)
	if line == nil {
		problem(CodeUnknownLine, "line", s.unknownLine(req.Line))
	} else {
		var err error
		number, err = s.numbers.Dialable(s.set, line, req.Number)
		problem(numberCode(err), "number", err)
		if req.Manager != "" {
			_, err = route.ManagerPlan(s.set, line, req.Manager)
			problem(CodeInvalidManager, "manager", err)
		}
	}
	if req.Text != "" {
		problem(CodeInvalidText, "text", s.speech.Validate(req.Text, ""))
	}
	if req.Voice != "" {
		problem(CodeUnknownVoice, "voice", s.speech.Validate("voice", req.Voice))
	}
	if len(refused.Problems) > 0 {
		return nil, "", refused
	}
	return line, number, nil
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
	known := make([]string, 0, len(s.set.Lines))
	for i := range s.set.Lines {
		known = append(known, s.set.Lines[i].ID)
	}
	if len(known) > 10 {
		known = append(known[:10], "…")
	}
	return fmt.Errorf("there is no line %q; there are %q", id, known)
}

// underLimit holds limits.per_number: calls to one number within a period.
func (s *Service) underLimit(ctx context.Context, number string) error {
	limit := s.set.Limits.PerNumber
	if limit.Count <= 0 || s.isOpen(number) {
		return nil // an open callback is answered as a duplicate, which costs nothing
	}
	n, err := s.records.CountCalls(ctx, number, time.Now().Add(-limit.Per))
	if err != nil {
		return fmt.Errorf("count calls: %w", err)
	}
	if n < limit.Count {
		return nil
	}
	return &RefusedError{Status: 429, Code: CodeTooMany, RetryAfter: limit.Per / time.Duration(limit.Count), Problems: []Problem{{
		Field:  "number",
		Detail: fmt.Sprintf("limits.per_number allows %d calls to one number in %s", limit.Count, limit.Per),
	}}}
}

// isOpen reports whether a callback to the number is in progress.
func (s *Service) isOpen(number string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.openNumbers[number] > 0
}

// hurry brings a waiting retry forward: the customer has asked again.
func (s *Service) hurry(id string) {
	s.mu.Lock()
	c := s.live[id]
	s.mu.Unlock()
	if c != nil {
		select {
		case c.hurry <- struct{}{}:
		default:
		}
	}
}
