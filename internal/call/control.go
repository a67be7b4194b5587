package call

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"perezvon/internal/store"
	"perezvon/media/g711"
)

// Hold lets the customer of a call wait: he hears the music, and the manager
// nobody. The manager's phone is not told. by names who asks. A call that is on
// hold stays so. It returns the call when that is stored.
//
// The error of this and the other controls is store.ErrNotFound, or a
// *RefusedError: the call has ended, or nobody talks yet.
func (s *Service) Hold(ctx context.Context, id, by string) (store.Call, error) {
	return s.park(ctx, id, by)
}

// Resume ends what Hold began. Who holds at his phone holds on.
func (s *Service) Resume(ctx context.Context, id string) (store.Call, error) {
	return s.park(ctx, id, "")
}

func (s *Service) park(ctx context.Context, id, by string) (store.Call, error) {
	b, err := s.talking(ctx, id)
	if err != nil {
		return store.Call{}, err
	}
	b.mu.Lock()
	if b.parked == "" || by == "" {
		b.parked = by
	}
	b.mu.Unlock()
	commit := b.settle()
	b.wake()
	if commit != nil {
		if err := commit.Wait(ctx); err != nil {
			s.log.Error("a hold could not be stored", "call", id, "err", err)
			return store.Call{}, notReady("the store takes nothing at present; the server's log says why")
		}
	}
	return b.call.Record(), nil
}

// Sides of a call, as controls name them.
const (
	ToManager  = string(store.PartyManager)
	ToCustomer = string(store.PartyCustomer)
	ToBoth     = "both"
)

// Press presses keys on the phone of one side of a call, the customer's where to
// is empty. It returns when they are on their way: a fifth of a second each.
func (s *Service) Press(ctx context.Context, id, keys, to string) (store.Call, error) {
	refused := &RefusedError{Status: 422}
	if keys == "" || len(keys) > maxKeys || strings.Trim(keys, "0123456789*#ABCD") != "" {
		refused.add(CodeInvalidKeys, "digits", fmt.Errorf("write 1 to %d of 0-9, *, # and A-D", maxKeys))
	}
	if to == "" {
		to = ToCustomer
	}
	refused.add(CodeInvalidSide, "to", wrongSide(to, ToManager, ToCustomer))
	if len(refused.Problems) > 0 {
		return store.Call{}, refused
	}
	b, err := s.talking(ctx, id)
	if err != nil {
		return store.Call{}, err
	}
	if !b.press(b.legsFor(to)[0], keys) {
		return store.Call{}, notReady("the keys that came before are still being pressed")
	}
	pressed := "1 key is"
	if len(keys) > 1 {
		pressed = fmt.Sprintf("%d keys are", len(keys))
	}
	b.call.decide(pressed + " pressed for the " + to)
	return b.call.Record(), nil
}

// Say speaks a text to one side of a call or both; empty: both. Who hears it
// hears nothing else meanwhile. It returns when it has begun, with the text
// rendered.
func (s *Service) Say(ctx context.Context, id, text, voice, to string) (store.Call, error) {
	if to == "" {
		to = ToBoth
	}
	refused := &RefusedError{Status: 422}
	refused.add(CodeInvalidText, "text", s.speech.Validate(text, ""))
	if voice != "" {
		refused.add(CodeUnknownVoice, "voice", s.speech.Validate("voice", voice))
	}
	refused.add(CodeInvalidSide, "to", wrongSide(to, ToManager, ToCustomer, ToBoth))
	if len(refused.Problems) > 0 {
		return store.Call{}, refused
	}
	if _, err := s.talking(ctx, id); err != nil { // before the work of rendering
		return store.Call{}, err
	}
	clip, err := s.speech.Render(ctx, text, voice)
	if err != nil {
		s.log.Error("a text could not be spoken", "call", id, "err", err)
		return store.Call{}, notReady("the text cannot be spoken at present; the server's log says why")
	}
	b, err := s.talking(ctx, id)
	if err != nil {
		return store.Call{}, err
	}
	b.call.decide("a text is spoken to " + map[string]string{ToManager: "the manager", ToCustomer: "the customer", ToBoth: "both"}[to])
	b.say(clip, to)
	return b.call.Record(), nil
}

// say plays a clip without waiting for its end.
func (b *bridge) say(clip *g711.Clip, to string) {
	for _, l := range b.legsFor(to) {
		b.keys.run(b.call, func() { _, _ = l.media.Play(l.ctx, clip) }) // who has gone hears nothing
	}
}

// legsFor are the legs that a control names.
func (b *bridge) legsFor(to string) []*leg {
	b.mu.Lock()
	manager, customer := b.sides[managerSide], b.sides[customerSide]
	b.mu.Unlock()
	switch to {
	case ToManager:
		return []*leg{manager}
	case ToCustomer:
		return []*leg{customer}
	}
	return []*leg{manager, customer}
}

func wrongSide(to string, valid ...string) error {
	if slices.Contains(valid, to) {
		return nil
	}
	return fmt.Errorf("%q is none of %s", to, strings.Join(valid, ", "))
}

// talking finds the bridge of a call whose two sides are connected.
func (s *Service) talking(ctx context.Context, id string) (*bridge, error) {
	b := s.bridgeOf(id)
	switch {
	case b == nil:
	case b.connected():
		return b, nil
	case !b.ended():
		return nil, notNow("the call is being transferred; try again when somebody has taken it")
	}
	_, err := s.notTalking(ctx, id)
	return nil, err
}

// connected reports whether the two are neither apart nor gone.
func (b *bridge) connected() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.over && !b.parted
}
