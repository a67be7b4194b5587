package call

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"perezvon/internal/route"
	"perezvon/internal/store"
)

// Asker is who asks for something from outside.
type Asker struct {
	Name  string   // of the API key
	Lines []string // ids of those that it is limited to; none: it may use all
}

// Transfer has the phone of the office in a call pass the other side on to a
// number, which is read as if it were dialled there. by is who asks. It returns
// when the number rings or has refused. The error is a *RefusedError: the number
// cannot be read, the way there is through a line that is not for who asks, the
// call is not one that can be transferred, or nobody took it.
func (s *Service) Transfer(ctx context.Context, id, number string, by Asker) (store.Call, error) {
	if err := s.unreadable(number); err != nil {
		return store.Call{}, badNumber(err)
	}
	b := s.bridgeOf(id)
	if b == nil || b.ended() {
		return s.notTalking(ctx, id)
	}
	asker := b.phone()
	if asker == nil {
		return b.call.Record(), notNow("no phone of the office takes part in it, which alone could pass the call on")
	}
	told := make(chan moving, 2) // that it rings, and the end
	t := &transferring{asker: asker, by: by.Name, lines: by.Lines, tell: func(m moving) { told <- m }}
	if !b.beginTransfer(t, func(t *transferring) moving { return b.transferBlind(t, number) }) {
		return b.call.Record(), notNow("the call is being transferred already")
	}
	select {
	case m := <-told:
		return b.call.Record(), m.refused(number)
	case <-ctx.Done():
		return b.call.Record(), fmt.Errorf("transfer call: %w", context.Cause(ctx))
	}
}

// unreadable says why what is written is neither an extension nor a number,
// whoever dials it.
func (s *Service) unreadable(number string) error {
	if strings.TrimSpace(number) == "" {
		return errors.New("is empty; write an extension, or a number as it would be dialled at the phone")
	}
	if s.set().Extension(number) != nil {
		return nil
	}
	_, err := s.numbers().Parse(number)
	if ne, ok := errors.AsType[*route.NumberError](err); ok && (ne.Rule == "empty" || ne.Rule == "characters" || ne.Rule == "too_long") {
		return ne
	}
	return nil
}

func badNumber(err error) error {
	refused := &RefusedError{Status: 422}
	refused.add(CodeInvalidNumber, "to", err)
	return refused
}

// refused is the refusal that a transfer to a number came to; nil: none.
func (m moving) refused(number string) error {
	ne, bad := errors.AsType[*route.NumberError](m.err)
	foreign, isForeign := errors.AsType[*foreignLineError](m.err)
	switch {
	case isForeign:
		return &RefusedError{Status: 403, Code: CodeLineNotAllowed, Problems: []Problem{{Field: "to", Detail: foreign.Error()}}}
	case m.err == nil && m.status < 300:
		return nil
	case bad && ne.Code == route.InvalidNumber:
		return badNumber(ne)
	}
	why := "did not take the call"
	if m.undialled {
		why = "cannot be dialled"
	}
	return &RefusedError{Status: 409, Code: CodeNotTransferred, Problems: []Problem{{
		Field: "to", Detail: fmt.Sprintf("%s %s: %v", strings.TrimSpace(number), why, m.err),
	}}}
}

// phone is the side of the office: the manager's where both are.
func (b *bridge) phone() *leg {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.sides {
		if l.to.extension != "" {
			return l
		}
	}
	return nil
}

// notNow refuses what only a talk can be asked for.
func notNow(why string) error {
	return &RefusedError{Status: 409, Code: CodeNotTalking, Problems: []Problem{{Detail: why}}}
}

// notTalking says why a call cannot be controlled.
func (s *Service) notTalking(ctx context.Context, id string) (store.Call, error) {
	rec, err := s.records.Call(ctx, id)
	switch {
	case err != nil:
		return store.Call{}, fmt.Errorf("find call: %w", err)
	case rec.State == store.StateEnded:
		return rec, alreadyEnded(rec)
	}
	if rec.AnsweredAt != nil {
		return rec, notNow("one of the two has just hung up")
	}
	return rec, notNow("nobody talks in this call yet")
}
