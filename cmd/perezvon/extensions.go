package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"perezvon/internal/api"
)

// ExtensionsCmd lists the extensions and their phones.
type ExtensionsCmd struct{ remote }

// Run prints a table.
func (cmd *ExtensionsCmd) Run(c *CLI) error {
	client, err := cmd.client(c)
	if err != nil {
		return err
	}
	defer client.Close()
	list, err := client.Extensions(context.Background())
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(list)
	}
	var rows [][]string
	now := time.Now()
	for i := range list.Extensions {
		rows = append(rows, extensionRows(&list.Extensions[i], now)...)
	}
	return table(os.Stdout, "NUMBER NAME STATE ADDRESS TRANSPORT REGISTERED ANSWERS PHONE MOBILE", rows,
		"There are no extensions; add some to the configuration.")
}

// extensionRows are an extension's phones, a row for each.
func extensionRows(e *api.Extension, now time.Time) [][]string {
	if len(e.Phones) == 0 {
		state := "not registered"
		if e.Contact != "" {
			state = "fixed"
		}
		return [][]string{{e.Number, e.Name, state, e.Contact, "", "", "", "", e.Mobile}}
	}
	var rows [][]string
	for _, p := range e.Phones {
		state, answers := "registered", ""
		if !p.Reachable {
			state = "unreachable"
		}
		if p.RoundTripMS != nil {
			answers = fmt.Sprintf("in %.0f ms", *p.RoundTripMS)
		}
		registered := "for " + seconds(max(0, p.ExpiresAt.Sub(now).Milliseconds()))
		rows = append(rows, []string{e.Number, e.Name, state, p.Address, p.Transport, registered, answers, p.UserAgent, e.Mobile})
	}
	return rows
}
