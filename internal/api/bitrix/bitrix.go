// Package bitrix answers the telephony methods of Bitrix24's REST API, so that
// a back end written for Bitrix24 works with only its URL changed.
//
// What goes over the wire is Bitrix24's: addresses, encodings, envelopes, error
// codes and their texts are those of its documentation
// (https://apidocs.bitrix24.com/), also where they are odd. What the methods do
// is Perezvon's.
package bitrix

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"perezvon/configs"
	"perezvon/internal/call"
	"perezvon/internal/store"
)

// Calls starts calls. *call.Service is one.
type Calls interface {
	// Callback stores a callback and returns it, or the open call that the
	// request repeats. Errors are *call.RefusedError or store.ErrKeyReused;
	// anything else is a fault of the server.
	Callback(ctx context.Context, req call.CallbackRequest) (c store.Call, duplicate bool, err error)
	// Infocall stores an informational call, in the same way.
	Infocall(ctx context.Context, req call.InfocallRequest) (c store.Call, duplicate bool, err error)
}

// Records are the stored calls.
type Records interface {
	// Calls returns a page, newest first, and the cursor of the next one,
	// empty on the last.
	Calls(ctx context.Context, f store.Filter) ([]store.Call, string, error)
}

// Client is who asks.
type Client interface {
	Name() string
	May(scopes ...string) bool // one of the scopes of the native API
	Sees(line string) bool     // may know of a line
}

// Options are what an API is made of.
type Options struct {
	Calls    Calls
	Records  Records
	Settings func() *configs.Config
	Zone     func() *time.Location // of times in answers
	// Identify returns who sent a request that holds a key, empty where it holds
	// none; nil: the key is not known.
	Identify func(r *http.Request, key string) Client
	Scopes   Scopes
	Draining func() bool
	Logger   *slog.Logger
}

// Scopes are the names that the native API's keys have for what one may do.
type Scopes struct {
	Callback []string // place callbacks
	Infocall []string // place informational calls
	Read     []string // see what there is, and calls
}

// API answers below /rest/. It is safe for concurrent use.
type API struct {
	Options
	methods map[string]method
}

// method is one of the API's.
type method struct {
	scopes []string
	batch  bool // it may stand in a batch
	run    func(ctx context.Context, q *query) (*reply, *Error)
}

// reply is what a method answers.
type reply struct {
	result any
	paged  bool // a list: total holds
	total  int
	next   int // 0: there is no further page
}

// New returns the API.
func New(o Options) *API {
	a := &API{Options: o}
	known := slices.Concat(o.Scopes.Callback, o.Scopes.Infocall, o.Scopes.Read)
	a.methods = map[string]method{
		"batch":                              {known, false, a.batch},
		"method.get":                         {known, true, a.methodGet},
		"server.time":                        {known, true, a.serverTime},
		"user.get":                           {o.Scopes.Read, true, a.userGet},
		"voximplant.callback.start":          {o.Scopes.Callback, true, a.callbackStart},
		"voximplant.infocall.startwithtext":  {o.Scopes.Infocall, true, a.infocallWithText},
		"voximplant.infocall.startwithsound": {o.Scopes.Infocall, true, a.infocallWithSound},
		"voximplant.line.get":                {known, true, a.lineGet},
		"voximplant.line.outgoing.get":       {known, true, a.lineOutgoingGet},
		"voximplant.statistic.get":           {o.Scopes.Read, true, a.statisticGet},
		"voximplant.tts.voices.get":          {known, true, a.voicesGet},
		"voximplant.url.get":                 {o.Scopes.Read, true, a.urlGet},
	}
	return a
}

// Methods are the names of all methods, in order.
func (a *API) Methods() []string { return slices.Sorted(maps.Keys(a.methods)) }

// ServeHTTP answers GET and POST of /rest/{user}/{key}/{method} and
// /rest/{method}, the latter with a parameter auth.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	took := begin(time.Now(), a.Zone())
	name := ""
	defer func() {
		// The path holds the key: nobody further up may come to log it.
		if v := recover(); v != nil {
			a.Logger.ErrorContext(r.Context(), "method panicked", "method", name, "panic", v, "stack", string(debug.Stack()))
			a.send(w, nil, errInternal, took)
		}
	}()
	q, key, bad := readRequest(w, r)
	if bad != nil {
		a.send(w, nil, bad, took)
		return
	}
	name = q.method
	q.client = a.Identify(r, key)
	switch {
	case q.client == nil && q.webhook:
		bad = errWrongSecret
	case q.client == nil:
		bad = errNoAuth
	}
	var out *reply
	if bad == nil {
		out, bad = a.call(r.Context(), q)
	}
	a.send(w, out, bad, took)
}

// call runs one method for a client, by itself or out of a batch.
func (a *API) call(ctx context.Context, q *query) (*reply, *Error) {
	m, ok := a.methods[q.method]
	switch {
	case !ok:
		return nil, errNoMethod
	case q.inBatch && !m.batch:
		return nil, errNotInBatch
	case !q.client.May(m.scopes...):
		return nil, errScope
	}
	return m.run(ctx, q)
}

// failed is the answer to a failure that is not the client's.
func (a *API) failed(ctx context.Context, q *query, err error) *Error {
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return errInternal // nobody reads it any more
	}
	a.Logger.ErrorContext(ctx, "request went wrong", "method", q.method, "error", err)
	if errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrAway) {
		return errComeBack
	}
	return errInternal
}

func (a *API) serverTime(context.Context, *query) (*reply, *Error) {
	return &reply{result: time.Now().In(a.Zone()).Format(time.RFC3339)}, nil
}

// methodGet says whether there is a method, and whether the client may call it.
func (a *API) methodGet(_ context.Context, q *query) (*reply, *Error) {
	name, bad := q.need("NAME")
	if bad != nil {
		return nil, bad
	}
	m, ok := a.methods[strings.ToLower(name)]
	return &reply{result: map[string]bool{"isExisting": ok, "isAvailable": ok && q.client.May(m.scopes...)}}, nil
}
