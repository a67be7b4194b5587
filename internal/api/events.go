package api

import (
	"cmp"
	"context"
	"errors"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"perezvon/internal/store"
)

const lastEventHeader = "Last-Event-ID"

// EventParams are what requests for events have in common. It is exported for the sake of huma, which reads it.
type EventParams struct {
	After  string   `query:"after" doc:"Id of the last event already seen, or next of the page before"`
	Types  []string `query:"type,explode" nullable:"false" doc:"Only events of this type; may be repeated" example:"call.ended"`
	Limit  int      `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Events per page; streams have no pages"`
	LastID string   `header:"Last-Event-ID" doc:"Id of the last event that a stream has brought; goes before after"`
	strictQuery
}

// Resolve checks the types, so that a misspelt one is not an empty list.
func (in *EventParams) Resolve(ctx huma.Context) []error {
	errs := in.strictQuery.Resolve(ctx)
	known := eventTypes()
	for _, t := range in.Types {
		if !slices.Contains(known, t) {
			errs = append(errs, badField("type", "must be one of "+strings.Join(known, ", ")))
			break
		}
	}
	return errs
}

// after is where the client begins, and the parameter that says so.
func (in *EventParams) begin(stream bool) (id, field string) {
	if stream && in.LastID != "" {
		return in.LastID, lastEventHeader
	}
	return in.After, "after"
}

type (
	eventsInput struct {
		Call string `query:"call" doc:"Only events of this call"`
		EventParams
	}
	callEventsInput struct {
		ID string `path:"id" doc:"Id of the call" example:"0199a1b2c3d47e5f8091a2b3c4d5e6f7"`
		EventParams
	}
)

func eventTypes() []string {
	return []string{
		store.EventCallCreated, store.EventCallState, store.EventCallEnded, store.EventDecision, store.EventTransferred, store.EventNumberBlocked,
		store.EventLegDialling, store.EventLegRinging, store.EventLegAnswered, store.EventLegEnded,
		store.EventMediaQuality, store.EventRecordingReady, store.EventRecordingRemoved,
		store.EventRecordingSuspended, store.EventRecordingResumed, store.EventTrunkUp, store.EventTrunkDown,
		store.EventExtensionRegistered, store.EventExtensionUnregistered,
		store.EventBanned, store.EventUnbanned,
	}
}

func (a *API) routeEvents(h huma.API) {
	responses := func() map[string]*huma.Response {
		page := h.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[EventList](), true, "EventList")
		return map[string]*huma.Response{"200": {
			Description: "A page of events, or the stream that was asked for",
			Content: map[string]*huma.MediaType{
				"application/json": {Schema: page},
				eventStream:        {Schema: &huma.Schema{Type: huma.TypeString}, Example: streamExample},
			},
		}}
	}
	huma.Register(h, secured(huma.Operation{
		OperationID: "list-events", Method: http.MethodGet, Path: "/api/v1/events",
		Summary: "Read or follow all events",
		Description: "A page of events, oldest first; with Accept: text/event-stream a stream of server-sent events that " +
			"begins after Last-Event-ID, else after `after`, else with what happens from now on. Keys with lines see " +
			"events of calls of their lines only, keys with the scope calls alone those of calls only.",
		Tags: []string{tagEvents}, Responses: responses(),
		Metadata: fails(CodeCallNotFound, CodeTooManyStreams, CodeDraining, CodeNotReady, CodeStoreAway),
	}, ScopeRead, ScopeCalls), func(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
		if in.Call == "" {
			return a.answerEvents(ctx, eventQuery{}, &in.EventParams)
		}
		return a.answerCallEvents(ctx, in.Call, &in.EventParams)
	})
	huma.Register(h, secured(huma.Operation{
		OperationID: "list-call-events", Method: http.MethodGet, Path: callsPath + "/{id}/events",
		Summary: "Read or follow the timeline of a call",
		Description: "A page of the call's events, oldest first; with Accept: text/event-stream a stream of server-sent " +
			"events that begins after Last-Event-ID, else after `after`, else with the first event of the call.",
		Tags: []string{tagEvents}, Responses: responses(),
		Metadata: fails(CodeCallNotFound, CodeTooManyStreams, CodeDraining, CodeNotReady, CodeStoreAway),
	}, ScopeRead, ScopeCalls), func(ctx context.Context, in *callEventsInput) (*huma.StreamResponse, error) {
		return a.answerCallEvents(ctx, in.ID, &in.EventParams)
	})
}

// answerCallEvents answers with events of one call that the client may see.
func (a *API) answerCallEvents(ctx context.Context, id string, in *EventParams) (*huma.StreamResponse, error) {
	c, err := a.findCall(ctx, id)
	if err != nil {
		return nil, err
	}
	return a.answerEvents(ctx, eventQuery{call: c.ID, whole: true}, in)
}

func (a *API) answerEvents(ctx context.Context, q eventQuery, in *EventParams) (*huma.StreamResponse, error) {
	q.who, q.types = clientOf(ctx), in.Types
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		r, w := humago.Unwrap(hctx)
		stream := wantsStream(r.Header.Values("Accept"))
		w.Header().Add("Vary", "Accept")
		var field string
		if q.after, field = in.begin(stream); stream {
			a.serveStream(ctx, w, r.Method == http.MethodHead, q, field)
			return
		}
		page, err := a.eventPage(ctx, q, in.Limit)
		if err != nil {
			a.eventProblem(ctx, "list events", field, err).write(w, a.Logger)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := encode(w, page); err != nil {
			a.Logger.Debug("events not delivered", "error", err)
		}
	}}, nil
}

const eventStream = "text/event-stream"

// wantsStream reports whether an Accept header prefers a stream to JSON. A
// stream must be named: browsers and curl accept anything.
func wantsStream(accept []string) bool {
	var stream, page float64
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		kind, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q := 1.0
		if v, err := strconv.ParseFloat(params["q"], 64); err == nil && params["q"] != "" {
			q = v
		}
		switch kind {
		case eventStream:
			stream = max(stream, q)
		case "application/json":
			page = max(page, q)
		}
	}
	return stream > 0 && stream >= page
}

// eventQuery selects events for a client.
type eventQuery struct {
	who   *client
	call  string   // one that the client may see; empty: all that it may see
	whole bool     // a stream without an id to begin after begins at the beginning
	types []string // empty: all
	after string   // id of the last event that the client has seen
}

// selective reports whether the store may hold events that the client does
// not get.
func (q *eventQuery) selective() bool {
	return len(q.types) > 0 || q.call == "" && (len(q.who.lines) > 0 || !q.who.may(ScopeRead))
}

// wants reports whether an event is to be sent to the client.
func (a *API) wants(ctx context.Context, q *eventQuery, kind, call string) (bool, error) {
	switch {
	case len(q.types) > 0 && !slices.Contains(q.types, kind):
		return false, nil
	case q.call != "":
		return call == q.call, nil
	case call == "":
		return len(q.who.lines) == 0 && q.who.may(ScopeRead), nil
	case len(q.who.lines) == 0:
		return true, nil
	}
	line, ok := a.lines.get(call)
	if !ok {
		c, err := a.Records.Call(ctx, call)
		if errors.Is(err, store.ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		line = c.Line
		a.lines.put(call, line)
	}
	return q.who.sees(line), nil
}

// errAhead is an id that no event here has reached.
var errAhead = errors.New("event id is ahead of the log")

// eventPage is a page of what the client asks for. Where few of the events are
// for it the page may be short, and even empty, and have a next one.
func (a *API) eventPage(ctx context.Context, q eventQuery, limit int) (EventList, error) {
	out := EventList{Events: []Event{}}
	f := store.EventFilter{CallID: q.call, After: q.after, Limit: limit}
	if q.selective() {
		f.Limit = 1000
	}
	for n := range maxPages {
		events, next, err := a.Records.Events(ctx, f)
		if err != nil {
			return out, err
		}
		if n == 0 && len(events) == 0 && q.after != "" {
			return out, a.notAhead(ctx, q.after)
		}
		for i, e := range events {
			if ok, err := a.wants(ctx, &q, e.Type, e.CallID); err != nil {
				return out, err
			} else if !ok {
				continue
			}
			out.Events = append(out.Events, a.view().event(e))
			if len(out.Events) == limit {
				if next != "" || i < len(events)-1 {
					out.Next = e.ID
				}
				return out, nil
			}
		}
		if next == "" {
			return out, nil
		}
		f.After = next
	}
	out.Next = f.After
	return out, nil
}

// notAhead returns errAhead where an id is newer than the newest event.
func (a *API) notAhead(ctx context.Context, id string) error {
	last, err := a.Records.LastEvent(ctx)
	if err == nil && cmp.Compare(id, last) > 0 {
		err = errAhead
	}
	return err
}

// eventProblem says what is wrong with where a client wants to begin, or what
// else went wrong.
func (a *API) eventProblem(ctx context.Context, op, field string, err error) *Problem {
	switch {
	case errors.Is(err, store.ErrBadCursor):
		return badCursor(field)
	case errors.Is(err, errAhead):
		return newProblem(http.StatusUnprocessableEntity, CodeInvalidRequest, field+" is wrong",
			FieldError{field, "is newer than the newest event: it is from another store, or from before this one was restored; leave it out to begin anew"})
	}
	return a.problemOf(ctx, op, err)
}
