package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// StatusCmd shows how the server is.
type StatusCmd struct{ remote }

// Run prints the state, what is wrong, and how many calls there are.
func (cmd *StatusCmd) Run(c *CLI) error {
	client, err := cmd.client(c)
	if err != nil {
		return err
	}
	defer client.Close()
	s, err := client.Status(context.Background())
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s)
	}
	out, t := newConsole(os.Stdout), good
	if s.State != "ready" {
		t = bad
	}
	out.line(t, "%s", strings.ReplaceAll(s.State, "_", " "))
	for _, p := range s.Problems {
		out.line(bad, "  %s: %s", p.Part, p.Detail)
	}
	out.line(plain, "version %s, up for %s (since %s)", s.Version,
		seconds(time.Since(s.StartedAt).Milliseconds()), date(s.StartedAt))
	out.line(plain, "calls in progress: %s", counts(s.Open))
	out.line(plain, "calls ended since the start: %s", counts(s.Ended))
	out.line(plain, "media ports: %d of %d pairs in use", s.Ports.InUse, s.Ports.Total)
	return nil
}

// counts is a sum and what it is made of: "3 (2 talking, 1 queued)".
func counts(m map[string]int) string {
	var (
		sum   int
		parts []string
	)
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if m[name] > 0 {
			sum += m[name]
			parts = append(parts, fmt.Sprintf("%d %s", m[name], strings.ReplaceAll(name, "_", " ")))
		}
	}
	if sum == 0 {
		return "none"
	}
	return fmt.Sprintf("%d (%s)", sum, strings.Join(parts, ", "))
}
