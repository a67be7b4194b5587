package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"perezvon/internal/api"
	"perezvon/internal/client"
	"perezvon/internal/trace"
)

// fetchTrace asks for what went over the wire; without any, why says so.
func fetchTrace(ctx context.Context, server *client.Client, id string) (t *api.Trace, why string, err error) {
	found, err := server.Trace(ctx, id)
	if err == nil {
		return &found, "", nil
	}
	if why, ok := untraced(err); ok {
		return nil, why, nil
	}
	return nil, "", err
}

// untraced says why there is no trace, where that is what the error is about.
func untraced(err error) (why string, ok bool) {
	if client.Away(err) {
		return "Redis does not answer", true
	}
	refused, ok := errors.AsType[*client.Error](err)
	if !ok || (refused.Problem.Code != api.CodeTraceNotFound && refused.Problem.Code != api.CodeNotFound) {
		return "", false
	}
	return refused.Problem.Detail, true
}

// saveTrace writes what went over the wire into the files that are asked for.
func (cmd *CallCmd) saveTrace(ctx context.Context, server *client.Client, id string) error {
	for _, f := range []struct{ path, form string }{{cmd.Text, client.TraceText}, {cmd.Pcap, client.TracePcap}} {
		if f.path == "" {
			continue
		}
		data, err := server.TraceFile(ctx, id, f.form)
		if err != nil {
			return err
		}
		if f.path == "-" {
			if _, err := os.Stdout.Write(data); err != nil {
				return err
			}
			continue
		}
		if err := os.WriteFile(f.path, data, 0o600); err != nil { // it names who called whom
			return fmt.Errorf("write the trace: %w", err)
		}
	}
	return nil
}

// wire tells what went over the wire, and what that means.
func (s *story) wire() {
	if s.trace == nil {
		legs := s.call.Legs
		if len(legs) > 0 && !slices.ContainsFunc(legs, func(l api.Leg) bool { return sent(&l) }) {
			s.line(plain, 0, "")
			s.line(faint, 0, "Nothing went over the wire.")
		} else if s.noTrace != "" {
			s.line(plain, 0, "")
			s.line(faint, 0, "What went over the wire is not known: %s.", strings.TrimSuffix(s.noTrace, "."))
		}
		return
	}
	s.line(plain, 0, "")
	s.line(accent, 0, "What went over the wire, in minutes, seconds and thousandths since then")
	for _, l := range s.trace.Story {
		tone := plain
		switch l.Kind {
		case trace.Problem:
			tone = bad
		case trace.Advice:
			tone = good
		}
		s.line(tone, 0, "%s", trace.Line(l))
	}
	s.line(plain, 0, "")
	for line := range strings.Lines(s.trace.Ladder) {
		s.line(faint, 0, "%s", strings.TrimRight(line, "\n"))
	}
}
