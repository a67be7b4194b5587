package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"perezvon/internal/api"
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
		return errors.New("interrupted before the server answered; whether the call is placed is told by: " + program() + " calls")
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
	return f.toTheEnd(ctx, c.JSON)
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

// summarize tells how a call ended.
func summarize(out *console, c api.Call) {
	result := value(c.Result)
	out.line(resultTone(result), "%s", sentence(outcomeWords(c.Kind, result, value(c.Reason))))
	if c.TalkMS > 0 {
		out.line(plain, "Talked %s; the customer's phone rang %s.", seconds(c.TalkMS), seconds(c.RingMS))
	}
	if c.Info != nil {
		out.line(plain, "%s: %s", c.Info.OK, infoWords(c.Info))
	}
	if c.Recording != nil {
		out.line(plain, "Recording: %s (%s)", c.Recording.File, seconds(c.Recording.DurationMS))
	}
}

// infoWords is the result of an informational call as a business process sees
// it, and how much was heard.
func infoWords(i *api.Info) string {
	words := i.Text
	if i.HeardMS > 0 {
		words += ", heard " + seconds(i.HeardMS)
	}
	if i.Digits != "" {
		words += ", keys " + i.Digits
	}
	return words
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
