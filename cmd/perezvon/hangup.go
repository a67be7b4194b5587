package main

import (
	"context"
	"os"
)

// HangupCmd ends a call.
type HangupCmd struct {
	remote
	ID string `arg:"" help:"Id of the call, or its first or last 6 digits or more."`
}

// Run returns when the call has ended.
func (cmd *HangupCmd) Run(c *CLI) error {
	if err := checkID(cmd.ID); err != nil {
		return err
	}
	client, err := cmd.client(c)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx := context.Background()
	call, err := client.Find(ctx, cmd.ID)
	if err != nil {
		return err
	}
	if call, err = client.Hangup(ctx, call.ID); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(call)
	}
	newConsole(os.Stdout).line(plain, "Call %s has ended: %s.", call.ID, resultWords(value(call.Result)))
	return nil
}
