package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"perezvon/internal/api"
)

// DialCmd calls a number for an extension and follows the call.
type DialCmd struct {
	remote
	Line      string `required:"" placeholder:"ID" help:"Line the call goes through."`
	Extension string `required:"" placeholder:"NUMBER" help:"Whose phone rings first."`
	Number    string `required:"" placeholder:"NUMBER" help:"Whom to call."`
}

// Run succeeds only if the two have talked.
func (cmd *DialCmd) Run(c *CLI) error {
	server, err := cmd.client(c)
	if err != nil {
		return err
	}
	defer server.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the next Ctrl-C is not caught

	call, err := server.Dial(ctx, api.DialBody{Line: cmd.Line, Extension: cmd.Extension, Number: cmd.Number})
	if ctx.Err() != nil {
		return errors.New("interrupted before the server answered; whether the call is placed is told by: " + program() + " calls")
	}
	if err != nil {
		return err
	}
	f := &follower{client: server, out: newConsole(os.Stdout), quiet: c.JSON, call: call, leave: "Ctrl-C leaves; the call goes on."}
	f.tell("Call %s is placed (line %s, extension %s, number %s).", call.ID, call.Line, cmd.Extension, call.Number)
	return f.toTheEnd(ctx, c.JSON)
}
