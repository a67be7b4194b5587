package main

import (
	"cmp"
	"context"
	"os"
	"strconv"

	"perezvon/internal/api"
)

// BansCmd lists and lifts bans.
type BansCmd struct {
	List   BansListCmd   `cmd:"" default:"1" help:"List who is banned from SIP."`
	Remove BansRemoveCmd `cmd:"" name:"rm" help:"Lift the bans of an address."`
}

// BansListCmd lists the bans.
type BansListCmd struct{ remote }

// Run prints a table, the latest first.
func (cmd *BansListCmd) Run(c *CLI) error {
	client, err := cmd.client(c)
	if err != nil {
		return err
	}
	defer client.Close()
	list, err := client.Bans(context.Background())
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(list)
	}
	return table(os.Stdout, "ADDRESS EXTENSION UNTIL TIMES REASON", banRows(list.Bans), "Nobody is banned.")
}

func banRows(all []api.Ban) [][]string {
	rows := make([][]string, 0, len(all))
	for _, b := range all {
		rows = append(rows, []string{b.Address, cmp.Or(value(b.Extension), "all"), date(b.Until), strconv.Itoa(b.Times), b.Reason})
	}
	return rows
}

// BansRemoveCmd lifts bans.
type BansRemoveCmd struct {
	remote
	Address string `arg:"" help:"The address."`
}

// Run says which bans were lifted.
func (cmd *BansRemoveCmd) Run(c *CLI) error {
	client, err := cmd.client(c)
	if err != nil {
		return err
	}
	defer client.Close()
	list, err := client.Unban(context.Background(), cmd.Address)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(list)
	}
	out := newConsole(os.Stdout)
	for _, b := range list.Bans {
		what := b.Address
		if ext := value(b.Extension); ext != "" {
			what = "extension " + ext + " at " + what
		}
		out.line(plain, "The ban of %s is lifted; it was for %s.", what, b.Reason)
	}
	return nil
}
