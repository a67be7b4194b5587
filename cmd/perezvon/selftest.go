package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"perezvon/configs"
	"perezvon/internal/selftest"
	"perezvon/tts"
)

// SelftestCmd plays every branch of the call flows on this machine.
type SelftestCmd struct {
	Store   string   `placeholder:"URL" help:"Keep the records in this Redis: each server in an empty database, which is left empty."`
	Only    []string `placeholder:"BRANCH" help:"Play these branches only, such as 11,21."`
	Verbose bool     `short:"v" help:"Show the timeline and the SIP messages of what failed, and what the servers log."`
}

// Help names the branches.
func (cmd *SelftestCmd) Help() string {
	return "Runs servers of its own with a simulated carrier and simulated phones: real SIP and RTP, on this machine's " +
		"loopback address and free ports only. It takes a little more than a minute, since some branches are about time. " +
		"Exit status 0 only if everything came as expected.\n\n" +
		"The branches are those of docs/call-flows.md: " + strings.Join(selftest.Branches(), ", ") + "."
}

// Run plays and prints the matrix.
func (cmd *SelftestCmd) Run(c *CLI) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the next signal ends the program at once
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("selftest: %w", err)
	}
	out := newConsole(os.Stdout)
	began, done := time.Now(), 0
	opts := selftest.Options{
		Start: startForSelftest, Program: program, Only: cmd.Only, Speaks: canSpeak(ctx), Log: cmd.logger(),
		Done: func(row selftest.Row) {
			if done++; !c.JSON {
				out.progress("%d played, %s s: %s", done, seconds(time.Since(began).Milliseconds()), row.What)
			}
		},
	}
	if cmd.Store != "" {
		if opts.Store, err = selftestStores(ctx, cmd.Store); err != nil {
			return err
		}
	}
	rows, err := selftest.Run(ctx, opts)
	switch {
	case errors.Is(err, selftest.ErrNoBranch):
		return &usageError{err}
	case c.JSON:
		return verdict(rows, err, printJSON(map[string]any{"ok": err == nil && passed(rows), "rows": rows}))
	}
	cmd.matrix(out, rows)
	out.line(plain, "%d of %d as expected, in %s.", count(rows), len(rows), seconds(time.Since(began).Milliseconds()))
	return verdict(rows, err, nil)
}

// verdict is the exit status.
func verdict(rows []selftest.Row, errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	if !passed(rows) {
		return errTold
	}
	return nil
}

func passed(rows []selftest.Row) bool { return len(rows) > 0 && count(rows) == len(rows) }

func count(rows []selftest.Row) int {
	n := 0
	for i := range rows {
		if rows[i].OK {
			n++
		}
	}
	return n
}

// matrix prints every row: what happens, what was expected and what came.
func (cmd *SelftestCmd) matrix(out *console, rows []selftest.Row) {
	for i := range rows {
		r := &rows[i]
		mark, t := "ok", good
		if !r.OK {
			mark, t = "FAILED", bad
		}
		out.line(t, "%-7s%-7s%s", r.Branch, mark, r.What)
		out.line(plain, "%14sexpected  %s", "", r.Expected)
		out.line(plain, "%14sgot       %s", "", r.Got)
		if r.OK {
			continue
		}
		if len(r.Wrong) > 0 {
			out.line(bad, "%14sdiffers   %s", "", strings.Join(r.Wrong, ", "))
		}
		if r.Trouble != "" {
			out.line(bad, "%14strouble   %s", "", r.Trouble)
		}
		if cmd.Verbose {
			for _, line := range append(r.Timeline, r.Ladder...) {
				out.line(faint, "%14s%s", "", line)
			}
		}
	}
}

func (cmd *SelftestCmd) logger() *slog.Logger {
	if !cmd.Verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// canSpeak reports whether this machine has the speech engine of the default
// configuration.
func canSpeak(ctx context.Context) bool {
	dir, err := os.MkdirTemp("", "perezvon-speech-")
	if err != nil {
		return false
	}
	defer func() { _ = os.RemoveAll(dir) }()
	speech, err := newSpeech(configs.Default(), dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return false
	}
	defer func() { _ = speech.Close() }()
	return speech.Check(ctx) == nil
}

// played is a server of the self-test.
type played struct{ *server }

func startForSelftest(ctx context.Context, cfg *configs.Config, log *slog.Logger) (selftest.Server, error) {
	s, err := startServer(ctx, "", cfg, log)
	if err != nil {
		return nil, err
	}
	s.speakAhead(ctx, cfg)
	return played{s}, nil
}

// speakAhead renders what calls say by themselves. Calls wait 3 s for that, and
// branches are no measure of how fast this machine speaks.
func (s *server) speakAhead(ctx context.Context, cfg *configs.Config) {
	var texts []string
	for _, id := range tts.Phrases() {
		texts = append(texts, tts.Phrase(cfg.Language, id))
	}
	for i := range cfg.Lines {
		for _, step := range slices.Concat(cfg.Lines[i].Route, cfg.Lines[i].Otherwise) {
			switch {
			case step.Announce != nil:
				texts = append(texts, step.Announce.Text)
			case step.Voicemail != nil:
				texts = append(texts, step.Voicemail.Text)
			}
		}
	}
	for _, text := range texts {
		if text == "" {
			continue
		}
		if _, err := s.speech.Render(ctx, text, ""); err != nil {
			return // the branches will tell
		}
	}
}

// URL is where the API is.
func (p played) URL() string { return "http://" + p.http.Addr().String() }

// Run serves until ctx ends.
func (p played) Run(ctx context.Context) error { return p.run(ctx, nil) }
