package selftest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// form is what a site asks for; what is left out is the scenario's line and
// customer.
type form map[string]any

// keyField is the Idempotency-Key of a form; it goes into the header.
const keyField = "\x00key"

// answer is what the API says to a form.
type answer struct {
	status     int
	retryAfter string
	call       api.Call
	problem    api.Problem
}

// String is the answer in short: "202", "422 invalid_number".
func (a answer) String() string {
	text := strconv.Itoa(a.status)
	if a.problem.Code != "" {
		text += " " + a.problem.Code
	}
	if a.call.Duplicate {
		text += " duplicate"
	}
	if seconds, err := strconv.Atoi(a.retryAfter); err == nil && seconds > 0 {
		text += ", Retry-After"
	}
	return text
}

// ask sends a form and returns the answer, whatever it is.
func (s *stage) ask(ctx context.Context, f form) (answer, error) {
	body := form{"line": s.line().ID, "number": s.number(customer)}
	key := ""
	for name, value := range f {
		if name == keyField {
			key = fmt.Sprint(value)
			continue
		}
		body[name] = value
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.house.server.URL()+"/api/v1/callbacks", bytes.NewReader(raw))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := s.house.web.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	a := answer{status: res.StatusCode, retryAfter: res.Header.Get("Retry-After")}
	var into any = &a.call
	if res.StatusCode >= 300 {
		into = &a.problem
	}
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		return a, fmt.Errorf("the answer %d cannot be read: %w", a.status, err)
	}
	return a, nil
}

// order places a callback that must be accepted. The first one is judged.
func (s *stage) order(ctx context.Context, f form) (api.Call, error) {
	a, err := s.ask(ctx, f)
	switch {
	case err != nil:
		return api.Call{}, err
	case a.status != http.StatusAccepted:
		return api.Call{}, fmt.Errorf("the callback was answered %s: %s%s", a, a.problem.Detail, fields(a.problem))
	}
	if s.rec.ID == "" {
		s.rec = a.call
	}
	return a.call, nil
}

func fields(p api.Problem) string {
	var text strings.Builder
	for _, e := range p.Errors {
		fmt.Fprintf(&text, "; %s: %s", e.Field, e.Detail)
	}
	return text.String()
}

// follow orders a callback and waits for its end.
func follow(ctx context.Context, s *stage) error { return s.follow(ctx, nil) }

func (s *stage) follow(ctx context.Context, f form) error {
	c, err := s.order(ctx, f)
	if err != nil {
		return err
	}
	return s.finish(ctx, c.ID)
}

// finish waits for the end of a call and keeps it, if it is the one that is
// judged.
func (s *stage) finish(ctx context.Context, id string) error {
	c, err := s.until(ctx, id, store.StateEnded)
	if err == nil && (id == s.rec.ID || s.rec.ID == "") {
		s.rec = c
	}
	return err
}

// until waits for a state of a call.
func (s *stage) until(ctx context.Context, id string, state store.State) (api.Call, error) {
	var c api.Call
	err := poll(ctx, func() (bool, error) {
		var err error
		if c, err = s.house.client.Call(ctx, id); err != nil {
			return false, err
		}
		if c.State == string(store.StateEnded) && state != store.StateEnded {
			return false, fmt.Errorf("the call ended with %s before it was %s", value(c.Result), state)
		}
		return c.State == string(state), nil
	})
	if err != nil && errors.Is(err, context.DeadlineExceeded) {
		return c, fmt.Errorf("the call was never %s; it is %s", state, c.State)
	}
	return c, err
}

// reached waits until somebody's n-th call (1 is the first) has come to a
// point.
func (s *stage) reached(ctx context.Context, who string, n int, kind lab.Kind) (*lab.Party, error) {
	p, err := s.place(who).Wait(ctx, s.number(who), n)
	if err != nil {
		return nil, err
	}
	if _, err = p.Until(ctx, kind); err != nil {
		return nil, err
	}
	return p, nil
}

// callIn lets the customer call the scenario's line.
func (s *stage) callIn(ctx context.Context, script lab.Script, more ...func(*lab.CallOptions)) (*lab.Party, error) {
	o := lab.CallOptions{
		To: s.house.sip(), User: s.line().Number, From: s.number(customer),
		Script: append(lab.Script{lab.Tone(pitch(caller, s.n))}, script...),
	}
	for _, change := range more {
		change(&o)
	}
	p, err := s.provider.Call(ctx, o)
	if err == nil {
		s.callers = append(s.callers, p)
	}
	return p, err
}

// over waits for the end of a party's call.
func over(ctx context.Context, p *lab.Party) error {
	select {
	case <-p.Ended():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// stored are the calls of the scenario's lines, the newest first.
func (s *stage) stored(ctx context.Context, kind store.Kind) ([]api.Call, error) {
	var all []api.Call
	for i := range s.lines {
		page, err := s.house.client.Calls(ctx, map[string]string{"line": s.lines[i].ID, "kind": string(kind), "limit": "100"})
		if err != nil {
			return nil, err
		}
		all = append(all, page.Calls...)
	}
	return all, nil
}

// inbound waits for the end of the call that came in.
func (s *stage) inbound(ctx context.Context) (api.Call, error) {
	var id string
	err := poll(ctx, func() (bool, error) {
		calls, err := s.stored(ctx, store.KindInbound)
		if len(calls) > 0 {
			id = calls[0].ID
		}
		return id != "", err
	})
	if err != nil {
		return api.Call{}, fmt.Errorf("no inbound call was stored: %w", err)
	}
	return s.until(ctx, id, store.StateEnded)
}

// value is what a pointer points to, or nothing.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// within says whether something took about as long as it should.
func within(took, least, most time.Duration, words string) string {
	if took < least || took > most {
		return "after " + took.Round(100*time.Millisecond).String()
	}
	return words
}
