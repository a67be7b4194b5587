package lab

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// Talk waits for the answer and stays in the conversation for a time.
func Talk(d time.Duration) Step {
	return talking("talk", func(ctx context.Context, _ *Party) error { return sleep(ctx, d) })
}

// Press waits for the answer, then for a time, and presses keys of 0-9, *, #
// and A-D, as telephone events (RFC 4733).
func Press(keys string, after time.Duration) Step {
	return talking("press", func(ctx context.Context, p *Party) error {
		if err := sleep(ctx, after); err != nil {
			return err
		}
		return p.Press(ctx, keys)
	})
}

// PressINFO is Press by SIP INFO with a body of application/dtmf-relay.
func PressINFO(keys string, after time.Duration) Step {
	return talking("press by INFO", func(ctx context.Context, p *Party) error {
		if err := sleep(ctx, after); err != nil {
			return err
		}
		return p.PressINFO(ctx, keys)
	})
}

// Hold tells the other side to be silent.
func Hold() Step {
	return talking("hold", func(ctx context.Context, p *Party) error { return p.Hold(ctx) })
}

// Resume takes a Hold back.
func Resume() Step {
	return talking("resume", func(ctx context.Context, p *Party) error { return p.Resume(ctx) })
}

// ReinviteUnchanged sends a re-INVITE that changes nothing, as session timers
// do. The answer must not change either.
func ReinviteUnchanged() Step {
	return talking("re-INVITE", func(ctx context.Context, p *Party) error { return p.Reinvite(ctx, true) })
}

// ReinviteWithoutOffer sends a re-INVITE without a description: the other
// side offers, our answer goes into the ACK.
func ReinviteWithoutOffer() Step {
	return talking("re-INVITE without offer", func(ctx context.Context, p *Party) error { return p.Reinvite(ctx, false) })
}

// Sound changes the tone, in hertz; 0 is silence.
func Sound(hz float64) Step {
	return talking("sound", func(_ context.Context, p *Party) error {
		p.audio.setTone(hz)
		return nil
	})
}

// Bye hangs up. Headers are written "Name: value".
func Bye(headers ...string) Step {
	return talking("bye", func(ctx context.Context, p *Party) error {
		return p.Hangup(context.WithoutCancel(ctx), headers...)
	})
}

// Cancel gives up a call of ours that is not answered in that time. It runs
// from when the step is reached.
func Cancel(after time.Duration, headers ...string) Step {
	return Step{name: "cancel", run: func(ctx context.Context, p *Party) error {
		t := time.NewTimer(after)
		defer t.Stop()
		select {
		case <-t.C:
			return p.Cancel(context.WithoutCancel(ctx), headers...)
		case <-p.answered:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}}
}

// Press presses keys as telephone events and waits until the last is out.
func (p *Party) Press(ctx context.Context, keys string) error {
	done, err := p.audio.press(keys)
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// PressINFO presses keys by SIP INFO, one request each.
func (p *Party) PressINFO(ctx context.Context, keys string) error {
	for _, k := range keys {
		p.c.mu.Lock()
		if p.stage != confirmed {
			p.c.mu.Unlock()
			return errOver
		}
		m, to := p.compose("INFO")
		m.setBody("application/dtmf-relay", fmt.Appendf(nil, "Signal=%c\r\nDuration=160\r\n", k))
		tx := p.c.request(p, m, to, nil)
		p.c.mu.Unlock()
		res, err := p.outcome(ctx, tx)
		if err != nil {
			return fmt.Errorf("lab: INFO: %w", err)
		}
		if res.Status != 200 {
			return fmt.Errorf("lab: INFO: %d %s", res.Status, res.Phrase)
		}
	}
	return nil
}

// Settings.

// Tone is what the party sends during the conversation, in hertz. Without it
// the party sends silence. Tones should be 50 Hz from one another and not
// within 50 Hz of 425, the ringing tone, unless they are to be told apart by
// more than 300 ms of them.
func Tone(hz float64) Step { return setting("tone", func(s *settings) { s.tone = hz }) }

// NoSound lets the party send no packets at all.
func NoSound() Step { return setting("no sound", func(s *settings) { s.mute = true }) }

// Codecs are what the party speaks, in order of preference. PCMA and PCMU
// without it.
func Codecs(codecs ...Codec) Step {
	return setting("codecs", func(s *settings) { s.codecs = codecs })
}

// Ptime is how much sound the party puts into a packet: 20 ms without it.
func Ptime(d time.Duration) Step { return setting("ptime", func(s *settings) { s.ptime = d }) }

// TelephoneEvents is the payload type that the party offers for keys, 101
// without it; -1 means that it knows none.
func TelephoneEvents(payloadType int) Step {
	return setting("telephone events", func(s *settings) { s.digits = payloadType })
}

// MediaAddress is the address in the party's description, where it is not
// the true one: a phone behind NAT.
func MediaAddress(ip netip.Addr) Step {
	return setting("media address", func(s *settings) { s.address = ip })
}

// EditSDP changes every description of the party before it is sent.
func EditSDP(edit func(string) string) Step {
	return setting("edit SDP", func(s *settings) { s.editSDP = edit })
}

// NoSDPIn200 leaves the description out of the 200: it was in the 183.
func NoSDPIn200() Step { return setting("no SDP in 200", func(s *settings) { s.bareAnswer = true }) }

// Headers are added to the INVITE, or to 18x and 200, of the party. They are
// written "Name: value".
func Headers(lines ...string) Step {
	return setting("headers", func(s *settings) { s.headers = append(s.headers, lines...) })
}

// RecordRoute puts the party behind a proxy that stays in the path: its
// Contact cannot be reached, requests must follow the route set.
func RecordRoute() Step { return setting("record-route", func(s *settings) { s.recordRoute = true }) }

// AnswerOnCancel answers the call when CANCEL comes: the 200 has crossed it.
func AnswerOnCancel() Step {
	return setting("answer on cancel", func(s *settings) { s.answerOnCancel = true })
}

// DeafToCancel never answers CANCEL and rings on.
func DeafToCancel() Step {
	return setting("deaf to cancel", func(s *settings) { s.deafToCancel = true })
}

// LoseACKs takes the first n ACKs for lost, -1 all of them: a called party
// repeats its 200, a calling party does not send its ACK at all.
func LoseACKs(n int) Step { return setting("lose ACKs", func(s *settings) { s.deafToACKs = n }) }
