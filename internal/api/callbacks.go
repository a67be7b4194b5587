package api

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"perezvon/internal/call"
	"perezvon/internal/store"
)

// maxBody is the largest body of a request, bytes.
const maxBody = 64 << 10

// CallbackBody asks for a callback.
type CallbackBody struct {
	Line    string `json:"line" doc:"Id of the line the call goes through" example:"main"`
	Number  string `json:"number" doc:"Whom to call back, as people write numbers" example:"+74950000001"`
	Text    string `json:"text,omitempty" nullable:"true" doc:"Spoken to the manager before the customer is dialled" example:"A call from the site"`
	Voice   string `json:"voice,omitempty" nullable:"true" doc:"Voice of the text; left out: the default voice" example:"ruinternalfemale"`
	Manager string `json:"manager,omitempty" nullable:"true" doc:"An extension or a number to ring instead of the line's route; needs the scope calls"`
	Mode    string `json:"mode,omitempty" nullable:"true" doc:"Who is called first: manager_first or customer_first; left out: what the configuration says" example:"manager_first"`

	NotBefore string `json:"not_before,omitempty" format:"date-time" nullable:"true" doc:"Nobody is called before this time, which is at most 30 days ahead; left out or past: at once, or when the line opens"`
}

type callbackInput struct {
	IdempotencyHeader
	Body CallbackBody
	strictQuery
}

type callbackOutput struct {
	Status   int
	Location string `header:"Location"`
	Body     Call
}

func (a *API) routeCallbacks(h huma.API) {
	example := func(c Call) map[string]*huma.MediaType {
		schema := h.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Call](), true, "Call")
		return map[string]*huma.MediaType{"application/json": {Schema: schema, Example: c}}
	}
	repeated := exampleCall(store.StateRingingManager)
	repeated.Duplicate = true
	huma.Register(h, secured(huma.Operation{
		OperationID: "place-callback",
		Method:      http.MethodPost,
		Path:        "/api/v1/callbacks",
		Summary:     "Place a callback",
		Description: "Answers when the call is stored, before anybody is rung. 202: placed; where `state` is `scheduled` the line is closed " +
			"or the call was ordered for later, and `next_at` is when it is made. 200 with `duplicate`: the request repeats an open call, which is returned.",
		DefaultStatus: http.StatusAccepted,
		MaxBodyBytes:  maxBody + 1, // huma refuses a body of exactly its limit
		Tags:          []string{tagCallbacks},
		Responses: map[string]*huma.Response{
			"200": {Description: "The open call that this request repeats", Content: example(repeated)},
			"202": {Description: "The new call", Content: example(exampleCall(store.StateQueued))},
		},
		Metadata: failsWithBody(CodeLineNotAllowed, call.CodeUnknownLine, call.CodeLineClosed, call.CodeInvalidNumber, call.CodeNotAllowed, call.CodeInvalidText,
			call.CodeUnknownVoice, call.CodeInvalidManager, call.CodeInvalidMode, call.CodeInvalidTime, call.CodeTooMany, CodeDraining, CodeNotReady),
		Middlewares: huma.Middlewares{a.oneIdempotencyKey, a.withChecker},
	}, ScopeCallback), a.placeCallback)
}

type formKey struct{}

// form is a request whose form is being checked.
type form struct {
	checker Checker
	in      *callbackInput // set by Resolve
}

// withChecker lets a wrong form be answered with what is wrong with its
// values, too: see moreProblems.
func (a *API) withChecker(ctx huma.Context, next func(huma.Context)) {
	if c, ok := a.Calls.(Checker); ok {
		ctx = huma.WithValue(ctx, formKey{}, &form{checker: c})
	}
	next(ctx)
}

// Resolve runs after the form of the request was checked, also where it was
// wrong.
func (in *callbackInput) Resolve(ctx huma.Context) []error {
	if f, ok := ctx.Context().Value(formKey{}).(*form); ok {
		f.in = in
	}
	return append(in.strictQuery.Resolve(ctx), in.IdempotencyHeader.Resolve(ctx)...)
}

// moreProblems adds what is wrong with the values of a request whose form is
// wrong. A request of good form is checked where the call is placed.
func moreProblems(ctx context.Context, errs []FieldError) []FieldError {
	f, ok := ctx.Value(formKey{}).(*form)
	if !ok || f.in == nil || f.in.Body == (CallbackBody{}) || !clientOf(ctx).sees(f.in.Body.Line) {
		return errs
	}
	named := make(map[string]bool, len(errs))
	for _, e := range errs {
		named[e.Field] = true
	}
	for _, p := range f.checker.Check(ctx, f.in.request()) {
		if !named[p.Field] {
			errs = append(errs, FieldError(p))
		}
	}
	return errs
}

func (in *callbackInput) request() call.CallbackRequest {
	b := in.Body
	notBefore, _ := time.Parse(time.RFC3339, b.NotBefore) // the form was checked; empty: at once
	return call.CallbackRequest{
		Line: b.Line, Number: b.Number, Text: b.Text, Voice: b.Voice, Manager: b.Manager, Mode: b.Mode, NotBefore: notBefore,
	}
}

func (a *API) placeCallback(ctx context.Context, in *callbackInput) (*callbackOutput, error) {
	who := clientOf(ctx)
	if !who.sees(in.Body.Line) {
		return nil, lineNotAllowed(who)
	}
	if in.Body.Manager != "" && !who.may(ScopeCalls) {
		return nil, newProblem(http.StatusForbidden, CodeScopeMissing,
			"the key "+who.name+" needs the scope calls to choose the manager",
			FieldError{"manager", "needs the scope calls"})
	}
	if after, draining := a.Health.Draining(); draining {
		return nil, drainingProblem(after)
	}
	req := in.request()
	req.KeyName = who.name
	req.Key = idempotencyKey(who.name, in.Key, in.Body)
	// A client that goes away, or is slow, must not leave a call behind that is
	// stored but not begun.
	c, duplicate, err := a.Calls.Callback(context.WithoutCancel(ctx), req)
	if err != nil {
		return nil, a.problemOf(ctx, "place callback", err)
	}
	return a.placed(c, duplicate), nil
}

// placed answers with a call that was stored, or that the request repeats.
func (a *API) placed(c store.Call, duplicate bool) *callbackOutput {
	out := &callbackOutput{Status: http.StatusAccepted, Location: callPath(c.ID), Body: a.view().call(c)}
	if duplicate {
		out.Status, out.Body.Duplicate = http.StatusOK, true
	}
	return out
}

func lineNotAllowed(who *client) *Problem {
	return newProblem(http.StatusForbidden, CodeLineNotAllowed,
		"the key "+who.name+" may not use this line", FieldError{"line", "is not one of the key's lines"})
}

func drainingProblem(after time.Duration) *Problem {
	return newProblem(http.StatusServiceUnavailable, CodeDraining,
		"the server is shutting down and takes no new calls").retryAfter(after)
}
