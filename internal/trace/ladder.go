package trace

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	timeWidth = 11 // of the times at the left, columns of text
	margin    = 11 // from there to the first participant
	laneWidth = 27 // from one participant to the next
)

// Ladder draws the messages: a column for each participant, time downwards. We
// stand in the middle.
func (r *Report) Ladder() string {
	if len(r.Steps) == 0 {
		return ""
	}
	d := drawing{report: r, us: len(r.Parties) / 2}
	d.head()
	marks := r.Milestones
	gap := r.LeftOut > 0
	for i := range r.Steps {
		s := &r.Steps[i]
		for len(marks) > 0 && marks[0].At.Before(s.At) {
			d.milestone(marks[0])
			marks = marks[1:]
		}
		if gap && !r.Gap.After(s.At) {
			gap = false
			d.note(r.Gap, fmt.Sprintf("… %d messages are not kept …", r.LeftOut))
		}
		d.step(s)
	}
	if gap {
		d.note(r.Gap, fmt.Sprintf("… %d messages are not kept …", r.LeftOut))
	}
	for _, m := range marks {
		d.milestone(m)
	}
	return d.out.String()
}

type drawing struct {
	report *Report
	us     int // our column
	out    strings.Builder
}

// column is that of a party: half of them stand left of us.
func (d *drawing) column(party int) int {
	if party >= d.us {
		return party + 1
	}
	return party
}

// at is where the line of a column is.
func at(column int) int { return timeWidth + margin + column*laneWidth }

// head names the participants over their columns.
func (d *drawing) head() {
	names := make([]string, len(d.report.Parties)+1)
	addrs := make([]string, len(names))
	names[d.us], addrs[d.us] = "Perezvon", d.report.here
	for i, p := range d.report.Parties {
		names[d.column(i)] = p.Name
		addrs[d.column(i)] = p.Addr.String()
		if p.Via != "udp" {
			addrs[d.column(i)] += " " + p.Via
		}
	}
	for _, texts := range [][]string{names, addrs} {
		line := canvas{}
		for i, text := range texts {
			text = shorten(text, laneWidth-2)
			line.put(at(i)-utf8.RuneCountInString(text)/2, text)
		}
		d.write(line)
	}
	d.write(d.lanes())
}

// lanes is a line with nothing but the columns.
func (d *drawing) lanes() canvas {
	line := canvas{}
	for i := range len(d.report.Parties) + 1 {
		line.put(at(i), "│")
	}
	return line
}

// step draws an arrow from one column to the other.
func (d *drawing) step(s *Step) {
	line := d.lanes()
	line.put(0, fmt.Sprintf("%*s", timeWidth-1, d.report.offset(s.At)))
	left, right := at(d.us), at(d.column(s.Party))
	toRight := s.Sent
	if left > right {
		left, right, toRight = right, left, !toRight
	}
	line.put(left+1, strings.Repeat("─", right-left-1))
	if toRight {
		line.put(right-1, "▶")
	} else {
		line.put(left+1, "◀")
	}
	text := fmt.Sprintf(" %d %s ", s.N, s.Text)
	if s.Again > 0 {
		text = fmt.Sprintf(" %d again: %s ", s.N, s.Text)
	}
	line.put(left+3, shorten(text, right-left-5))
	d.write(line)
}

func (d *drawing) milestone(m Milestone) {
	d.note(m.At, "♪ "+d.report.milestoneWords(m))
}

// note writes a line that belongs to no arrow.
func (d *drawing) note(when time.Time, text string) {
	line := canvas{}
	line.put(0, fmt.Sprintf("%*s", timeWidth-1, d.report.offset(when)))
	line.put(timeWidth+1, text)
	d.write(line)
}

func (d *drawing) write(line canvas) {
	d.out.WriteString(strings.TrimRight(string(line), " "))
	d.out.WriteByte('\n')
}

// canvas is a line of text that is written upon.
type canvas []rune

func (c *canvas) put(at int, text string) {
	at = max(at, 0)
	runes := []rune(text)
	if missing := at + len(runes) - len(*c); missing > 0 {
		*c = append(*c, slices.Repeat([]rune{' '}, missing)...)
	}
	copy((*c)[at:], runes)
}

// shorten cuts a text to so many characters.
func shorten(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:max(most-2, 0)]) + "… "
	}
	return text
}

// milestoneWords is a milestone in words.
func (r *Report) milestoneWords(m Milestone) string {
	who := r.title(m.Leg)
	switch m.Kind {
	case KindAgreed:
		return fmt.Sprintf("%s: %s agreed, our port %d, theirs %s", who, m.Text, m.Port, peer(m))
	case KindHeld:
		return who + ": puts us on hold"
	case KindResumed:
		return who + ": takes us back from hold"
	case KindFirstOut:
		return fmt.Sprintf("%s: our first packet of sound goes to %s", who, peer(m))
	case KindLocked:
		return fmt.Sprintf("%s: is heard from %s", who, peer(m))
	case KindDigit:
		return who + ": a key is pressed"
	case KindSilence:
		return who + ": nothing is heard"
	}
	return who + ": " + m.Kind
}

func peer(m Milestone) string {
	if !m.Peer.IsValid() {
		return "nowhere"
	}
	return m.Peer.String()
}

// title names a leg in a sentence: phone 101, trunk provider, or a number
// through it.
func (r *Report) title(leg string) string {
	switch l := r.leg(leg); {
	case l == nil:
		return "the far side"
	case l.Extension != "":
		return "phone " + l.Extension
	case r.sharesTrunk(l):
		return l.Number + " through trunk " + l.Trunk
	case l.Trunk != "":
		return "trunk " + l.Trunk
	}
	return "the far side"
}
