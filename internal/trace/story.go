package trace

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"perezvon/internal/store"
)

// tell writes the story: what went over the wire, what did not work and what to
// do about it.
func (r *Report) tell() {
	told := make(map[string]bool) // legs
	for _, t := range r.talks() {
		told[t.leg] = true
		r.beginning(t)
		if t.out {
			r.outgoing(t)
		} else {
			r.incoming(t)
		}
		if t.answered() {
			r.sound(t)
		}
		r.ending(t)
	}
	for i := range r.call.Legs {
		if l := &r.call.Legs[i]; !told[l.ID] && l.Role != store.RoleCaller && l.EndedAt != nil {
			r.silentLeg(l)
		}
	}
	r.codecs()
	if r.LeftOut > 0 {
		r.fact("%d messages in the middle are not kept: there were too many, or they were too large.", r.LeftOut)
	}
}

func (r *Report) line(kind, format string, args ...any) {
	text := strings.TrimSuffix(fmt.Sprintf(format, args...), ".") + "."
	r.Story = append(r.Story, Line{kind, strings.ToUpper(text[:1]) + text[1:]})
}

func (r *Report) fact(format string, args ...any)    { r.line(Fact, format, args...) }
func (r *Report) problem(format string, args ...any) { r.line(Problem, format, args...) }
func (r *Report) advice(format string, args ...any)  { r.line(Advice, format, args...) }

// span is how long something took, as people say it.
func span(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

func (r *Report) who(t *talk) string {
	if name := r.title(t.leg); r.leg(t.leg) != nil {
		return name
	}
	return t.party.Addr.String()
}

// beginning tells who called whom and what came of it, as far as it went well.
func (r *Report) beginning(t *talk) {
	if t.target == "" { // what is left of a call after a crash
		r.fact("at %s we told %s that the call is over: it was up when the server was interrupted.", r.offset(t.began), r.who(t))
		return
	}
	where := fmt.Sprintf("%s at %s over %s", r.who(t), t.party.Addr, strings.ToUpper(t.party.Via))
	if !t.out {
		where = "we were called by " + where
	} else {
		where = "we called " + where
	}
	text := fmt.Sprintf("at %s %s", r.offset(t.began), where)
	switch {
	case !t.rang.IsZero() && t.answered():
		text += fmt.Sprintf("; it rang after %s and was answered after %s", span(t.rang.Sub(t.began)), span(t.final.At.Sub(t.began)))
	case t.answered():
		text += fmt.Sprintf("; it was answered after %s", span(t.final.At.Sub(t.began)))
	case !t.rang.IsZero():
		text += fmt.Sprintf("; it rang after %s and was not answered", span(t.rang.Sub(t.began)))
	}
	r.fact("%s.", text)
	if t.asked > 0 && (t.answered() || t.final != nil && t.final.p.status != 401 && t.final.p.status != 407) {
		if t.out {
			r.fact("%s asked for credentials and took them.", r.who(t))
		} else {
			r.fact("we asked for credentials, and they were right.")
		}
	}
}

// outgoing tells what became of our INVITE.
func (r *Report) outgoing(t *talk) {
	switch {
	case t.target == "" || t.answered():
	case t.final == nil && !t.heard:
		r.problem("no answer to %s in %s from %s.", times(t.invites, "INVITE"), span(r.until(t).Sub(t.began)), t.party.Addr)
		r.advice("nothing at all came back: a firewall drops the packets, the address or the port of %s is wrong, or it is off.%s", r.who(t),
			onTrunk(r.leg(t.leg), " A provider that does not know our address keeps silent, too: ask whether it is allowed there."))
	case t.final == nil && t.cancel != nil:
		r.fact("we stopped calling it%s.", why(t.cancel))
	case t.final == nil:
		r.fact("it has no final response yet.")
	case t.final.p.status == 487 && t.cancel != nil:
		r.fact("we stopped calling it%s.", why(t.cancel))
	default:
		r.refused(t)
	}
}

// until is when we stopped waiting for a response.
func (r *Report) until(t *talk) time.Time {
	if l := r.leg(t.leg); l != nil && l.EndedAt != nil {
		return *l.EndedAt
	}
	return t.lastInvite
}

func times(n int, what string) string {
	if n == 1 {
		return "one " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// why is what the sender of a CANCEL or BYE says of it.
func why(s *Step) string {
	cause, text := s.p.reason()
	switch {
	case text != "":
		return ": " + text
	case cause > 0:
		return fmt.Sprintf(": Q.850 cause %d", cause)
	}
	return ""
}

// refused tells of a final response that is none we want.
func (r *Report) refused(t *talk) {
	p := t.final.p
	told := fmt.Sprintf("%s answered %s to our INVITE", r.who(t), strings.TrimSpace(fmt.Sprint(p.status, " ", p.phrase)))
	cause, text := p.reason()
	switch {
	case text != "" && !strings.EqualFold(text, p.phrase):
		told += fmt.Sprintf(" (%s)", text)
	case cause > 0:
		told += fmt.Sprintf(" (Q.850 cause %d)", cause)
	}
	meaning, advice := meaningOf(t, onTrunk(r.leg(t.leg), "trunk") != "")
	r.problem("%s: %s.", told, meaning)
	if advice != "" {
		r.advice("%s", advice)
	}
	if h := cmp.Or(p.header("warning"), p.header("error-info")); h != "" {
		r.fact("it says: %s", h)
	}
}

// onTrunk is the text where a leg goes through a trunk.
func onTrunk(l *store.Leg, text string) string {
	if l == nil || l.Trunk == "" {
		return ""
	}
	return text
}

// incoming tells what became of the INVITE of a caller.
func (r *Report) incoming(t *talk) {
	switch {
	case t.answered() && !t.acked:
		r.problem("we answered %s, and no ACK came from %s.", strings.Replace(times(t.answers, "time"), "one time", "once", 1), r.who(t))
		r.advice("our answer, or its ACK, does not get through: the Contact that we give must be reachable from there; look at sip.public_ip and at the firewall")
	case t.final == nil && t.cancel != nil, t.final != nil && t.final.p.status == 487:
		r.fact("the caller gave up%s.", ifCancel(t))
	case t.final == nil || t.answered():
	case t.final.p.status == 401 || t.final.p.status == 407:
		r.problem("%s never gave the credentials that we asked for.", r.who(t))
	case t.final.p.status == 488:
		r.problem("we refused the call: the caller offers %s, and of that we speak nothing, or not without encryption.", list(codecsOf(t.theirs)))
		r.advice("look at media.codecs and at the srtp of the trunk or phone")
	default:
		r.fact("we refused the call with %d %s.", t.final.p.status, t.final.p.phrase)
	}
}

func ifCancel(t *talk) string {
	if t.cancel == nil {
		return ""
	}
	return why(t.cancel)
}

func codecsOf(d *description) []string {
	if d == nil {
		return nil
	}
	return d.codecs
}

// silentLeg tells of a leg that nothing was sent to.
func (r *Report) silentLeg(l *store.Leg) {
	if len(r.Steps) == 0 || l.Reason == "" {
		return
	}
	r.problem("nothing was sent to %s: %s.", r.title(l.ID), strings.TrimSuffix(l.Reason, "."))
}

// ending tells who hung up.
func (r *Report) ending(t *talk) {
	for _, to := range t.refers {
		r.fact("%s transfers the call to %s.", r.who(t), to)
	}
	switch {
	case t.bye == nil:
		return
	case t.bye.Sent && t.target != "":
		r.fact("at %s we hung up %s%s.", r.offset(t.bye.At), r.who(t), why(t.bye))
	case !t.bye.Sent:
		r.fact("at %s %s hung up%s.", r.offset(t.bye.At), r.who(t), why(t.bye))
	}
	if t.bye.Sent && !t.byeDone && r.call.EndedAt != nil {
		r.problem("%s did not answer our BYE, which went %s: it may think that the call goes on.", r.who(t), times(t.byeSent, "time"))
	}
}
