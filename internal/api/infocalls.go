package api

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"perezvon/internal/call"
	"perezvon/internal/store"
)

// InfocallBody asks for an informational call.
type InfocallBody struct {
	Line   string `json:"line" doc:"Id of the line the call goes through" example:"main"`
	Number string `json:"number" doc:"Whom to call, as people write numbers" example:"+74950000001"`
	Text   string `json:"text,omitempty" nullable:"true" doc:"What is said to whoever answers, up to 2000 characters" example:"Your order is ready"`
	Sound  string `json:"sound,omitempty" nullable:"true" doc:"What is played instead of a text: the name of an uploaded file, or the URL of a WAV or MP3 file"`
	Voice  string `json:"voice,omitempty" nullable:"true" doc:"In which voice; left out: the default voice" example:"ruinternalfemale"`
	Gather int    `json:"gather,omitempty" nullable:"true" minimum:"1" maximum:"32" doc:"How many keys are waited for, up to five seconds for each when the message has been played; a # ends what is more than one" example:"1"`

	AnsweringMachine string `json:"answering_machine,omitempty" nullable:"true" doc:"What is done where a machine answers: play, hang_up or after_beep; left out: what the configuration says" example:"hang_up"`

	Wait   bool `json:"wait,omitempty" nullable:"true" doc:"Answer when the call has ended, or after ten minutes at the latest"`
	Repeat int  `json:"repeat,omitempty" nullable:"true" minimum:"1" maximum:"10" doc:"How many times it is played, with a second in between; left out: once" example:"2"`
}

type infocallInput struct {
	IdempotencyHeader
	Body InfocallBody
	strictQuery
}

// Resolve says what is wrong with the form of the request.
func (in *infocallInput) Resolve(ctx huma.Context) []error {
	return append(in.strictQuery.Resolve(ctx), in.IdempotencyHeader.Resolve(ctx)...)
}

func (a *API) routeInfocalls(h huma.API) {
	example := func(c Call) map[string]*huma.MediaType {
		schema := h.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Call](), true, "Call")
		return map[string]*huma.MediaType{"application/json": {Schema: schema, Example: c}}
	}
	repeated := exampleInfocall(store.StateEnded)
	repeated.Duplicate = true
	huma.Register(h, secured(huma.Operation{
		OperationID: "place-infocall", Method: http.MethodPost, Path: "/api/v1/infocalls", Summary: "Play a message to a number",
		Description: "Answers when the call is stored, before it is dialled; `info` tells the result when `state` is `ended`. " +
			"With `wait`: 200 when the call has ended, or 202 with the call as it is after ten minutes, or when the server stops. " +
			"200 at once where the number is blocked: the call has ended with code 423. 200 with `duplicate`: the request repeats a call, which is returned.",
		DefaultStatus: http.StatusAccepted,
		MaxBodyBytes:  maxBody + 1,
		Tags:          []string{tagInfocalls},
		Responses: map[string]*huma.Response{
			"200": {Description: "The call that has ended, or that this request repeats", Content: example(repeated)},
			"202": {Description: "The new call", Content: example(exampleInfocall(store.StateQueued))},
		},
		Metadata: failsWithBody(CodeLineNotAllowed, call.CodeUnknownLine, call.CodeInvalidNumber, call.CodeNotAllowed, call.CodeInvalidText,
			call.CodeUnknownVoice, call.CodeInvalidSound, call.CodeTooMany, call.CodeLoop, CodeDraining, CodeNotReady),
		Middlewares: huma.Middlewares{a.oneIdempotencyKey, keepResponse},
	}, ScopeInfocall), a.placeInfocall)
}

// exampleInfocall is an informational call of which the fields fit together.
func exampleInfocall(state store.State) Call {
	c := exampleCall(state)
	c.Kind, c.Text, c.Mode, c.Manager, c.Recording, c.TalkMS = string(store.KindInfocall), "Your order is ready", "", nil, nil, 0
	if state == store.StateEnded {
		c.Result, c.Reason, c.ReasonOwner, c.HangupBy = new("delivered"), new("the message was played"), nil, new("us")
		c.EndedAt = new(c.AnsweredAt.Add(4 * time.Second))
		c.Info = &Info{OK: "Y", Text: "Success (200)", Code: "200", HeardMS: 3700}
		c.Attempts[0].Result, c.Attempts[0].Reason, c.Attempts[0].ReasonOwner, c.Attempts[0].EndedAt = c.Result, c.Reason, nil, c.EndedAt
		c.Legs[0].EndedAt = c.EndedAt
	}
	return c
}

func (a *API) placeInfocall(ctx context.Context, in *infocallInput) (*callbackOutput, error) {
	who := clientOf(ctx)
	if !who.sees(in.Body.Line) {
		return nil, lineNotAllowed(who)
	}
	if after, draining := a.Health.Draining(); draining {
		return nil, drainingProblem(after)
	}
	b := in.Body
	key := idempotencyKey(who.name, in.Key, in.Body)
	c, duplicate, err := a.Calls.Infocall(context.WithoutCancel(ctx), call.InfocallRequest{
		Line: b.Line, Number: b.Number, Text: b.Text, Sound: b.Sound, Voice: b.Voice, Repeat: b.Repeat, Gather: b.Gather,
		AnsweringMachine: b.AnsweringMachine,
		KeyName:          who.name, Key: key,
	})
	if err != nil {
		return nil, a.problemOf(ctx, "place informational call", err)
	}
	if b.Wait && c.State != store.StateEnded {
		if c, err = a.await(ctx, c.ID); err != nil {
			return nil, a.problemOf(ctx, "wait for informational call", err)
		}
	}
	out := a.placed(c, duplicate)
	switch {
	case c.State == store.StateEnded: // the number is blocked
		out.Status = http.StatusOK
	case b.Wait:
		out.Status = http.StatusAccepted
	}
	return out, nil
}

// longestWait is how long an answer is held back for a call to end.
const longestWait = 10 * time.Minute

type responseKey struct{}

// keepResponse lets a handler move the deadlines of its connection.
func keepResponse(ctx huma.Context, next func(huma.Context)) {
	_, w := humago.Unwrap(ctx)
	next(huma.WithValue(ctx, responseKey{}, w))
}

// await waits for the end of a call, as long as the client does and no longer
// than longestWait.
func (a *API) await(ctx context.Context, id string) (store.Call, error) {
	if w, ok := ctx.Value(responseKey{}).(http.ResponseWriter); ok {
		if o, ok := w.(*observer); ok {
			o.stream = true
		}
		// An error means that the connection knows no deadlines, as in tests. The
		// server sets them anew for the next request.
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(time.Time{})
		_ = control.SetWriteDeadline(time.Now().Add(longestWait + writeTimeout))
	}
	ctx, cancel := context.WithTimeout(ctx, longestWait)
	defer cancel()
	return a.Calls.AwaitInfocall(ctx, id)
}
