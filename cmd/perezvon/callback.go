package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/client"
	"perezvon/internal/store"
)

// CallbackCmd places a callback and follows it.
type CallbackCmd struct {
	remote
	Line    string `required:"" placeholder:"ID" help:"Line the call goes through."`
	Number  string `required:"" placeholder:"NUMBER" help:"Whom to call back."`
	Text    string `placeholder:"TEXT" help:"What the manager is told first."`
	Voice   string `placeholder:"ID" help:"Voice of the text."`
	Manager string `placeholder:"WHO" help:"Extension or number to ring instead of the line's route."`

	Mode      string `placeholder:"MODE" help:"Who is called first: manager_first or customer_first; without it what the configuration says."`
	NotBefore string `placeholder:"TIME" help:"Nobody is called before: 15:30, 2027-01-11 15:30, or RFC 3339."`
}

// Run succeeds only if the two have talked.
func (cmd *CallbackCmd) Run(c *CLI) error {
	body, err := cmd.body(time.Now())
	if err != nil {
		return err
	}
	server, err := cmd.client(c)
	if err != nil {
		return err
	}
	defer server.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the next Ctrl-C is not caught

	call, err := server.Callback(ctx, body)
	if ctx.Err() != nil {
		return errors.New("interrupted before the server answered; see perezvon calls whether the call is placed")
	}
	if err != nil {
		return err
	}
	f := &follower{client: server, out: newConsole(os.Stdout), quiet: c.JSON, call: call, leave: "Ctrl-C leaves; the call goes on."}
	if call.Duplicate {
		f.tell("Call %s is open already (line %s, number %s); following it.", call.ID, call.Line, call.Number)
	} else {
		f.tell("Call %s is placed (line %s, number %s).", call.ID, call.Line, call.Number)
	}
	if call.State == string(store.StateScheduled) && call.NextAt != nil {
		f.tell("It waits until %s: the line is closed, or it was ordered for then. %s", date(*call.NextAt), f.leave)
		f.leave = ""
	}
	call, err = f.follow(ctx)
	var refused *client.Error
	switch {
	case errors.As(err, &refused) && refused.Problem.Code == api.CodeScopeMissing:
		f.tell("This key may not follow it; a key with the scope read or calls may: perezvon call %s", call.ID)
		if c.JSON {
			return printJSON(call)
		}
		return nil
	case err != nil:
		f.out.erase()
		newConsole(os.Stderr).line(plain, "The call goes on. Hang up with: perezvon hangup %s", call.ID)
		if ctx.Err() != nil {
			return errTold
		}
		return err
	}
	if c.JSON {
		if err := printJSON(call); err != nil {
			return err
		}
	} else {
		summarize(f.out, call)
	}
	if value(call.Result) != string(store.ResultCompleted) {
		return errTold
	}
	return nil
}

// body is what is asked for.
func (cmd *CallbackCmd) body(now time.Time) (api.CallbackBody, error) {
	body := api.CallbackBody{
		Line: cmd.Line, Number: cmd.Number, Text: cmd.Text, Voice: cmd.Voice, Manager: cmd.Manager, Mode: cmd.Mode,
	}
	if cmd.NotBefore == "" {
		return body, nil
	}
	at, err := parseMoment(cmd.NotBefore, now)
	if err != nil {
		return body, &usageError{fmt.Errorf("--not-before: %w", err)}
	}
	body.NotBefore = at.Format(time.RFC3339)
	return body, nil
}

const (
	pollEvery   = 400 * time.Millisecond
	outageLimit = time.Minute // a restarting server carries its calls on
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
}

func (f *follower) tell(format string, args ...any) {
	if !f.quiet {
		f.out.line(plain, format, args...)
	}
}

// follow returns the call when it has ended. With an error it returns what is
// known of it.
func (f *follower) follow(ctx context.Context) (api.Call, error) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	lost := time.Time{} // since when the server does not answer
	for {
		err := f.poll(ctx)
		var unreachable *client.UnreachableError
		switch {
		case err == nil && f.ended:
			return f.call, nil
		case err == nil:
			lost = time.Time{}
		case !errors.As(err, &unreachable):
			return f.call, err
		case lost.IsZero():
			lost = time.Now()
			f.tell("%s  the server does not answer; waiting for it", clock(lost))
		case time.Since(lost) > outageLimit:
			return f.call, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return f.call, ctx.Err()
		}
	}
}

// poll reads what is new and, after the last event, the call itself.
func (f *follower) poll(ctx context.Context) error {
	events, err := f.client.Events(ctx, f.call.ID, f.last)
	if err != nil {
		return err
	}
	if !f.quiet {
		f.shown.print(f.out, events)
	}
	over := false
	for _, e := range events {
		f.last = e.ID
		switch e.Type {
		case store.EventCallState:
			f.state, _ = f.shown.describe(e)
			f.since = e.At
			f.wait(e)
		case store.EventCallEnded:
			over = true
		}
	}
	if !over {
		if f.state != "" && !f.quiet {
			f.out.progress("          %s … %s", f.state, seconds(time.Since(f.since).Round(time.Second).Milliseconds()))
		}
		return nil
	}
	call, err := f.client.Call(ctx, f.call.ID)
	if err != nil {
		return err
	}
	f.call, f.ended = call, true
	return nil
}

// wait tells how to leave when a call waits for another try: that may take
// long.
func (f *follower) wait(e api.Event) {
	var d eventData
	if f.leave == "" || json.Unmarshal(e.Data, &d) != nil || store.State(d.State) != store.StateWaitingRetry {
		return
	}
	f.tell("%s", f.leave)
	f.leave = ""
}

// summarize tells how a call ended.
func summarize(out *console, c api.Call) {
	result := value(c.Result)
	out.line(resultTone(result), "%s", sentence(resultWords(result)))
	if c.TalkMS > 0 {
		out.line(plain, "Talked %s; the customer's phone rang %s.", seconds(c.TalkMS), seconds(c.RingMS))
	}
	if c.Recording != nil {
		out.line(plain, "Recording: %s (%s)", c.Recording.File, seconds(c.Recording.DurationMS))
	}
}

// sentence begins with a capital and ends with a full stop.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return string(upper(s[0])) + s[1:] + "."
}

func upper(b byte) byte {
	if 'a' <= b && b <= 'z' {
		return b - 'a' + 'A'
	}
	return b
}
