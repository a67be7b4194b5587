package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
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
	if err := table(os.Stdout, "NAME STATE SINCE REGISTERED ADDRESS TRANSPORT ANSWERS CALLS LINES", rows,
		"There are no trunks; add some to the configuration."); err != nil {
		return err
	}
	out := newConsole(os.Stdout)
	for i := range list.Trunks {
		t := &list.Trunks[i]
		if t.Reason != nil {
			out.line(bad, "%s: %s", t.Name, *t.Reason)
		}
		if t.RestsUntil != nil {
			out.line(plain, "%s: calls take other trunks first until %s, for it was silent or answered 503", t.Name, clock(*t.RestsUntil))
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
	calls := strconv.Itoa(t.Incoming + t.Outgoing)
	if t.MaxCalls != nil {
		calls += " of " + strconv.Itoa(*t.MaxCalls)
	}
	return []string{t.Name, t.State, since, registered, value(t.Address), t.Transport, answers, calls, strings.Join(t.Lines, ", ")}
}
