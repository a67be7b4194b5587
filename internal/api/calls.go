package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"perezvon/internal/call"
	"perezvon/internal/route"
	"perezvon/internal/store"
)

const callsPath = "/api/v1/calls"

func callPath(id string) string      { return callsPath + "/" + id }
func recordingPath(id string) string { return callPath(id) + "/recording" }

func (a *API) view() viewer { return viewer{a.Zone} }

type callsInput struct {
	Kind   string `query:"kind" doc:"callback, inbound, outbound or internal"`
	State  string `query:"state" doc:"For example talking or ended"`
	Result string `query:"result" doc:"For example completed or customer_busy"`
	Number string `query:"number" doc:"The customer's number, as people write numbers"`
	Line   string `query:"line" doc:"Id of the line"`
	From   string `query:"from" doc:"Created at or after this RFC 3339 time or date"`
	To     string `query:"to" doc:"Created before this RFC 3339 time or date"`
	Cursor string `query:"cursor" doc:"next of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"50" doc:"Calls per page"`
	strictQuery
}

// Resolve checks the choices, so that a misspelt one is not an empty list.
func (in *callsInput) Resolve(ctx huma.Context) []error {
	errs := in.strictQuery.Resolve(ctx)
	choice := func(field, value string, valid []string) {
		if value != "" && !slices.Contains(valid, value) {
			errs = append(errs, badField(field, "must be one of "+strings.Join(valid, ", ")))
		}
	}
	choice("kind", in.Kind, kinds())
	choice("state", in.State, states())
	choice("result", in.Result, results())
	for field, value := range map[string]string{"from": in.From, "to": in.To} {
		if _, ok := moment(value, time.UTC); value != "" && !ok {
			errs = append(errs, badField(field, "must be an RFC 3339 time or a date, such as 2027-01-31T09:00:00+03:00 or 2027-01-31"))
		}
	}
	return errs
}

func kinds() []string {
	return words(store.KindCallback, store.KindInbound, store.KindOutbound, store.KindInternal, store.KindInfocall)
}

func states() []string {
	return words(store.StateQueued, store.StateScheduled, store.StateRendering, store.StateWaitingRetry,
		store.StateRingingManager, store.StateAnnouncing, store.StateRingingCustomer, store.StateRinging,
		store.StatePlaying, store.StateTalking, store.StateHeld, store.StateEnded)
}

func results() []string {
	return words(store.ResultCompleted, store.ResultManagerUnavailable, store.ResultManagerHungUp,
		store.ResultCustomerBusy, store.ResultCustomerNoAnswer, store.ResultCustomerDeclined,
		store.ResultCustomerUnavailable, store.ResultInvalidNumber, store.ResultDirection, store.ResultTrunkFailed,
		store.ResultNoAudio, store.ResultSpeechFailed, store.ResultExpired, store.ResultInterrupted,
		store.ResultCancelled, store.ResultNotAllowed, store.ResultMissed, store.ResultAbandoned, store.ResultBusy,
		store.ResultOutOfHours, store.ResultVoicemail, store.ResultCustomerCalled, store.ResultDelivered, store.ResultHungUpEarly, store.ResultMachine,
		store.ResultNoAnswer, store.ResultDeclined, store.ResultUnavailable, store.ResultBlocked)
}

func words[T ~string](values ...T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

type callInput struct {
	ID string `path:"id" doc:"Id of the call" example:"0199a1b2c3d47e5f8091a2b3c4d5e6f7"`
	strictQuery
}

type (
	callOutput     struct{ Body Call }
	callListOutput struct{ Body CallList }
)

func (a *API) routeCalls(h huma.API) {
	huma.Register(h, secured(huma.Operation{
		OperationID: "list-calls", Method: http.MethodGet, Path: callsPath, Summary: "List calls, newest first",
		Description: "All filters must hold. `next` is the cursor of the following page and is left out on the last.",
		Tags:        []string{tagCalls},
	}, ScopeRead, ScopeCalls), a.listCalls)
	huma.Register(h, secured(huma.Operation{
		OperationID: "get-call", Method: http.MethodGet, Path: callsPath + "/{id}", Summary: "Show a call",
		Description: "With its attempts, its phones and what was measured on them.",
		Tags:        []string{tagCalls}, Metadata: fails(CodeCallNotFound, CodeStoreAway),
	}, ScopeRead, ScopeCalls), a.getCall)
	huma.Register(h, secured(huma.Operation{
		OperationID: "end-call", Method: http.MethodDelete, Path: callsPath + "/{id}", Summary: "Cancel or hang up a call",
		Description: "Legal in every state: what rings is cancelled, who talks is hung up. Answers with the call when it has ended.",
		Tags:        []string{tagCalls}, Metadata: fails(CodeCallNotFound, call.CodeAlreadyEnded, CodeDraining, CodeNotReady, CodeStoreAway),
	}, ScopeCalls), a.endCall)
}

func (a *API) listCalls(ctx context.Context, in *callsInput) (*callListOutput, error) {
	f := store.Filter{
		Kind: store.Kind(in.Kind), State: store.State(in.State), Result: store.Result(in.Result),
		Number: plus(in.Number), Line: in.Line, Cursor: in.Cursor, Limit: in.Limit,
	}
	f.From, _ = moment(in.From, a.Zone)
	f.To, _ = moment(in.To, a.Zone)
	calls, next, err := a.callsOf(ctx, f)
	if errors.Is(err, store.ErrBadCursor) {
		return nil, badCursor("cursor")
	}
	if err != nil {
		return nil, a.problemOf(ctx, "list calls", err)
	}
	out := CallList{Calls: make([]Call, 0, len(calls)), Next: next}
	for _, c := range calls {
		out.Calls = append(out.Calls, a.view().call(c))
	}
	return &callListOutput{out}, nil
}

// plus mends a number whose plus sign was not escaped in the query.
func plus(number string) string {
	if rest, ok := strings.CutPrefix(number, " "); ok {
		return "+" + rest
	}
	return number
}

// callsOf is a page of the calls that the client may see. A number is looked
// for as callbacks would dial it and, where that finds nothing, as it was
// given: lines of raw trunks keep it so.
func (a *API) callsOf(ctx context.Context, f store.Filter) ([]store.Call, string, error) {
	given := f.Number
	if given != "" {
		if e164, err := route.NewNumbers(a.cfg().Region, a.cfg().Limits.Destinations).Parse(given); err == nil {
			f.Number = e164
		}
	}
	calls, next, err := a.visibleCalls(ctx, clientOf(ctx), f)
	if err == nil && len(calls) == 0 && next == "" && f.Number != given {
		f.Number = given
		return a.visibleCalls(ctx, clientOf(ctx), f)
	}
	return calls, next, err
}

// maxPages bounds how much is read for one page of a client that sees few of
// the lines; a short page with a cursor follows.
const maxPages = 20

// visibleCalls is a page of the calls that a client may see.
func (a *API) visibleCalls(ctx context.Context, who *client, f store.Filter) ([]store.Call, string, error) {
	switch {
	case len(who.lines) == 0:
		return a.Records.Calls(ctx, f)
	case f.Line == "" && len(who.lines) == 1:
		f.Line = who.lines[0]
		return a.Records.Calls(ctx, f)
	case f.Line != "" && !who.sees(f.Line):
		return nil, "", nil
	case f.Line != "":
		return a.Records.Calls(ctx, f)
	}
	var (
		visible []store.Call
		want    = f.Limit
	)
	for range maxPages {
		f.Limit = want - len(visible)
		page, next, err := a.Records.Calls(ctx, f)
		if err != nil {
			return nil, "", err
		}
		for _, c := range page {
			if who.sees(c.Line) {
				visible = append(visible, c)
			}
		}
		f.Cursor = next
		if next == "" || len(visible) == want {
			break
		}
	}
	return visible, f.Cursor, nil
}

// find returns a call that the client may see. Calls of other lines do not
// exist for it.
func (a *API) findCall(ctx context.Context, given string) (store.Call, error) {
	id, ok := callID(given)
	if !ok {
		return store.Call{}, callNotFound(given)
	}
	c, err := a.Records.Call(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return store.Call{}, callNotFound(id)
	case err != nil:
		return store.Call{}, a.problemOf(ctx, "find call", err)
	case !clientOf(ctx).sees(c.Line):
		return store.Call{}, callNotFound(id)
	}
	return c, nil
}

// callID reads an id as people paste it: with dashes, in capitals.
func callID(s string) (string, bool) {
	s = strings.ToLower(strings.ReplaceAll(s, "-", ""))
	if len(s) != 32 || strings.Trim(s, "0123456789abcdef") != "" {
		return "", false
	}
	return s, true
}

func (a *API) getCall(ctx context.Context, in *callInput) (*callOutput, error) {
	c, err := a.findCall(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &callOutput{a.view().call(c)}, nil
}

func (a *API) endCall(ctx context.Context, in *callInput) (*callOutput, error) {
	c, err := a.findCall(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	ended, err := a.Calls.Cancel(ctx, c.ID, clientOf(ctx).name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, callNotFound(c.ID)
	}
	if err != nil {
		return nil, a.problemOf(ctx, "end call", err)
	}
	return &callOutput{a.view().call(ended)}, nil
}
