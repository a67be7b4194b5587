package trace

import (
	"fmt"
	"strings"
	"time"
)

// Text returns the whole report as text: story, ladder and, one after the
// other, the messages.
func (r *Report) Text(zone *time.Location) string {
	var b strings.Builder
	c := &r.call
	fmt.Fprintf(&b, "Call %s, %s of line %s with %s, %s\n", c.ID, c.Kind, c.Line, c.Number, r.began().In(zone).Format(time.RFC3339))
	if c.Result != "" {
		fmt.Fprintf(&b, "Result %s: %s\n", c.Result, c.Reason)
	} else {
		fmt.Fprintf(&b, "In progress: %s\n", c.State)
	}
	b.WriteString("\n")
	for _, l := range r.Story {
		b.WriteString(l.String() + "\n")
	}
	b.WriteString("\n" + r.Ladder())
	for i := range r.Steps {
		s := &r.Steps[i]
		way := "from"
		if s.Sent {
			way = "to"
		}
		fmt.Fprintf(&b, "\n── %d ── %s ── %s %s over %s", s.N, r.offset(s.At), way, s.Remote, s.Transport)
		switch {
		case s.Again > 0:
			fmt.Fprintf(&b, " ── the same as %d\n", s.Again)
			continue
		case s.Cut():
			fmt.Fprintf(&b, " ── the first part of %d bytes", s.Size)
		}
		b.WriteString("\n")
		for line := range strings.SplitSeq(strings.TrimRight(string(s.Data), "\r\n"), "\n") {
			b.WriteString(clean(strings.TrimRight(line, "\r")) + "\n")
		}
	}
	return b.String()
}

// String is the line with a mark of its kind.
func (l Line) String() string {
	switch l.Kind {
	case Problem:
		return "✗ " + l.Text
	case Advice:
		return "→ " + l.Text
	}
	return "  " + l.Text
}
