package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"perezvon/configs"
	"perezvon/internal/route"
)

// CheckCmd validates a configuration.
type CheckCmd struct {
	Online bool `help:"Also try Redis, the speech engines and every trunk, while the server does not run."`
}

// Run prints what the configuration sets up, or everything that is wrong.
func (cmd *CheckCmd) Run(c *CLI) error {
	cfg, note, err := loadConfig(c.Config)
	var tries []try
	if c.JSON {
		if err == nil && cmd.Online {
			tries = tryAll(cfg)
		}
		return printChecked(cmp.Or(c.Config, defaultConfig), cfg, note, err, tries)
	}
	if err != nil {
		return err
	}
	over, _ := cfg.Certificates(time.Now())
	for _, words := range over {
		fmt.Fprintln(os.Stderr, "error:", words)
	}
	if note != "" {
		fmt.Fprintln(os.Stderr, note)
	}
	for _, w := range warnings(cfg) {
		fmt.Fprintln(os.Stderr, "warning:", w)
	}
	fmt.Print(cfg.Summary())
	if !cmd.Online {
		return overdue(over)
	}
	out := newConsole(os.Stdout)
	out.progress("trying what the file names …")
	tries = tryAll(cfg)
	for _, t := range tries {
		if t.OK {
			out.line(good, "✓ %s: %s", t.Part, t.Detail)
		} else {
			out.line(bad, "✗ %s: %s", t.Part, t.Detail)
		}
	}
	return cmp.Or(failedTries(tries), overdue(over))
}

// warnings are about single values, about what routes make of them, about
// certificates that soon expire, and about the store's file.
func warnings(cfg *configs.Config) []string {
	_, soon := cfg.Certificates(time.Now())
	return slices.Concat(cfg.Warnings(), route.Problems(cfg), soon, partWarnings(context.Background(), cfg))
}

// overdue is the error of certificates that have expired, which were told.
func overdue(words []string) error {
	if len(words) > 0 {
		return errTold
	}
	return nil
}

// checked is what check --json prints.
type checked struct {
	OK       bool            `json:"ok"`
	Errors   []configs.Error `json:"errors"`
	Warnings []string        `json:"warnings"`
	Online   []try           `json:"online,omitempty"`
}

// printChecked prints the outcome for programs. A file that cannot be read is
// a mistake in line 0.
func printChecked(file string, cfg *configs.Config, note string, err error, online []try) error {
	out := checked{OK: err == nil && failedTries(online) == nil, Errors: []configs.Error{}, Warnings: []string{}, Online: online}
	var mistakes configs.Errors
	switch {
	case errors.As(err, &mistakes):
		out.Errors = mistakes
	case err != nil:
		out.Errors = append(out.Errors, configs.Error{File: file, Message: err.Error()})
	case note != "":
		out.Warnings = append([]string{note}, warnings(cfg)...)
	default:
		out.Warnings = append(out.Warnings, warnings(cfg)...)
		over, _ := cfg.Certificates(time.Now())
		for _, words := range over {
			path, message, _ := strings.Cut(words, ": ")
			out.Errors, out.OK = append(out.Errors, configs.Error{File: file, Path: path, Message: message}), false
		}
	}
	if err := printJSON(out); err != nil {
		return err
	}
	if !out.OK {
		return errTold
	}
	return nil
}
