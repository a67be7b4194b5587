package main

import (
	"context"
	"fmt"
	"os"
	"slices"
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
	err = table(os.Stdout, "NUMBER NAME STATE ADDRESS TRANSPORT REGISTERED ANSWERS PHONE MOBILE", rows,
		"There are no extensions; add some to the configuration.")
	if err != nil {
		return err
	}
	for i := range list.Extensions {
		if note := lastFailure(&list.Extensions[i], now); note != "" {
			if _, err := fmt.Println(note); err != nil {
				return err
			}
		}
	}
	return nil
}

// lastFailure tells of the last phone that was not let in as an extension, empty
// if there was none, or if a phone has registered since.
func lastFailure(e *api.Extension, now time.Time) string {
	f := e.LastFailure
	if f == nil || slices.ContainsFunc(e.Phones, func(p api.Phone) bool { return p.Since.After(f.At) }) {
		return ""
	}
	from := f.Address
	if f.UserAgent != "" {
		from += " (" + f.UserAgent + ")"
	}
	return printable(fmt.Sprintf("%s: %s ago a phone at %s was not let in: %s", e.Number, seconds(max(0, now.Sub(f.At).Milliseconds())), from, f.Reason))
}

// extensionRows are an extension's phones, a row for each.
func extensionRows(e *api.Extension, now time.Time) [][]string {
	disturb := ""
	if e.DND {
		disturb = ", do not disturb"
	}
	if len(e.Phones) == 0 {
		state := "not registered"
		if e.Contact != "" {
			state = "fixed"
		}
		state += disturb
		return [][]string{{e.Number, e.Name, state, e.Contact, "", "", "", "", e.Mobile}}
	}
	var rows [][]string
	for _, p := range e.Phones {
		state, answers := "registered", ""
		switch {
		case !p.Connected:
			state = "registered, no connection"
		case !p.Reachable:
			state = "unreachable"
		}
		if p.RoundTripMS != nil {
			answers = fmt.Sprintf("in %.0f ms", *p.RoundTripMS)
		}
		registered := "for " + seconds(max(0, p.ExpiresAt.Sub(now).Milliseconds()))
		rows = append(rows, []string{e.Number, e.Name, state + disturb, p.Address, p.Transport, registered, answers, p.UserAgent, e.Mobile})
	}
	return rows
}
