package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"perezvon/internal/call"
	"perezvon/internal/store"
)

// KeysBody are keys to be pressed.
type KeysBody struct {
	Digits string `json:"digits" doc:"0-9, *, # and A-D, up to 64 of them" example:"12#"`
	To     string `json:"to,omitempty" nullable:"true" doc:"For whom: customer or manager; left out: customer" example:"customer"`
}

// PlayBody is what is spoken into a call.
type PlayBody struct {
	Text  string `json:"text" doc:"What is said, up to 2000 characters" example:"This call is recorded"`
	Voice string `json:"voice,omitempty" nullable:"true" doc:"In which voice; left out: the default voice" example:"ruinternalfemale"`
	To    string `json:"to,omitempty" nullable:"true" doc:"Who hears it: customer, manager or both; left out: both" example:"both"`
}

// TransferBody is who shall take over.
type TransferBody struct {
	To string `json:"to" doc:"An extension, or a number as it would be dialled at the phone" example:"102"`
}

// ControlInput is what every control of a call takes. It is exported for the
// sake of huma, which reads it.
type ControlInput struct {
	ID string `path:"id" doc:"Id of the call" example:"0199a1b2c3d47e5f8091a2b3c4d5e6f7"`
	IdempotencyHeader
	strictQuery
}

type (
	keysInput struct {
		ControlInput
		Body KeysBody
	}
	playInput struct {
		ControlInput
		Body PlayBody
	}
	transferInput struct {
		ControlInput
		Body TransferBody
	}
)

// Resolve says what is wrong with the form of the request.
func (in *ControlInput) Resolve(ctx huma.Context) []error {
	return append(in.strictQuery.Resolve(ctx), in.IdempotencyHeader.Resolve(ctx)...)
}

func (a *API) routeControls(h huma.API) {
	operation := func(id, path, summary, description string, codes map[string]any) huma.Operation {
		return secured(huma.Operation{
			OperationID: id, Method: http.MethodPost, Path: callsPath + "/{id}/" + path, Summary: summary, Description: description,
			Tags: []string{tagCalls}, MaxBodyBytes: maxBody + 1, Metadata: codes,
			Middlewares: huma.Middlewares{a.oneIdempotencyKey},
		}, ScopeCalls)
	}
	common := []string{CodeCallNotFound, call.CodeAlreadyEnded, call.CodeNotTalking, CodeInProgress, CodeNotReady, CodeStoreAway}
	bare := fails(append([]string{CodeBadRequest, CodeKeyReused}, common...)...)
	with := func(codes ...string) map[string]any { return failsWithBody(append(codes, common...)...) }
	huma.Register(h, operation("hold-call", "hold", "Put a call on hold",
		"The customer hears the music, the manager nobody. The manager's phone is not told and shows nothing. A call that is on hold stays so.", bare), a.holdCall)
	huma.Register(h, operation("resume-call", "resume", "End the hold of a call",
		"The two hear each other again, unless one of them holds at his own phone.", bare), a.resumeCall)
	huma.Register(h, operation("press-keys", "dtmf", "Press keys in a call",
		"As telephone events where the phone knows them, else as tones. Answers when they are on their way: a fifth of a second each.",
		with(call.CodeInvalidKeys, call.CodeInvalidSide)), a.pressKeys)
	huma.Register(h, operation("play-text", "play", "Speak a text into a call",
		"Who hears it hears nothing else meanwhile. Answers when it has begun.",
		with(call.CodeInvalidText, call.CodeUnknownVoice, call.CodeInvalidSide)), a.playText)
	huma.Register(h, operation("transfer-call", "transfer", "Transfer a call",
		"The phone of the office in the call passes the other side on, which hears ringing meanwhile. Answers when the new phone rings, or has refused: then the two are together as before.",
		with(call.CodeNotTransferred, call.CodeInvalidNumber, CodeLineNotAllowed)), a.transferCall)
}

func (a *API) holdCall(ctx context.Context, in *ControlInput) (*callOutput, error) {
	return a.act(ctx, in, "hold", nil, func(id string) (store.Call, error) { return a.Controls.Hold(ctx, id, clientOf(ctx).name) })
}

func (a *API) resumeCall(ctx context.Context, in *ControlInput) (*callOutput, error) {
	return a.act(ctx, in, "resume", nil, func(id string) (store.Call, error) { return a.Controls.Resume(ctx, id) })
}

func (a *API) pressKeys(ctx context.Context, in *keysInput) (*callOutput, error) {
	return a.act(ctx, &in.ControlInput, "press keys", in.Body, func(id string) (store.Call, error) {
		return a.Controls.Press(ctx, id, in.Body.Digits, in.Body.To)
	})
}

func (a *API) playText(ctx context.Context, in *playInput) (*callOutput, error) {
	return a.act(ctx, &in.ControlInput, "play text", in.Body, func(id string) (store.Call, error) {
		return a.Controls.Say(ctx, id, in.Body.Text, in.Body.Voice, in.Body.To)
	})
}

func (a *API) transferCall(ctx context.Context, in *transferInput) (*callOutput, error) {
	return a.act(ctx, &in.ControlInput, "transfer call", in.Body, func(id string) (store.Call, error) {
		who := clientOf(ctx)
		return a.Controls.Transfer(ctx, id, in.Body.To, call.Asker{Name: who.name, Lines: who.lines})
	})
}

// action is what an idempotency key of a control stands for.
type action struct {
	Op, ID string
	Body   any
}

// act does something to a call that the client may see, once for an
// idempotency key: a repetition is answered with the call as it is then, and
// refused while the first is not answered.
func (a *API) act(ctx context.Context, in *ControlInput, op string, body any, do func(id string) (store.Call, error)) (*callOutput, error) {
	c, err := a.findCall(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	again, end, p := a.acted.take(clientOf(ctx).name, in.Key, action{op, c.ID, body})
	switch {
	case p != nil:
		return nil, p
	case again:
		return &callOutput{a.view().call(c)}, nil
	}
	done := false
	defer func() { end(done) }()
	after, err := do(c.ID)
	if err != nil {
		if errors.Is(err, store.ErrNotFound) {
			return nil, callNotFound(c.ID)
		}
		return nil, a.problemOf(ctx, op, err)
	}
	done = true
	return &callOutput{a.view().call(after)}, nil
}
