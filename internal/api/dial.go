package api

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"perezvon/internal/call"
	"perezvon/internal/store"
)

// DialBody asks for a call of somebody of the office to a number.
type DialBody struct {
	Line      string `json:"line" doc:"Id of the line the call goes through" example:"main"`
	Extension string `json:"extension" doc:"Whose phone rings first" example:"101"`
	Number    string `json:"number" doc:"Whom to call, as people write numbers" example:"+74950000001"`
}

type dialInput struct {
	IdempotencyHeader
	Body DialBody
	strictQuery
}

// Resolve says what is wrong with the form of the request.
func (in *dialInput) Resolve(ctx huma.Context) []error {
	return append(in.strictQuery.Resolve(ctx), in.IdempotencyHeader.Resolve(ctx)...)
}

func (a *API) routeDial(h huma.API) {
	repeated, placed := exampleDial(), exampleDial()
	repeated.Duplicate = true
	example := func(c Call) map[string]*huma.MediaType {
		schema := h.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Call](), true, "Call")
		return map[string]*huma.MediaType{"application/json": {Schema: schema, Example: c}}
	}
	huma.Register(h, secured(huma.Operation{
		OperationID: "place-call", Method: http.MethodPost, Path: callsPath, Summary: "Call a number for somebody of the office",
		Description: "The phones of the extension ring; who answers hears ringing while the number is dialled, and is told where it is not reached. " +
			"Answers when the call is stored, before anybody is rung. 200 with `duplicate`: the request repeats a call, which is returned.",
		DefaultStatus: http.StatusAccepted,
		MaxBodyBytes:  maxBody + 1,
		Tags:          []string{tagCalls},
		Responses: map[string]*huma.Response{
			"200": {Description: "The call that this request repeats", Content: example(repeated)},
			"202": {Description: "The new call", Content: example(placed)},
		},
		Metadata: failsWithBody(CodeLineNotAllowed, call.CodeUnknownLine, call.CodeUnknownExtension, call.CodeInvalidNumber,
			call.CodeNotAllowed, CodeDraining, CodeNotReady),
		Middlewares: huma.Middlewares{a.oneIdempotencyKey},
	}, ScopeCalls), a.placeCall)
}

// exampleDial is a click-to-call that has just been stored.
func exampleDial() Call {
	c := exampleCall(store.StateQueued)
	c.Kind, c.Text, c.Voice, c.Mode = string(store.KindOutbound), "", "", ""
	return c
}

func (a *API) placeCall(ctx context.Context, in *dialInput) (*callbackOutput, error) {
	who := clientOf(ctx)
	if !who.sees(in.Body.Line) {
		return nil, lineNotAllowed(who)
	}
	if after, draining := a.Health.Draining(); draining {
		return nil, drainingProblem(after)
	}
	c, duplicate, err := a.Calls.Dial(context.WithoutCancel(ctx), call.DialRequest{
		Line: in.Body.Line, Extension: in.Body.Extension, Number: in.Body.Number,
		KeyName: who.name, Key: idempotencyKey(who.name, in.Key, in.Body),
	})
	if err != nil {
		return nil, a.problemOf(ctx, "place call", err)
	}
	return a.placed(c, duplicate), nil
}
