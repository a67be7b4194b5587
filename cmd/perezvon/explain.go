package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/store"
)

// story tells one call in plain words.
type story struct {
	out    *console
	call   api.Call
	events []api.Event
	away   bool // there are events, but they cannot be had now
	now    time.Time
	zone   *time.Location // of moments; spans are since the call began

	trace   *api.Trace // what went over the wire; nil: it is not known
	noTrace string     // why it is not; may be empty

	order order // what was asked for
}

// tell prints the whole story.
func (s *story) tell() {
	s.asked()
	s.happened()
	for i := range s.call.Attempts {
		s.try(&s.call.Attempts[i])
	}
	if len(s.call.Attempts) == 0 { // an incoming call is one try
		s.legs(1)
	}
	s.wire()
	s.ending()
}

// line prints a line, indented by depth.
func (s *story) line(t tone, depth int, format string, args ...any) {
	s.out.line(t, "%s%s", strings.Repeat("  ", depth), fmt.Sprintf(format, args...))
}

// at is a moment of the call: minutes, seconds and tenths since it began.
func (s *story) at(t time.Time) string {
	d := max(0, t.Sub(s.call.CreatedAt)).Truncate(100 * time.Millisecond)
	h, m, sec := int(d.Hours()), int(d.Minutes())%60, (d % time.Minute).Seconds()
	if h > 0 {
		return fmt.Sprintf("%d:%02d:%04.1f", h, m, sec)
	}
	return fmt.Sprintf("%d:%04.1f", m, sec)
}

func (s *story) date(t time.Time) string {
	t = t.In(s.zone)
	return t.Format(time.DateTime) + " " + zone(t)
}

// order is what a call.created event says about the request.
type order struct {
	Key     string `json:"key"`
	Manager string `json:"manager"`
}

// asked tells what was asked for, and by whom.
func (s *story) asked() {
	c := &s.call
	s.line(accent, 0, "Call %s", c.ID)
	o := &s.order
	if i := slices.IndexFunc(s.events, func(e api.Event) bool { return e.Type == store.EventCallCreated }); i >= 0 {
		_ = json.Unmarshal(s.events[i].Data, o) // what is not understood is not told
	}
	switch {
	case c.Kind == string(store.KindInbound):
		s.line(plain, 0, "%s called line %s on %s.", c.Number, c.Line, s.date(c.CreatedAt))
	case s.away && (c.Kind == string(store.KindInternal) || c.Kind == string(store.KindOutbound)): // who asked stands in the timeline
		s.line(plain, 0, "A call of the office to %s, on %s.", c.Number, s.date(c.CreatedAt))
	case c.Kind == string(store.KindInternal):
		s.line(plain, 0, "Extension %s called extension %s on %s.", o.Manager, c.Number, s.date(c.CreatedAt))
	case c.Kind == string(store.KindOutbound) && o.Key == "":
		s.line(plain, 0, "Extension %s called %s through line %s on %s.", o.Manager, c.Number, c.Line, s.date(c.CreatedAt))
	case c.Kind == string(store.KindOutbound):
		s.line(plain, 0, "A call of extension %s to %s through line %s, asked for on %s by key %s.", o.Manager, c.Number, c.Line, s.date(c.CreatedAt), o.Key)
	default:
		by := ""
		if o.Key != "" {
			by = " by key " + o.Key
		}
		s.line(plain, 0, "%s to %s on line %s, asked for on %s%s.", kindWords(c.Kind), c.Number, c.Line, s.date(c.CreatedAt), by)
	}
	if c.Text != "" {
		voice := ""
		if c.Voice != "" {
			voice = " in voice " + c.Voice
		}
		who := "The manager"
		if c.Kind == string(store.KindInfocall) {
			who = "Whoever answers"
		}
		s.line(plain, 0, "%s is told%s%s: %s", who, times(c.Repeat), voice, c.Text)
	}
	if c.Sound != "" {
		s.line(plain, 0, "Whoever answers hears%s: %s", times(c.Repeat), c.Sound)
	}
	switch {
	case c.Gather == 1:
		s.line(plain, 0, "A key is waited for.")
	case c.Gather > 1:
		s.line(plain, 0, "Up to %d keys are waited for.", c.Gather)
	}
	if o.Manager != "" && c.Kind == string(store.KindCallback) {
		s.line(plain, 0, "The manager is %s, instead of the line's route.", o.Manager)
	}
	if c.Mode == "customer_first" {
		s.line(plain, 0, "The customer is called before the manager.")
	}
	if c.NotBefore != nil {
		s.line(plain, 0, "Not to be dialled before %s.", s.date(*c.NotBefore))
	}
}

// kindWords names a call that was asked for.
func kindWords(kind string) string {
	if kind == string(store.KindInfocall) {
		return "An informational call"
	}
	return "A " + kind
}

// times says that a message is played more than once.
func times(n int) string {
	if n < 2 {
		return ""
	}
	return fmt.Sprintf(" %d times", n)
}

// happened tells the events in their order. What phones do before somebody
// answers is told with the phones.
func (s *story) happened() {
	if s.away {
		s.line(plain, 0, "")
		s.line(bad, 0, timelineAway)
		return
	}
	if len(s.events) == 0 {
		return
	}
	s.line(plain, 0, "")
	s.line(accent, 0, "What happened, in minutes and seconds since then")
	t := timeline{moment: s.date}
	for _, e := range s.events {
		text, tone := t.describe(e)
		if e.Type == store.EventLegDialling || e.Type == store.EventLegRinging {
			continue
		}
		s.line(tone, 1, "%8s  %s", s.at(e.At), text)
	}
}

// try tells of one attempt and of its phones.
func (s *story) try(a *api.Attempt) {
	span := "since " + s.at(a.StartedAt)
	if a.EndedAt != nil {
		span = "from " + s.at(a.StartedAt) + " to " + s.at(*a.EndedAt)
	}
	s.line(plain, 0, "")
	s.line(accent, 0, "Try %d, %s%s", a.N, span, s.outcome(a))
	s.legs(a.N)
}

func (s *story) outcome(a *api.Attempt) string {
	if a.Result == nil {
		return ""
	}
	return ": " + outcomeWords(s.call.Kind, *a.Result, value(a.Reason)) + ifCode(value(a.Code))
}

func (s *story) legs(attempt int) {
	for i := range s.call.Legs {
		if l := &s.call.Legs[i]; max(1, l.Attempt) == attempt {
			s.leg(l)
		}
	}
}

// ending tells the result, or what the call waits for.
func (s *story) ending() {
	c := &s.call
	s.line(plain, 0, "")
	if r := c.Recording; r != nil {
		s.line(plain, 0, "Recording  %s", recordingWords(r))
	}
	if c.Result == nil {
		s.line(accent, 0, "Now        %s", s.waits())
		return
	}
	switch {
	case c.Info != nil:
		s.line(plain, 0, "Message    %s: %s", c.Info.OK, infoWords(c.Info))
	case c.AnsweredAt != nil:
		s.line(plain, 0, "Talk       %s, from %s on", seconds(c.TalkMS), s.at(*c.AnsweredAt))
	}
	if by := value(c.HangupBy); by != "" {
		s.line(plain, 0, "Hung up    by %s", partyWords(by))
	}
	s.line(resultTone(*c.Result), 0, "Result     %s (%s)", outcomeWords(c.Kind, *c.Result, value(c.Reason)), *c.Result)
	if reason := value(c.Reason); reason != "" {
		s.line(plain, 0, "Reason     %s%s", reason, owned(value(c.ReasonOwner)))
	}
	s.line(plain, 0, "For a CRM  %s", crmWords(*c.Result, value(c.Code)))
}

func owned(party string) string {
	if party == "" {
		return ""
	}
	return "; it lay with " + partyWords(party)
}

// waits tells what a call in progress waits for, and until when.
func (s *story) waits() string {
	text := stateWords(s.call.State)
	since, why := s.state()
	if s.call.State == string(store.StateTalking) { // what was before a hold is told above
		since, why = cmp.Or(value(s.call.AnsweredAt), since), ""
	}
	switch next := s.call.NextAt; {
	case next != nil && next.After(s.now):
		text += fmt.Sprintf(" until %s, in %s", s.date(*next), seconds(next.Sub(s.now).Milliseconds()))
	case next != nil:
		text += ", due since " + s.date(*next)
	case !since.IsZero():
		text += ", since " + s.at(since) + ", for " + seconds(s.now.Sub(since).Milliseconds())
	}
	return text + because(why)
}

// state is when the last state of the call began, and what was said of it.
func (s *story) state() (since time.Time, why string) {
	for _, e := range slices.Backward(s.events) {
		if e.Type == store.EventCallState {
			var d eventData
			_ = json.Unmarshal(e.Data, &d) // what is not understood is not told
			return e.At, d.Text
		}
	}
	return time.Time{}, ""
}
