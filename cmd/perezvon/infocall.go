package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"perezvon/internal/api"
)

// InfocallCmd places an informational call and follows it.
type InfocallCmd struct {
	remote
	Line   string `required:"" placeholder:"ID" help:"Line the call goes through."`
	Number string `required:"" placeholder:"NUMBER" help:"Whom to call."`
	Text   string `required:"" placeholder:"TEXT" help:"What whoever answers is told."`
	Voice  string `placeholder:"ID" help:"Voice of the text."`
	Gather int    `placeholder:"N" help:"How many keys are waited for, up to 32."`
	Repeat int    `placeholder:"N" help:"How many times it is said, 1 to 10; without it once."`
}

// Run succeeds only if enough of the message was heard.
func (cmd *InfocallCmd) Run(c *CLI) error {
	server, err := cmd.client(c)
	if err != nil {
		return err
	}
	defer server.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the next Ctrl-C is not caught

	call, err := server.Infocall(ctx, api.InfocallBody{
		Line: cmd.Line, Number: cmd.Number, Text: cmd.Text, Voice: cmd.Voice, Repeat: cmd.Repeat, Gather: cmd.Gather,
	})
	if ctx.Err() != nil {
		return errors.New("interrupted before the server answered; whether the call is placed is told by: " + program() + " calls")
	}
	if err != nil {
		return err
	}
	f := &follower{client: server, out: newConsole(os.Stdout), quiet: c.JSON, call: call, leave: "Ctrl-C leaves; the call goes on."}
	f.tell("Call %s is placed (line %s, number %s).", call.ID, call.Line, call.Number)
	return f.toTheEnd(ctx, c.JSON)
}
