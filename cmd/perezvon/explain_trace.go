package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"perezvon/internal/api"
	"perezvon/internal/client"
	"perezvon/internal/trace"
)

// fetchTrace asks for what went over the wire; without any, why says so.
func fetchTrace(ctx context.Context, server *client.Client, id string) (t *api.Trace, why string, err error) {
	found, err := server.Trace(ctx, id)
	var refused *client.Error
	switch {
	case err == nil:
		return &found, "", nil
	case errors.As(err, &refused) && (refused.Problem.Code == api.CodeTraceNotFound || refused.Problem.Code == api.CodeNotFound):
		return nil, refused.Problem.Detail, nil
	}
	return nil, "", err
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
		if s.noTrace != "" {
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
