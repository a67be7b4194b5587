package trace

import (
	"fmt"
	"slices"
	"strings"

	"perezvon/internal/store"
)

// Quality that people hear.
const (
	badLoss   = 3.0  // percent
	badJitter = 40.0 // milliseconds
)

// sound tells of the sound of a leg that was answered.
func (r *Report) sound(t *talk) {
	r.agreed(t)
	var heard, sent, silence *Milestone
	keys := 0
	for i := range r.Milestones {
		m := &r.Milestones[i]
		switch {
		case m.Leg != t.leg || t.leg == "":
		case m.Kind == KindLocked:
			heard = firstOf(heard, m)
		case m.Kind == KindFirstOut:
			sent = firstOf(sent, m)
		case m.Kind == KindSilence:
			silence = firstOf(silence, m)
		case m.Kind == KindDigit:
			keys++
		}
	}
	l := r.leg(t.leg)
	switch {
	case silence != nil || l != nil && l.NoAudio:
		r.noSound(t, heard)
	case heard != nil && t.theirs != nil && heard.Peer.IsValid() && heard.Peer != t.theirs.addr && !t.theirs.held():
		r.fact("sound of %s comes from %s, although it named %s: it is behind NAT, or another machine sends it, and that works.", r.who(t), heard.Peer, t.theirs.addr)
	}
	if heard != nil && sent == nil && r.call.EndedAt != nil {
		r.fact("we sent no sound to %s.", r.who(t))
	}
	if t.holds > 0 {
		r.fact("the call was put on hold %s.", strings.Replace(times(t.holds, "time"), "one time", "once", 1))
	}
	if keys > 0 {
		r.fact("%s pressed %s.", r.who(t), times(keys, "key"))
	}
	if l != nil {
		r.quality(t, l.Quality)
	}
}

func firstOf(a, b *Milestone) *Milestone {
	if a != nil {
		return a
	}
	return b
}

// agreed tells what the two sides agreed on.
func (r *Report) agreed(t *talk) {
	if t.ours == nil || t.theirs == nil {
		return
	}
	secure := ", not encrypted"
	if t.theirs.secure != "" {
		secure = ", encrypted with " + t.theirs.secure
	}
	codec := ""
	for _, m := range r.Milestones {
		if m.Leg == t.leg && m.Text != "" {
			codec = "we send " + m.Text + "; "
		}
	}
	offer := fmt.Sprintf("we offered %s, %s took %s", list(t.ours.codecs), r.who(t), list(t.theirs.codecs))
	if !t.offered {
		offer = fmt.Sprintf("%s offered %s, we took %s", r.who(t), list(t.theirs.codecs), list(t.ours.codecs))
	}
	r.fact("sound: %s; %sour port is %s, theirs %s%s.", offer, codec, t.ours.addr, t.theirs.addr, secure)
}

// noSound tells why nothing may have been heard.
func (r *Report) noSound(t *talk, heard *Milestone) {
	who := r.who(t)
	if heard != nil {
		r.problem("no sound came from %s within 5 s of the answer; later it did.", who)
	} else {
		r.problem("no sound came from %s within 5 s of the answer, nor later.", who)
	}
	switch {
	case reachesNothing(t.ours, t.party):
		r.advice("our session description names %s, which nobody outside reaches: set sip.public_ip to the outer address", t.ours.addr.Addr())
	case reachesNothing(t.theirs, t.party):
		r.advice("%s named %s, an address inside its own network, and sent nothing itself: its router or firewall stops the sound", who, t.theirs.addr)
	default:
		r.advice("check that the firewall lets the UDP ports of media.ports in, that NAT passes them on, and that sip.public_ip is right")
	}
}

// quality tells what was measured at the end.
func (r *Report) quality(t *talk, q *store.Quality) {
	if q == nil {
		return
	}
	text := fmt.Sprintf("quality of %s: %s, %d packets came and %d went", r.who(t), q.Codec, q.PacketsIn, q.PacketsOut)
	loss := 0.0
	if q.Lost != nil && *q.Lost > 0 {
		loss = 100 * float64(*q.Lost) / (float64(q.PacketsIn) + float64(*q.Lost))
		text += fmt.Sprintf(", %d were lost (%.1f %%)", *q.Lost, loss)
	} else if q.Lost != nil {
		text += ", none were lost"
	}
	if q.JitterMS != nil {
		text += fmt.Sprintf(", jitter %.1f ms", *q.JitterMS)
	}
	if q.RoundTripMS != nil {
		text += fmt.Sprintf(", round trip %.1f ms", *q.RoundTripMS)
	}
	r.fact("%s.", text)
	if loss >= badLoss || q.JitterMS != nil && *q.JitterMS >= badJitter {
		r.problem("the sound of %s came badly: people hear it break off.", r.who(t))
		r.advice("look at the network between: Wi-Fi, a full line without priority for voice, a VPN")
	}
}

// codecs tells where the two sides of a talk speak different ones.
func (r *Report) codecs() {
	var who, codecs []string
	for _, l := range r.call.Legs {
		if l.AnsweredAt == nil || l.Quality == nil || l.Quality.Codec == "" || slices.Contains(codecs, l.Quality.Codec) {
			continue
		}
		who = append(who, r.title(l.ID)+" "+l.Quality.Codec)
		codecs = append(codecs, l.Quality.Codec)
	}
	if len(codecs) > 1 {
		r.fact("the two sides speak different codecs (%s); we translate.", strings.Join(who, ", "))
	}
}
