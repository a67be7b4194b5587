package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"perezvon/internal/api"
)

// LinesCmd lists the lines.
type LinesCmd struct{ remote }

// Run prints a table.
func (cmd *LinesCmd) Run(c *CLI) error {
	client, err := cmd.client(c)
	if err != nil {
		return err
	}
	defer client.Close()
	list, err := client.Lines(context.Background())
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(list)
	}
	rows := make([][]string, 0, len(list.Lines))
	for _, l := range list.Lines {
		rows = append(rows, []string{l.ID, l.Number, l.Name, strings.Join(l.Trunks, ", "), yes(l.Record), openWords(&l)})
	}
	return table(os.Stdout, "ID NUMBER NAME TRUNKS RECORDED OPEN", rows, "There are no lines; add some to the configuration.")
}

// openWords tells whether a line is open, and its hours.
func openWords(l *api.Line) string {
	if l.Hours == nil {
		return "always"
	}
	text := "now"
	switch {
	case l.OpensAt != nil:
		text = "from " + moment(*l.OpensAt)
	case !l.Open:
		text = "never"
	}
	text += " (" + strings.Join(l.Hours.Open, ", ") + " in " + l.Hours.Zone
	if l.Hours.Holidays > 0 {
		text += fmt.Sprintf(", but for %d holidays", l.Hours.Holidays)
	}
	return text + ")"
}

// VoicesCmd lists the voices.
type VoicesCmd struct{ remote }

// Run prints a table.
func (cmd *VoicesCmd) Run(c *CLI) error {
	client, err := cmd.client(c)
	if err != nil {
		return err
	}
	defer client.Close()
	list, err := client.Voices(context.Background())
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(list)
	}
	rows := make([][]string, 0, len(list.Voices))
	for _, v := range list.Voices {
		rows = append(rows, []string{v.ID, v.Language, v.Engine, yes(v.Default), v.Name})
	}
	return table(os.Stdout, "ID LANGUAGE ENGINE DEFAULT NAME", rows, "There are no voices; add some to the configuration.")
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}
