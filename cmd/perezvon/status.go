package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/store"
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
	switch s.State {
	case "ready":
	case "degraded":
		t = accent
	default:
		t = bad
	}
	out.line(t, "%s", strings.ReplaceAll(s.State, "_", " "))
	for _, p := range s.Problems {
		out.line(bad, "  %s: %s", p.Part, p.Detail)
	}
	out.line(plain, "version %s, up for %s (since %s)", s.Version,
		seconds(time.Since(s.StartedAt).Milliseconds()), date(s.StartedAt))
	out.line(plain, "calls: %s", openCalls(s.Open))
	out.line(plain, "calls ended since the start: %s", counts(s.Ended))
	out.line(plain, "media ports: %d of %d pairs in use; a call takes two pairs", s.Ports.InUse, s.Ports.Total)
	if len(s.Speech) > 0 {
		out.line(plain, "speech: %s", speechLine(s.Speech))
	}
	for _, line := range storeInWords(&s.Store, time.Now()) {
		out.line(plain, "%s", line)
	}
	return nil
}

// storeInWords tells how the store is; nothing of a server that does not say.
func storeInWords(s *api.StoreStatus, now time.Time) []string {
	if s.Engine == "" {
		return nil
	}
	where := s.Engine
	if s.At != "" {
		where += " at " + s.At
	}
	if s.Since == nil {
		return []string{"store: " + where}
	}
	state := "away"
	if s.Up {
		state = "up"
	}
	text := fmt.Sprintf("store: %s, %s for %s (since %s)", where, state, seconds(now.Sub(*s.Since).Milliseconds()), date(*s.Since))
	if s.Backlog > 0 {
		text += fmt.Sprintf("; changes not there yet: %d, the oldest for %s", s.Backlog, seconds(s.BacklogAgeMS))
	}
	if s.LastError == "" {
		return []string{text}
	}
	return []string{text, "  last error: " + s.LastError}
}

// openCalls tells calls that somebody is in from those that wait for a time.
func openCalls(open map[string]int) string {
	open = maps.Clone(open)
	scheduled, again := open[string(store.StateScheduled)], open[string(store.StateWaitingRetry)]
	delete(open, string(store.StateScheduled))
	delete(open, string(store.StateWaitingRetry))
	text := counts(open)
	if text == "none" {
		text = "0"
	}
	number, states, _ := strings.Cut(text, " ")
	text = strings.TrimSpace(number + " in progress " + states)
	var parts []string
	if scheduled > 0 {
		parts = append(parts, fmt.Sprintf("%d scheduled", scheduled))
	}
	if again > 0 {
		parts = append(parts, fmt.Sprintf("%d for another try", again))
	}
	if len(parts) > 0 {
		text += fmt.Sprintf(", %d waiting: %s", scheduled+again, strings.Join(parts, ", "))
	}
	return text
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
