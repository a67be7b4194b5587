package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/store"
	"perezvon/sip"
)

// leg tells of one phone: how long it rang, who hung up, which messages went
// to and fro, and what was measured.
func (s *story) leg(l *api.Leg) {
	d := eventData{Role: l.Role, Number: l.Number, Extension: l.Extension, Trunk: l.Trunk}
	name := d.phone()
	s.line(plain, 1, "%s %s", strings.ToUpper(name[:1])+name[1:], s.fate(l))
	switch {
	case !sent(l):
		s.line(plain, 2, "nothing was sent")
	case s.trace == nil: // else the ladder is the true one
		for _, m := range ladder(l, s.call.Kind, s.calls(l)) {
			s.line(faint, 2, "%8s  %s", s.at(m.at), m.arrow())
		}
	}
	if l.Q850 != nil && *l.Q850 != 0 {
		s.line(plain, 2, "Q.850 cause %d: %s", *l.Q850, q850Words(*l.Q850))
	}
	if l.NoAudio {
		s.line(bad, 2, "%s", noSound("it"))
	}
	if l.AnsweredAt != nil {
		s.line(plain, 2, "sound: %s", soundWords(l.Quality))
	}
}

// unsent is how the reasons begin of legs that ended before their INVITE.
var unsent = regexp.MustCompile(`^(extension \S+ is not registered|host .*has no address|trunk .*takes no further call|cannot send|no such trunk or extension|the SIP agent is closed|.*is set to do not disturb)`)

// sent reports whether a leg had any message, as far as its end tells.
func sent(l *api.Leg) bool {
	reason, _ := endedBy(value(l.Reason))
	return l.RingAt != nil || l.AnsweredAt != nil || value(l.SIPCode) != 0 || !unsent.MatchString(reason)
}

// calls reports whether the phone of a leg called us: in a call that comes in it
// is the first.
func (s *story) calls(l *api.Leg) bool {
	return len(s.call.Legs) > 0 && l.ID == s.call.Legs[0].ID && comesIn(s.call.Kind, s.order.Key)
}

// fate is how it went for a phone, in a sentence.
func (s *story) fate(l *api.Leg) string {
	end := s.now
	if l.EndedAt != nil {
		end = *l.EndedAt
	}
	so := ""
	if l.EndedAt == nil {
		so = " so far"
	}
	lasted := func(from, to time.Time) string { return seconds(to.Sub(from).Milliseconds()) }
	var told string
	switch calls := s.calls(l); {
	case calls && l.AnsweredAt == nil:
		told = "called us" + refusal(l)
		if strings.Contains(told, "refused") {
			return told + "."
		}
	case calls:
		told = "called us and was up for " + lasted(*l.AnsweredAt, end) + so
	case l.AnsweredAt != nil && l.RingAt != nil:
		told = fmt.Sprintf("rang %s, was answered and was up for %s", lasted(*l.RingAt, *l.AnsweredAt), lasted(*l.AnsweredAt, end)+so)
	case l.AnsweredAt != nil:
		told = "was answered and was up for " + lasted(*l.AnsweredAt, end) + so
	case l.RingAt != nil:
		told = "rang " + lasted(*l.RingAt, end) + so
	default:
		told = "did not ring"
	}
	if why := whyEnded(l, s.call.Kind); why != "" {
		told += "; " + why
	}
	return told + "."
}

// refusal is how we refused a call that came in; empty where the caller gave up.
func refusal(l *api.Leg) string {
	code := value(l.SIPCode)
	if l.EndedAt == nil || code < 300 || code == 487 {
		return ""
	}
	return "; we refused with " + statusLine(code)
}

// whyEnded says who ended a leg, and why.
func whyEnded(l *api.Leg, kind string) string {
	reason, by := endedBy(value(l.Reason))
	switch {
	case l.EndedAt == nil && l.State == string(store.LegAnswered):
		return ""
	case l.EndedAt == nil:
		return "it is " + l.State
	case strings.Contains(reason, elsewhere):
		return "another phone took the call"
	case l.AnsweredAt != nil && by != "" && reason == "hung up":
		return partyWords(by) + " hung up"
	case l.AnsweredAt != nil && by == string(store.PartyUs):
		if reason == callOver {
			return "then we hung up"
		}
		return "we hung up" + onBehalf(reason)
	case by != "" && l.AnsweredAt == nil && by != string(store.PartyUs) && by != partyOfRole(kind, l.Role):
		return "we stopped ringing it: " + partyWords(by) + " " + reason
	case by != "":
		return reason + " by " + partyWords(by)
	}
	return reason
}

// endReason is how our own ends of a leg are written: "hung up (by customer)".
var endReason = regexp.MustCompile(`^(.*) \(by ([a-z]+)\)$`)

func endedBy(reason string) (text, by string) {
	if m := endReason.FindStringSubmatch(reason); m != nil {
		return m[1], m[2]
	}
	return reason, ""
}

// message is one SIP message of a leg.
type message struct {
	at   time.Time
	ours bool
	text string
}

const arrowLength = 30

// arrow draws it: from us to the right, to us to the left.
func (m message) arrow() string {
	line := strings.Repeat("─", max(2, arrowLength-len([]rune(m.text))))
	if m.ours {
		return m.text + " " + line + "▶"
	}
	return "◀" + line + " " + m.text
}

// ladder is what the record of a leg says about its messages. Those that were
// sent again, and provisional responses after the first ringing, are not in it.
func ladder(l *api.Leg, kind string, calls bool) []message {
	out := !calls // we sent the INVITE
	msgs := []message{{l.StartedAt, out, "INVITE"}}
	add := func(at *time.Time, ours bool, text string) {
		if at != nil {
			msgs = append(msgs, message{*at, ours, text})
		}
	}
	add(l.RingAt, !out, "18x ringing")
	add(l.AnsweredAt, !out, "200 OK")
	add(l.AnsweredAt, out, "ACK")
	if l.EndedAt == nil {
		return msgs
	}
	reason, by := endedBy(value(l.Reason))
	code := value(l.SIPCode)
	switch rejected := strings.HasPrefix(reason, strconv.Itoa(code)+" "); {
	case l.AnsweredAt != nil:
		theirs := by == partyOfRole(kind, l.Role)
		add(l.EndedAt, !theirs, "BYE")
	case code == 0 && l.RingAt == nil:
		return append(msgs, message{*l.EndedAt, false, "nothing came"})
	case code == 0:
		add(l.EndedAt, out, "CANCEL")
	case code == 487 && !rejected:
		add(l.EndedAt, out, "CANCEL")
		add(l.EndedAt, !out, statusLine(code))
	case rejected:
		line, _, _ := strings.Cut(reason, " (")
		add(l.EndedAt, !out, line)
	default:
		add(l.EndedAt, !out, statusLine(code))
	}
	return msgs
}

func statusLine(code int) string {
	if code == 487 {
		return "487 Request Terminated" // that of everybody else; ours is shorter
	}
	return fmt.Sprintf("%d %s", code, sip.Phrase(code))
}

// partyOfRole is whose phone a leg is. Where the office calls itself, the
// manager is who calls, and the customer who is called.
func partyOfRole(kind, role string) string {
	customer := store.RoleCaller
	if kind == string(store.KindInternal) {
		customer = store.RoleCallee
	}
	if role == string(store.RoleCustomer) || role == string(customer) {
		return string(store.PartyCustomer)
	}
	return string(store.PartyManager)
}

// noSound says what to look at where no sound came from a phone.
func noSound(phone string) string {
	return "NO SOUND CAME from " + phone + ": check NAT, media.ports in the firewall, and sip.public_ip"
}

// soundWords tells what was measured, and what was not.
func soundWords(q *api.Quality) string {
	if q == nil {
		return "not measured"
	}
	lost := "not measured"
	if q.Lost != nil {
		lost = strconv.FormatInt(*q.Lost, 10)
		if all := float64(q.PacketsIn) + float64(*q.Lost); *q.Lost > 0 && all > 0 {
			lost += fmt.Sprintf(" (%.1f %%)", 100*float64(*q.Lost)/all)
		}
	}
	how := q.Codec
	if q.SRTP != "" {
		how += ", encrypted with " + q.SRTP
	}
	return fmt.Sprintf("%s; %d packets came, %d went; lost %s; jitter %s; round trip %s",
		how, q.PacketsIn, q.PacketsOut, lost, millis(q.JitterMS), millis(q.RoundTripMS))
}

func millis(v *float64) string {
	if v == nil {
		return "not measured"
	}
	return fmt.Sprintf("%.1f ms", *v)
}
