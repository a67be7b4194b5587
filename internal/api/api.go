// Package api is Perezvon's HTTP interface: it places callbacks, shows calls
// with their timelines and recordings, ends them, and reports what there is
// and how it is.
//
// Handlers translate and check who may do what; behaviour lives in
// internal/call, records in internal/store. Every error is a problem
// (RFC 9457) with a stable code that names every bad field.
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"

	"perezvon/configs"
	"perezvon/internal/call"
	"perezvon/internal/store"
)

// Calls starts and ends calls.
type Calls interface {
	// Callback stores a callback and returns it, or the open call that the
	// request repeats, with duplicate set. Errors are *call.RefusedError or
	// store.ErrKeyReused; anything else is a fault of the server.
	Callback(ctx context.Context, req call.CallbackRequest) (c store.Call, duplicate bool, err error)
	// Dial stores a click-to-call and returns it, or the call that the request
	// repeats, with duplicate set. Errors are as those of Callback.
	Dial(ctx context.Context, req call.DialRequest) (c store.Call, duplicate bool, err error)
	// Infocall stores an informational call and returns it, or the call that the
	// request repeats, with duplicate set. Errors are as those of Callback.
	Infocall(ctx context.Context, req call.InfocallRequest) (c store.Call, duplicate bool, err error)
	// AwaitInfocall returns a call when it has ended, or as it is when ctx ends or
	// the server stops.
	AwaitInfocall(ctx context.Context, id string) (store.Call, error)
	// Cancel ends a call in whatever state it is; by names who asked. Errors
	// are store.ErrNotFound or *call.RefusedError where it has ended already.
	Cancel(ctx context.Context, id, by string) (store.Call, error)
}

// Controls act on calls whose two sides are connected. Errors are
// store.ErrNotFound, or *call.RefusedError where there is nothing to act on.
type Controls interface {
	// Hold lets the customer wait; by names who asked.
	Hold(ctx context.Context, id, by string) (store.Call, error)
	Resume(ctx context.Context, id string) (store.Call, error)
	// Press presses keys for a side of the call; empty: the customer's.
	Press(ctx context.Context, id, keys, to string) (store.Call, error)
	// Say speaks a text to a side of the call; empty: to both.
	Say(ctx context.Context, id, text, voice, to string) (store.Call, error)
	// Transfer has the office's phone pass the other side on to a number; by is
	// who asks.
	Transfer(ctx context.Context, id, number string, by call.Asker) (store.Call, error)
}

// Office knows what was said of its phones.
type Office interface {
	// DND reports whether an extension is set to do not disturb.
	DND(extension string) bool
	// SetDND returns store.ErrNotFound where there is no such extension.
	SetDND(ctx context.Context, extension string, on bool) error
}

// Checker is what Calls may also be. With it an answer to a request whose
// form is wrong names the fields whose values are wrong, too.
type Checker interface {
	// Check returns every problem of a request, without placing a call.
	Check(ctx context.Context, req call.CallbackRequest) []call.Problem
}

// Records are the stored calls.
type Records interface {
	// Call returns store.ErrNotFound where there is none.
	Call(ctx context.Context, id string) (store.Call, error)
	// Calls returns a page, newest first, and the cursor of the next one,
	// empty on the last. A foreign cursor is store.ErrBadCursor.
	Calls(ctx context.Context, f store.Filter) ([]store.Call, string, error)
	// Events returns a page, oldest first, and the cursor of the next one. A
	// foreign id to begin after is store.ErrBadCursor.
	Events(ctx context.Context, f store.EventFilter) ([]store.Event, string, error)
	// LastEvent returns the id of the newest event; where there is none, one
	// that is before all events.
	LastEvent(ctx context.Context) (string, error)
	// EventsChanged returns a channel that is closed when further events can
	// be read.
	EventsChanged() <-chan struct{}
}

// Health tells how the server is.
type Health interface {
	Status(ctx context.Context) Status
	// Unready lists what keeps the server from taking calls; nothing: ready.
	Unready(ctx context.Context) []Reason
	// Degraded lists what does not work although the server takes calls.
	Degraded(ctx context.Context) []Reason
	// Draining reports that no new calls are taken, and when to try again.
	Draining() (retryAfter time.Duration, draining bool)
}

// Options are what an API is made of. Trunks, Bans, Blocked, Speech, Sounds, Zone, Registry and Logger
// may be left out.
type Options struct {
	Config     *configs.Config
	Calls      Calls
	Controls   Controls
	Office     Office
	Records    Records
	Health     Health
	Trunks     Trunks               // nil: nothing is known of them
	Phones     Phones               // nil: none is registered
	Bans       Bans                 // nil: nobody is banned
	Blocked    Blocked              // nil: no number is
	Reload     Reload               // nil: it cannot be asked for
	Speech     Speech               // nil: there is none
	Sounds     Sounds               // nil: none are kept
	Traces     Traces               // nil: they are off
	Recordings string               // directory of the recordings
	Version    string               // of the program
	Zone       *time.Location       // of times in answers; nil: the machine's
	Registry   *prometheus.Registry // served at /metrics; nil: an empty one
	Logger     *slog.Logger         // nil: silent
}

// API serves HTTP. It is safe for concurrent use and has nothing to close:
// its streams end with their requests, or when its Server shuts down.
type API struct {
	Options

	now      atomic.Pointer[settings]
	mux      *http.ServeMux
	tail     *tail
	streams  *streams
	lines    lineCache
	pure     pureKeys
	acted    pureKeys      // of what was done to calls in progress
	speaking chan struct{} // one token per text that is rendered for a client
	handler  http.Handler
}

// New checks the options and builds the handlers. Without keys it refuses a
// configuration that makes the API public.
func New(o Options) (*API, error) {
	if o.Config == nil || o.Calls == nil || o.Controls == nil || o.Office == nil || o.Records == nil || o.Health == nil {
		return nil, errors.New("api: config, calls, controls, office, records and health are needed")
	}
	if o.Zone == nil {
		o.Zone = time.Local
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	a := &API{Options: o, mux: http.NewServeMux()}
	a.Reconfigure(o.Config)
	if len(o.Config.HTTP.Keys) == 0 && o.Config.HTTP.PublicURL != "" {
		return nil, errors.New("api: http.public_url is set but http.keys is empty: anybody could place calls; add a key or remove public_url")
	}
	a.tail = newTail(o.Records, a.view().frame)
	a.streams = newStreams()
	a.speaking = make(chan struct{}, maxSpeeches)
	meter, err := newMeter(o.Registry, a.streams)
	if err != nil {
		return nil, fmt.Errorf("api: register metrics: %w", err)
	}
	a.routes()
	a.handler = a.guard(meter, a.dispatch())
	return a, nil
}

// Handler returns everything the API serves.
func (a *API) Handler() http.Handler { return a.handler }

// routes registers every endpoint.
func (a *API) routes() {
	h := humago.New(a.mux, a.humaConfig())
	h.UseMiddleware(ignoreAccept, a.authenticate)
	a.routeCallbacks(h)
	a.routeInfocalls(h)
	a.routeSounds(h)
	a.routeCalls(h)
	a.routeDial(h)
	a.routeControls(h)
	a.routeDND(h)
	a.routeEvents(h)
	a.routeRecording(h)
	a.routeTrace(h)
	a.routeDirectory(h)
	a.routeTrunks(h)
	a.routeBans(h)
	a.routeBlocked(h)
	a.routeReload(h)
	a.routeSpeech(h)
	a.routeHealth(h)
	a.routeRest()

	finish(h.OpenAPI())
	a.routeDocs(h.OpenAPI())
}

// humaConfig leaves out what huma would serve by itself: its documentation
// pages load scripts from elsewhere, and its OpenAPI handler is not safe for
// concurrent first requests.
func (a *API) humaConfig() huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:   "Perezvon",
				Version: a.Version,
				Description: "Places callbacks and informational calls, shows calls and what happens to them. JSON in and out, times in RFC 3339 with an offset. " +
					"What is no success is a problem (RFC 9457) with a `code` that never changes and a `detail` for people; 429 and 503 carry `Retry-After`. " +
					"Fields of requests and parameters that do not exist are errors; answers may get more fields, and there will be more types of events.",
			},
			Servers: []*huma.Server{{URL: "/", Description: "This server"}},
			Tags:    tags(),
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry(schemaPrefix, huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"key": {Type: "http", Scheme: "bearer", Description: "A key of http.keys in the configuration"},
				},
			},
		},
		Formats:       map[string]huma.Format{"application/json": jsonFormat(), "json": jsonFormat()}, // the latter: …+json
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{transformError},
	}
}
