package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/selftest"
)

// rowsOf plays branches against servers that were tampered with.
func rowsOf(t *testing.T, tamper func(*configs.Config), speaks bool, only ...string) []selftest.Row {
	t.Helper()
	rows, err := selftest.Run(t.Context(), selftest.Options{
		Only: only, Speaks: speaks, Log: slog.New(slog.DiscardHandler),
		Start: func(ctx context.Context, cfg *configs.Config, log *slog.Logger) (selftest.Server, error) {
			tamper(cfg)
			return startForSelftest(ctx, cfg, log)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestSelftestOfAServerAsItShouldBe(t *testing.T) {
	rows := rowsOf(t, func(*configs.Config) {}, canSpeak(t.Context()), "14", "2", "in4")
	for _, r := range rows {
		if !r.OK {
			t.Errorf("%s %s: %s, %s\n%s\n%s", r.Branch, r.What, strings.Join(r.Wrong, ", "), r.Trouble, r.Expected, r.Got)
		}
	}
	if len(rows) != 7 {
		t.Errorf("%d rows, want 7", len(rows))
	}
	if err := verdict(rows, nil); err != nil {
		t.Errorf("the verdict is %v", err)
	}
}

// An engine that takes longer for a sentence than callers wait for is no fault of
// the calls.
func TestSelftestIsNoMeasureOfHowFastAMachineSpeaks(t *testing.T) {
	t.Parallel()
	slow := filepath.Join(t.TempDir(), "espeak-ng")
	script := "#!/bin/sh\ntext=$(cat)\ncase $text in *отклонил*) sleep 4 ;; esac\nprintf %s \"$text\" | espeak-ng \"$@\"\n"
	if err := os.WriteFile(slow, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, r := range rowsOf(t, func(cfg *configs.Config) { cfg.TTS.Engines[0].Path = slow }, true, "14") {
		if !r.OK {
			t.Errorf("%s: %s, %s\n%s\n%s", r.What, strings.Join(r.Wrong, ", "), r.Trouble, r.Expected, r.Got)
		}
	}
}

// A server that does something else than it should is seen, in the facts that
// are about it, and the exit status says so.
func TestSelftestSeesWhatIsBroken(t *testing.T) {
	everyLine := func(change func(*configs.Config, *configs.Line)) func(*configs.Config) {
		return func(cfg *configs.Config) {
			for i := range cfg.Lines {
				change(cfg, &cfg.Lines[i])
			}
		}
	}
	for name, c := range map[string]struct {
		branch string
		tamper func(*configs.Config)
		wrong  []string // what differs in at least one of the branch's rows
	}{
		"the wrong phone is rung": {"14", func(cfg *configs.Config) {
			for i := range cfg.Lines { // three phones for every line; the third one's is not there
				cfg.Lines[i].Route = []configs.Step{{Extension: &configs.ExtensionStep{Number: cfg.Extensions[3*i+2].Number}}}
			}
		}, []string{"result", "code", "owner", "rung", "spoken to"}},
		"beeps instead of words": {"14", func(cfg *configs.Config) {
			cfg.TTS.Engines[0].Path = "/no/such/program"
		}, []string{"spoken to"}},
		"no recording":  {"19", everyLine(func(_ *configs.Config, l *configs.Line) { l.Record = false }), []string{"recording"}},
		"calls are cut": {"20", func(cfg *configs.Config) { cfg.Limits.MaxCall = 600 * time.Millisecond }, []string{"heard", "hung up by"}},
		"too few tries": {"12", everyLine(func(_ *configs.Config, l *configs.Line) { l.Callback.Attempts = 1 }), []string{"rung", "attempts"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rows := rowsOf(t, c.tamper, true, c.branch)
			var wrong []string
			for _, r := range rows {
				wrong = append(wrong, r.Wrong...)
				if !r.OK && len(r.Timeline) == 0 && r.Trouble == "" {
					t.Errorf("%s failed without a timeline", r.What)
				}
			}
			for _, want := range c.wrong {
				if !slices.Contains(wrong, want) {
					t.Errorf("%q was not seen to be wrong, only %v", want, wrong)
				}
			}
			if err := verdict(rows, nil); !errors.Is(err, errTold) {
				t.Errorf("the verdict is %v", err)
			}
		})
	}
}

func TestSelftestOfAnUnknownBranchIsWrongUsage(t *testing.T) {
	if status := run([]string{"selftest", "--only", "18"}); status != exitUsage {
		t.Errorf("the exit status is %d, want %d", status, exitUsage)
	}
}

func TestSelftestOnAStoreThatIsNoneIsWrongUsageAndShowsNoPassword(t *testing.T) {
	for _, url := range []string{"sqlite", "redis://me:hunter2@", "postgres://me:hunter2@a"} {
		_, err := selftestStores(t.Context(), url)
		if _, usage := errors.AsType[*usageError](err); !usage || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestVerdict(t *testing.T) {
	good, bad := selftest.Row{OK: true}, selftest.Row{}
	trouble := errors.New("trouble")
	for name, c := range map[string]struct {
		rows []selftest.Row
		err  error
		want error
	}{
		"all as expected": {[]selftest.Row{good, good}, nil, nil},
		"one is not":      {[]selftest.Row{good, bad}, nil, errTold},
		"nothing played":  {nil, nil, errTold},
		"trouble":         {[]selftest.Row{good}, trouble, trouble},
	} {
		if got := verdict(c.rows, c.err); !errors.Is(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
