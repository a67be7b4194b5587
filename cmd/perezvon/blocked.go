package main

import (
	"context"
	"os"
	"strconv"

	"perezvon/internal/api"
)

// BlockedCmd lists the numbers that are not called any more, and lets them be
// called again.
type BlockedCmd struct {
	List   BlockedListCmd   `cmd:"" default:"1" help:"List the numbers that informational calls are not placed to any more."`
	Remove BlockedRemoveCmd `cmd:"" name:"rm" help:"Let a number be called again."`
}

// BlockedListCmd lists blocked numbers.
type BlockedListCmd struct {
	remote
	Limit int `default:"50" help:"How many at the most, 1 to 1000 (${default})."`
}

// Run prints a table, those that were blocked last first.
func (cmd *BlockedListCmd) Run(c *CLI) error {
	client, err := cmd.client(c)
	if err != nil {
		return err
	}
	defer client.Close()
	list, err := client.BlockedNumbers(context.Background(), map[string]string{"limit": strconv.Itoa(cmd.Limit)})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(list)
	}
	return table(os.Stdout, "NUMBER BLOCKED FAILURES LAST", blockedRows(list.BlockedNumbers), "No number is blocked.")
}

func blockedRows(all []api.BlockedNumber) [][]string {
	rows := make([][]string, 0, len(all))
	for _, b := range all {
		rows = append(rows, []string{b.Number, date(b.BlockedAt), strconv.Itoa(b.Failures), b.Reason})
	}
	return rows
}

// BlockedRemoveCmd takes a block away.
type BlockedRemoveCmd struct {
	remote
	Number string `arg:"" help:"The number."`
	Reason string `required:"" placeholder:"WHY" help:"Why it is called again; it is logged."`
}

// Run says which block was taken away.
func (cmd *BlockedRemoveCmd) Run(c *CLI) error {
	client, err := cmd.client(c)
	if err != nil {
		return err
	}
	defer client.Close()
	b, err := client.Unblock(context.Background(), cmd.Number, cmd.Reason)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(b)
	}
	newConsole(os.Stdout).line(plain, "%s may be called again; it was blocked on %s after %d failed attempts.", b.Number, date(b.BlockedAt), b.Failures)
	return nil
}
