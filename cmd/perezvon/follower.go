package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/client"
	"perezvon/internal/store"
)

const (
	progressEvery = 400 * time.Millisecond
	outageLimit   = time.Minute     // a restarting server carries its calls on
	againAfter    = time.Second     // where no stream of events comes about at all
	lastLook      = 3 * time.Second // at a call that has ended
)

// follower shows a call while it runs.
type follower struct {
	client *client.Client
	out    *console
	quiet  bool // print nothing: the result is for a program
	call   api.Call
	leave  string // told when a long wait begins, once; empty: nothing

	shown timeline
	last  string    // id of the last event seen
	state string    // in words
	since time.Time // of the state
	ended bool
	lost  time.Time // since when the server does not answer; zero: it does
	away  bool      // it answers, but its store does not
}

func (f *follower) tell(format string, args ...any) {
	if !f.quiet {
		f.out.line(plain, format, args...)
	}
}

// report is what the connection tells the follower.
type report struct {
	event *api.Event // nil: the connection was made, or was lost
	lost  error      // nil: it was made
}

// follow returns the call when it has ended. With an error it returns what is
// known of it.
func (f *follower) follow(ctx context.Context) (api.Call, error) {
	listening, stop := context.WithCancel(ctx)
	reports, over := make(chan report), make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { over <- f.listen(listening, reports) })
	err := f.watch(ctx, reports, over)
	stop()
	wg.Wait()
	return f.call, err
}

// toTheEnd follows the call and tells how it ended, with the whole call for
// programs. It is an error unless the two have talked, or the message was heard.
func (f *follower) toTheEnd(ctx context.Context, asJSON bool) error {
	call, err := f.follow(ctx)
	var refused *client.Error
	switch {
	case errors.As(err, &refused) && refused.Problem.Code == api.CodeScopeMissing:
		if call.NextAt != nil {
			f.tell("It waits until %s.", moment(*call.NextAt))
		}
		f.tell("This key may not follow it; a key with the scope read or calls may: %s call %s", program(), call.ID)
		if asJSON {
			return printJSON(call)
		}
		return nil
	case err != nil:
		f.out.erase()
		newConsole(os.Stderr).line(plain, "%s", f.left())
		if ctx.Err() != nil {
			return errTold
		}
		return err
	}
	if asJSON {
		if err := printJSON(call); err != nil {
			return err
		}
	} else {
		summarize(f.out, call)
	}
	switch store.Result(value(call.Result)) {
	case store.ResultCompleted, store.ResultDelivered:
		return nil
	}
	return errTold
}

// watch takes what the connection tells, until the call has ended.
func (f *follower) watch(ctx context.Context, reports <-chan report, over <-chan error) error {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for !f.ended {
		select {
		case r := <-reports:
			f.take(ctx, r)
		case err := <-over:
			return err
		case <-tick.C:
			if !f.lost.IsZero() && time.Since(f.lost) > outageLimit {
				return errGone
			}
			f.progress()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// errGone is a server that has not come back.
var errGone = errors.New("the server has not answered for " + outageLimit.String())

// listen passes on the events of the call until ctx ends or the server refuses.
// A server that goes away before the first of them is waited for as well.
func (f *follower) listen(ctx context.Context, reports chan<- report) error {
	pass := func(r report) error {
		select {
		case reports <- r:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	following := client.Following{
		Call:      f.call.ID,
		Connected: func() { _ = pass(report{}) },
		Lost:      func(err error) { _ = pass(report{lost: err}) },
	}
	for {
		err := f.client.Follow(ctx, following, func(e api.Event) error { return pass(report{event: &e}) })
		if ctx.Err() != nil || !passing(err) {
			return err
		}
		if err := pass(report{lost: err}); err != nil {
			return err
		}
		select {
		case <-time.After(againAfter):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// passing reports whether another try may help: nobody answered, or not now.
func passing(err error) bool {
	if refused, ok := errors.AsType[*client.Error](err); ok {
		status := refused.Problem.Status
		return status >= http.StatusInternalServerError || status == http.StatusTooManyRequests
	}
	_, unreachable := errors.AsType[*client.UnreachableError](err)
	return unreachable
}

func (f *follower) take(ctx context.Context, r report) {
	switch {
	case r.event != nil:
		f.lost, f.away = time.Time{}, false
		f.see(ctx, *r.event)
	case r.lost == nil:
		f.lost = time.Time{}
	case client.Away(r.lost):
		f.lost = time.Time{}
		if !f.away {
			f.tell("%s  the server's Redis does not answer; the call goes on, and what happens in it is told later", clock(time.Now()))
		}
		f.away = true
	case f.lost.IsZero():
		f.lost = time.Now()
		f.tell("%s  the server does not answer; waiting for it", clock(f.lost))
	}
}

// see shows one event, once.
func (f *follower) see(ctx context.Context, e api.Event) {
	if e.ID <= f.last {
		return
	}
	f.last = e.ID
	if !f.quiet {
		f.shown.print(f.out, []api.Event{e})
	}
	switch e.Type {
	case store.EventCallState:
		f.state, _ = f.shown.describe(e)
		f.since = e.At
		f.wait(e)
	case store.EventRecordingReady:
		var r api.RecordingOfCall
		if json.Unmarshal(e.Data, &r) == nil {
			f.call.Recording = &r
		}
	case store.EventCallEnded:
		f.end(ctx, e)
	}
}

// end takes the call as the server knows it. A server that stops tells of the
// end with its last words and may be gone then: what they say has to do.
func (f *follower) end(ctx context.Context, e api.Event) {
	f.ended = true
	f.call.State, f.call.NextAt, f.call.EndedAt = string(store.StateEnded), nil, &e.At
	_ = json.Unmarshal(e.Data, &f.call) // result, code, reason and times have the same names; what is not understood is left
	ctx, cancel := context.WithTimeout(ctx, lastLook)
	defer cancel()
	if call, err := f.client.Call(ctx, f.call.ID); err == nil {
		f.call = call
	}
}

// progress shows how long the state has lasted.
func (f *follower) progress() {
	if f.state != "" && !f.quiet && f.lost.IsZero() {
		f.out.progress("          %s … %s", f.state, seconds(time.Since(f.since).Round(time.Second).Milliseconds()))
	}
}

// wait tells how to leave when a call waits for its time or for another try:
// that may take long.
func (f *follower) wait(e api.Event) {
	var d eventData
	if f.leave == "" || json.Unmarshal(e.Data, &d) != nil || !waits(d.State) {
		return
	}
	f.tell("%s", f.leave)
	f.leave = ""
}

// left says what becomes of a call that is not followed to its end.
func (f *follower) left() string {
	if f.lost.IsZero() {
		return fmt.Sprintf("The call goes on. Hang up with: %s hangup %s", program(), f.call.ID)
	}
	return fmt.Sprintf("The server is gone; what became of the call is known when it is back: %s call %s", program(), f.call.ID)
}
