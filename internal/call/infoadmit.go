package call

import (
	"context"
	"errors"
	"fmt"
	"time"

	"perezvon/configs"
	"perezvon/internal/store"
)

// InfocallRequest asks for an informational call: the number is dialled, and
// whoever answers hears the message.
type InfocallRequest struct {
	Line   string // id of the line the call goes through
	Number string // whom to call, as people write numbers
	Text   string // what is said; empty: Sound is played
	Sound  string // the name of a sound file or its URL, instead of Text
	Voice  string // of the text; empty: the default voice
	Repeat int    // how many times it is said, 1 to MaxRepeat; 0: once
	Gather int    // how many keys are waited for, up to MaxGather; 0: none

	// AnsweringMachine is what is done where a machine answers: one of
	// MachinePlay, MachineHangUp and MachineAfterBeep; empty: what
	// infocall.answering_machine says.
	AnsweringMachine string

	Key     *store.Key // makes the request safe to repeat; nil: none
	KeyName string     // name of the API key that asks
}

// AwaitInfocall returns a call when it has ended, or as it is when ctx ends or
// the call waits for the next start of the server.
func (s *Service) AwaitInfocall(ctx context.Context, id string) (store.Call, error) {
	s.mu.Lock()
	c := s.live[id]
	s.mu.Unlock()
	if c == nil {
		rec, err := s.records.Call(context.WithoutCancel(ctx), id)
		if err != nil {
			return store.Call{}, fmt.Errorf("await call: %w", err)
		}
		return rec, nil
	}
	select {
	case <-c.ended:
	case <-c.left:
	case <-ctx.Done():
	}
	return c.Record(), nil
}

// MaxRepeat is how many times a message may be played in one call.
const MaxRepeat = 10

// Infocall accepts an informational call. It returns when the call is stored:
// from then on it reaches exactly one terminal result, also after a crash. The
// same key sent again returns its call and true. Requests that make no call are
// a *RefusedError that names every bad field.
func (s *Service) Infocall(ctx context.Context, req InfocallRequest) (store.Call, bool, error) {
	if s.draining.Err() != nil {
		return store.Call{}, false, drainingRefusal(errShutdown)
	}
	line, number, err := s.validateInfocall(ctx, req)
	if err != nil {
		return store.Call{}, false, err
	}
	now := time.Now()
	rec := store.Call{
		ID: newID(), Kind: store.KindInfocall, State: store.StateQueued, Line: line.ID, Number: number, CreatedAt: now,
		Request:  store.Request{Text: req.Text, Sound: req.Sound, Voice: req.Voice, Repeat: req.Repeat, Gather: req.Gather, AnsweringMachine: req.AnsweringMachine, Key: req.KeyName},
		Deadline: now.Add(s.set().CallbackOf(line).TTL),
	}
	ctx = context.WithoutCancel(ctx)
	if o := s.blocked(ctx, number); o != nil {
		return s.answerBlocked(ctx, rec, req.Key, *o)
	}
	stored, duplicate, err := s.createInfocall(ctx, rec, req)
	if err != nil || duplicate {
		return stored, duplicate, err
	}
	s.spawn(newCall(s, line, stored), s.runInfocall)
	return stored, false, nil
}

// answerBlocked stores a call that has ended: who waits for it is told at once.
// It rings nobody, so no limit holds for it.
func (s *Service) answerBlocked(ctx context.Context, rec store.Call, key *store.Key, o outcome) (store.Call, bool, error) {
	rec.State, rec.EndedAt = store.StateEnded, &rec.CreatedAt
	rec.Result, rec.Code, rec.Reason, rec.ReasonOwner = o.result, o.code, o.reason, o.owner
	inform(&rec, s.set().Language)
	stored, duplicate, err := s.storeInfocall(ctx, rec, store.Admission{Key: key}, newEvent(rec.ID, store.EventCallEnded, endDataOf(&rec)))
	if err == nil && !duplicate {
		s.count(rec.Result)
	}
	return stored, duplicate, err
}

// createInfocall stores a new call, unless the request repeats another one or
// there are too many.
func (s *Service) createInfocall(ctx context.Context, rec store.Call, req InfocallRequest) (store.Call, bool, error) {
	adm := s.admission(req.Key, rec.CreatedAt)
	undo, looping := s.loops.note(rec.Number, message(rec.Request), rec.CreatedAt, s.set().Infocall.LoopLimit)
	if looping { // only who repeats a request gets his call
		adm.PerNumber = store.Limit{Count: 1, Since: rec.CreatedAt.Add(-loopWindow)}
	}
	stored, duplicate, err := s.storeInfocall(ctx, rec, adm)
	if err != nil || duplicate {
		undo()
	}
	if refused, ok := errors.AsType[*RefusedError](err); ok && refused.Code == CodeTooMany && looping {
		err = s.loop(rec.Number)
	}
	return stored, duplicate, err
}

// storeInfocall stores a call and what happened to it.
func (s *Service) storeInfocall(ctx context.Context, rec store.Call, adm store.Admission, events ...store.Event) (store.Call, bool, error) {
	created := newEvent(rec.ID, store.EventCallCreated, createdData{Kind: rec.Kind, Line: rec.Line, Number: rec.Number, Key: rec.Request.Key})
	stored, duplicate, err := s.records.CreateCall(ctx, rec, adm, append([]store.Event{created}, events...)...)
	switch {
	case errors.Is(err, store.ErrKeyReused):
		return store.Call{}, false, keyReused()
	case errors.Is(err, store.ErrTooMany):
		return store.Call{}, false, s.tooMany()
	case err != nil:
		s.log.Error("an informational call could not be stored", "err", err)
		return store.Call{}, false, notReady("the store takes no calls at present; the server's log says why")
	}
	return stored, duplicate, nil
}

// message is what is played, for telling whether it is the same again.
func message(req store.Request) string {
	if req.Sound != "" {
		return "sound " + req.Sound
	}
	return "text " + req.Text
}

// loop refuses the same message to the same number once more, and says so.
func (s *Service) loop(number string) error {
	limit := s.set().Infocall.LoopLimit
	if skipped, ok := s.refusals.allow(); ok {
		s.log.Warn("informational calls go round in a loop: the same message to the same number is refused",
			"number", number, "limit", limit, "skipped", skipped)
	}
	return &RefusedError{Status: 429, Code: CodeLoop, RetryAfter: loopWindow / time.Duration(limit), Problems: []Problem{{
		Field:  "number",
		Detail: fmt.Sprintf("the number has had this message %d times within an hour, as often as infocall.loop_limit allows", limit),
	}}}
}

var errNoSounds = errors.New("this server plays no sounds")

// validateInfocall checks every field and gathers all problems.
func (s *Service) validateInfocall(ctx context.Context, req InfocallRequest) (*configs.Line, string, error) {
	refused := &RefusedError{Status: 422}
	var number string
	line := s.set().Line(req.Line)
	if line == nil {
		refused.add(CodeUnknownLine, "line", s.unknownLine(req.Line))
	} else {
		var err error
		number, err = s.numbers().Dialable(s.set(), line, req.Number)
		refused.add(numberCode(err), "number", err)
	}
	switch {
	case req.Sound != "" && req.Text != "":
		refused.add(CodeInvalidSound, "sound", errors.New("there is a text already: a call has one or the other"))
	case req.Sound != "" && s.sounds == nil:
		refused.add(CodeInvalidSound, "sound", errNoSounds)
	case req.Sound != "":
		refused.add(CodeInvalidSound, "sound", s.sounds.Check(ctx, req.Sound))
	case req.Text == "":
		refused.add(CodeInvalidText, "text", errors.New("there is nothing to play: send a text or a sound"))
	default:
		refused.add(CodeInvalidText, "text", s.speech.Validate(req.Text, ""))
	}
	if req.Voice != "" {
		refused.add(CodeUnknownVoice, "voice", s.speech.Validate("voice", req.Voice))
	}
	if req.Repeat < 0 || req.Repeat > MaxRepeat {
		refused.add(CodeInvalidRequest, "repeat", fmt.Errorf("a message is played 1 to %d times", MaxRepeat))
	}
	if req.Gather < 0 || req.Gather > MaxGather {
		refused.add(CodeInvalidRequest, "gather", fmt.Errorf("at most %d keys are waited for", MaxGather))
	}
	switch req.AnsweringMachine {
	case "", MachinePlay, MachineHangUp, MachineAfterBeep:
	default:
		refused.add(CodeInvalidRequest, "answering_machine", fmt.Errorf("there are %s, %s and %s", MachinePlay, MachineHangUp, MachineAfterBeep))
	}
	if len(refused.Problems) > 0 {
		return nil, "", refused
	}
	return line, number, nil
}
