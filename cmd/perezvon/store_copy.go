package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"perezvon/internal/store"
	"perezvon/internal/store/transfer"
)

// CopyCmd copies a store.
type CopyCmd struct {
	From       string `required:"" placeholder:"STORE" help:"The store to copy: a URL of Redis, sqlite:PATH, or the folder of its file."`
	To         string `required:"" placeholder:"STORE" help:"Where to: a store that is empty, or is made."`
	VerifyOnly bool   `help:"Copy nothing, only compare the two."`
}

// copied is what is told of a copy.
type copied struct {
	From  string              `json:"from"`
	To    string              `json:"to"`
	Kinds []transfer.Compared `json:"kinds"`
	Same  bool                `json:"same"`
}

// Run copies, compares what has arrived, and fails where that is not the same.
func (cmd *CopyCmd) Run(c *CLI) error {
	ctx, stop := untilSignalled()
	defer stop()
	from, err := placeOf(cmd.From)
	if err != nil {
		return err
	}
	to, err := placeOf(cmd.To)
	if err != nil {
		return err
	}
	if from == to {
		return &usageError{errors.New("--from and --to are the same store")}
	}
	report, err := copyStore(ctx, from, to, cmd.VerifyOnly)
	if err != nil {
		return err
	}
	return tellCopied(c, report)
}

// tellCopied prints what a copy is like. One that is not the same is errTold.
func tellCopied(c *CLI, report *copied) error {
	if c.JSON {
		if err := printJSON(report); err != nil {
			return err
		}
	} else {
		if err := table(os.Stdout, "RECORDS FROM TO SAME", copiedRows(report.Kinds), ""); err != nil {
			return err
		}
		out := newConsole(os.Stdout)
		if report.Same {
			out.line(good, "%s holds all that %s does.", report.To, report.From)
		} else {
			out.line(bad, "%s does not hold what %s does; do not use it.", report.To, report.From)
		}
	}
	if !report.Same {
		return errTold
	}
	return nil
}

// copyStore copies, unless it is only to verify, and compares.
func copyStore(ctx context.Context, from, to place, verifyOnly bool) (report *copied, err error) {
	if err := from.exists(); err != nil {
		return nil, err
	}
	if verifyOnly {
		if err := to.exists(); err != nil {
			return nil, err
		}
	}
	source, err := from.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	return fillStore(ctx, from.name, source, to, verifyOnly)
}

// fillStore fills a store that is empty, unless it is only to verify, and
// compares.
func fillStore(ctx context.Context, name string, from transfer.Source, to place, verifyOnly bool) (report *copied, err error) {
	target, err := to.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	now := time.Now()
	var moved *transfer.Tally
	if verifyOnly {
		moved, err = transfer.Take(ctx, from, now)
	} else {
		moved, err = transfer.Copy(ctx, from, target, now)
	}
	switch {
	case errors.Is(err, store.ErrNotEmpty):
		return nil, notEmpty(to)
	case err != nil && !verifyOnly:
		return nil, fmt.Errorf("%s is not complete, remove what is there before you try again: %w", to.name, err)
	case err != nil:
		return nil, err
	}
	there, err := transfer.Take(ctx, target, now)
	if err != nil {
		return nil, err
	}
	report = &copied{From: name, To: to.name}
	report.Kinds, report.Same = transfer.Compare(moved, there)
	return report, nil
}

// notEmpty says what to do about a store that holds something.
func notEmpty(p place) error {
	if p.file == "" {
		return fmt.Errorf("%s is not empty, and nothing was changed: choose another database of it, or empty this one (FLUSHDB)", p.name)
	}
	return fmt.Errorf("%s is not empty, and nothing was changed: stop its server and move the file away, with its -wal and -shm, or choose another store", p.name)
}

// copiedRows are the kinds of which there is anything.
func copiedRows(kinds []transfer.Compared) [][]string {
	words := map[store.ChangeType]string{
		store.ChangeCall: "calls", store.ChangeEvents: "events", store.ChangeTrace: "parts of traces",
		store.ChangeDialog: "dialogs", store.ChangeBinding: "registrations", store.ChangeDND: "do not disturb",
		store.ChangeKey: "idempotency keys", store.ChangeBlock: "numbers not reached", store.ChangeJob: "jobs",
		store.ChangeCount: "counts", store.ChangePause: "pauses", store.ChangeRate: "rates", store.ChangeCounter: "counters",
	}
	var rows [][]string
	for _, k := range kinds {
		if k.From == 0 && k.To == 0 && k.Same {
			continue
		}
		same := "yes"
		if !k.Same {
			same = "NO"
		}
		rows = append(rows, []string{words[k.Kind], strconv.FormatInt(k.From, 10), strconv.FormatInt(k.To, 10), same})
	}
	return rows
}
