package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"golang.org/x/term"
)

// printJSON prints v for programs.
func printJSON(v any) error {
	enc := json.NewEncoder(os.Stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// printable takes out what could command a terminal: reasons and names come
// from far sides. Line breaks stay.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			return '?'
		}
		return r
	}, s)
}

// tone is how a line of output is meant.
type tone string

const (
	plain  tone = ""
	good   tone = "\x1b[32m"
	bad    tone = "\x1b[31m"
	accent tone = "\x1b[1m"
	faint  tone = "\x1b[2m"
)

// console writes for people, in colours where they can be seen.
type console struct {
	w        io.Writer
	colours  bool
	terminal bool // lines can be rewritten
	live     bool // an unfinished line is shown
}

func newConsole(f *os.File) *console {
	terminal := term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
	return &console{w: f, terminal: terminal, colours: terminal && os.Getenv("NO_COLOR") == ""}
}

// paint colours s.
func (c *console) paint(t tone, s string) string {
	if !c.colours || t == plain {
		return s
	}
	return string(t) + s + "\x1b[0m"
}

// line prints a line, over the live one if there is one.
func (c *console) line(t tone, format string, args ...any) {
	c.erase()
	fmt.Fprintln(c.w, c.paint(t, printable(fmt.Sprintf(format, args...))))
}

// progress shows a line that the next one replaces. It is for terminals only.
func (c *console) progress(format string, args ...any) {
	if !c.terminal {
		return
	}
	c.erase()
	fmt.Fprint(c.w, c.paint(faint, printable(fmt.Sprintf(format, args...))))
	c.live = true
}

// erase removes the live line.
func (c *console) erase() {
	if c.live {
		fmt.Fprint(c.w, "\r\x1b[K")
		c.live = false
	}
}

// table prints rows of cells under a heading, or a sentence where there are
// none.
func table(w io.Writer, heading string, rows [][]string, none string) error {
	if len(rows) == 0 {
		_, err := fmt.Fprintln(w, none)
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, strings.ReplaceAll(heading, " ", "\t"))
	for _, row := range rows {
		for i, cell := range row {
			if row[i] = strings.ReplaceAll(printable(cell), "\n", " "); row[i] == "" {
				row[i] = "-"
			}
		}
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	return tw.Flush()
}

// clock is a moment on the wall clock of whoever reads it.
func clock(t time.Time) string { return t.Local().Format(time.TimeOnly) }

// date is a moment with its day.
func date(t time.Time) string { return t.Local().Format(time.DateTime) }

// moment is a moment with its day and its zone, where it matters which.
func moment(t time.Time) string { return date(t) + " " + zone(t.Local()) }

// zone is how far the clock of a moment is from UTC.
func zone(t time.Time) string {
	if _, offset := t.Zone(); offset == 0 {
		return "UTC"
	}
	return t.Format("-07:00")
}

// seconds is a duration in milliseconds, for people.
func seconds(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	default:
		return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
	}
}

// value is what a pointer points to, or nothing.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
