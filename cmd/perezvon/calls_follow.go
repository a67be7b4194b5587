package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"perezvon/internal/api"
	"perezvon/internal/client"
	"perezvon/internal/store"
)

// follow shows calls as they begin, change and end, until it is interrupted.
func (cmd *CallsCmd) follow(c *CLI) error {
	for _, flag := range []string{"state", "result", "number", "from", "to", "cursor", "limit"} {
		if c.given[flag] {
			return &usageError{fmt.Errorf("--%s cannot be used with --follow; --kind and --line can", flag)}
		}
	}
	server, err := cmd.client(c)
	if err != nil {
		return err
	}
	defer server.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	w := &watch{
		server: server, out: newConsole(os.Stdout), about: newConsole(os.Stderr), json: c.JSON,
		kind: cmd.Kind, line: cmd.Line, calls: make(map[string]*watched),
	}
	if err = w.run(ctx); ctx.Err() != nil {
		return nil // that is how it ends
	}
	return err
}

// watch shows the calls that it is told of.
type watch struct {
	server *client.Client
	out    *console
	about  *console // tells of the watching itself, where it does not disturb what is read
	json   bool
	kind   string // empty: all
	line   string // empty: all
	calls  map[string]*watched
	lost   bool
}

// watched is a call that has not ended.
type watched struct {
	kind, line, number string
	events             timeline
}

// tail is how much of an id is shown: commands take the end of one.
const tail = 8

func (w *watch) run(ctx context.Context) error {
	if err := w.open(ctx); err != nil {
		return err
	}
	return w.server.Follow(ctx, client.Following{
		Types: []string{store.EventCallCreated, store.EventCallState, store.EventCallEnded}, Lost: w.lose,
	}, func(e api.Event) error { return w.show(ctx, e) })
}

// open shows the calls that are in progress already.
func (w *watch) open(ctx context.Context) error {
	page, err := w.server.Calls(ctx, map[string]string{"kind": w.kind, "line": w.line, "limit": "1000"})
	if err != nil {
		return err
	}
	for i := len(page.Calls) - 1; i >= 0; i-- {
		if c := &page.Calls[i]; c.Result == nil {
			known := w.know(c)
			w.print(plain, c.ID, date(c.CreatedAt), known, stateWords(c.State))
		}
	}
	return nil
}

func (w *watch) know(c *api.Call) *watched {
	known := &watched{kind: c.Kind, line: c.Line, number: c.Number, events: timeline{kind: c.Kind}}
	w.calls[c.ID] = known
	return known
}

// show prints one event.
func (w *watch) show(ctx context.Context, e api.Event) error {
	if w.lost {
		w.lost = false
		w.about.line(plain, "connected again; nothing was left out")
	}
	known, err := w.find(ctx, e)
	if err != nil {
		return err
	}
	if e.Type == store.EventCallEnded {
		delete(w.calls, e.CallID)
	}
	if known == nil || w.kind != "" && known.kind != w.kind || w.line != "" && known.line != w.line {
		return nil
	}
	if w.json {
		return json.NewEncoder(w.out.w).Encode(e)
	}
	text, tone := known.events.describe(e)
	w.print(tone, e.CallID, clock(e.At), known, text)
	return nil
}

// find returns the call of an event, nil if it is gone. One that began before
// we looked is asked for.
func (w *watch) find(ctx context.Context, e api.Event) (*watched, error) {
	if known := w.calls[e.CallID]; known != nil {
		return known, nil
	}
	if e.Type == store.EventCallCreated {
		var d eventData
		var of struct {
			Line string `json:"line"`
		}
		if json.Unmarshal(e.Data, &d) == nil && json.Unmarshal(e.Data, &of) == nil {
			return w.know(&api.Call{ID: e.CallID, Kind: d.Kind, Line: of.Line, Number: d.Number}), nil
		}
	}
	c, err := w.server.Call(ctx, e.CallID)
	var refused *client.Error
	switch {
	case errors.As(err, &refused):
		return nil, nil
	case err != nil:
		return &watched{kind: w.kind, line: w.line}, ctx.Err() // the event alone says enough
	}
	return w.know(&c), nil
}

func (w *watch) print(t tone, id, when string, known *watched, text string) {
	if !w.json {
		w.out.line(t, "%s  %s  %-8s  %s  %s  %s", when, id[max(0, len(id)-tail):], known.kind, known.line, known.number, text)
	}
}

// lose tells once that the connection was lost.
func (w *watch) lose(err error) {
	if !w.lost {
		w.about.line(plain, "%v; trying again until it is back", err)
	}
	w.lost = true
}
