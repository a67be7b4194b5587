package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"perezvon/internal/api"
)

// TrunksCmd lists the trunks.
type TrunksCmd struct{ remote }

// Run prints a table, and why trunks are down.
func (cmd *TrunksCmd) Run(c *CLI) error {
	client, err := cmd.client(c)
	if err != nil {
		return err
	}
	defer client.Close()
	list, err := client.Trunks(context.Background())
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(list)
	}
	now := time.Now()
	rows := make([][]string, 0, len(list.Trunks))
	for i := range list.Trunks {
		rows = append(rows, trunkRow(&list.Trunks[i], now))
	}
	if err := table(os.Stdout, "NAME STATE SINCE REGISTERED ADDRESS TRANSPORT ANSWERS LINES", rows,
		"There are no trunks; add some to the configuration."); err != nil {
		return err
	}
	out := newConsole(os.Stdout)
	for i := range list.Trunks {
		if t := &list.Trunks[i]; t.Reason != nil {
			out.line(bad, "%s: %s", t.Name, *t.Reason)
		}
	}
	return nil
}

func trunkRow(t *api.Trunk, now time.Time) []string {
	registered, since, answers := "", "", ""
	switch {
	case t.Registered && t.ExpiresAt != nil:
		registered = "for " + seconds(max(0, t.ExpiresAt.Sub(now).Milliseconds()))
	case t.Registered:
		registered = "yes"
	case t.Register:
		registered = "no"
	}
	if t.Since != nil {
		since = date(*t.Since)
	}
	if t.RoundTripMS != nil {
		answers = fmt.Sprintf("in %.0f ms", *t.RoundTripMS)
	}
	return []string{t.Name, t.State, since, registered, value(t.Address), t.Transport, answers, strings.Join(t.Lines, ", ")}
}
