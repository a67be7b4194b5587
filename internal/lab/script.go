package lab

import (
	"context"
	"net/netip"
	"time"
)

// Script is what a party does: steps that run one after another. It is over
// early when the call is. A party whose script has come to its end stays as
// it is, ringing or talking, until the other side ends the call.
//
// Settings among the steps hold for the whole call, wherever they stand.
type Script []Step

// Step is one thing that a party does, or one setting of it.
type Step struct {
	name string
	set  func(*settings)
	run  func(context.Context, *Party) error
}

// settings are what steps without an action choose.
type settings struct {
	tone           float64
	codecs         []Codec
	suites         []Suite
	mustEncrypt    bool
	digits         int
	ptime          time.Duration
	address        netip.Addr
	editSDP        func(string) string
	headers        []string
	deafToACKs     int
	noTrying       bool
	mute           bool
	bareAnswer     bool
	recordRoute    bool
	answerOnCancel bool
	deafToCancel   bool
	noUpdate       bool
	glare          bool
	timing         timing
	refusal        refusal
}

func (s Script) settings() settings {
	set := settings{codecs: []Codec{PCMA, PCMU}, digits: 101, ptime: 20 * time.Millisecond}
	for _, step := range s {
		if step.set != nil {
			step.set(&set)
		}
	}
	return set
}

// play runs the script in the party's goroutine.
func (p *Party) play() {
	for _, step := range p.script {
		if step.run == nil {
			continue
		}
		if err := step.run(p.ctx, p); err != nil {
			if p.ctx.Err() == nil {
				p.c.notes.blame("%s [%s]: script: %s: %v", p.number, p.callID, step.name, err)
			}
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// do is a step that waits and then acts with the carrier locked.
func do(name string, after time.Duration, act func(*Party) error) Step {
	return Step{name: name, run: func(ctx context.Context, p *Party) error {
		if err := sleep(ctx, after); err != nil {
			return err
		}
		p.c.mu.Lock()
		defer p.c.mu.Unlock()
		return act(p)
	}}
}

// talking is a step that waits for the conversation first.
func talking(name string, act func(context.Context, *Party) error) Step {
	return Step{name: name, run: func(ctx context.Context, p *Party) error {
		select {
		case <-p.acked:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		return act(ctx, p)
	}}
}

func setting(name string, set func(*settings)) Step { return Step{name: name, set: set} }

// Wait does nothing for a time.
func Wait(d time.Duration) Step {
	return do("wait", d, func(*Party) error { return nil })
}

// Trying sends another 100. The first one goes out by itself unless NoTrying
// or Silence is in the script.
func Trying() Step {
	return do("trying", 0, func(p *Party) error {
		if p.stage != early || p.tx == nil {
			return errOver
		}
		p.c.respond(p.tx, p.tx.response(100, "Trying", ""))
		p.note(Event{Kind: Proceeding, Status: 100})
		return nil
	})
}

// Ring sends 180 after a time.
func Ring(after time.Duration) Step {
	return do("ring", after, func(p *Party) error { return p.progress(180, "Ringing", p.localTag, false) })
}

// RingFork sends 180 after a time as another phone behind a forking proxy:
// with a tag of its own, which never answers.
func RingFork(after time.Duration) Step {
	return do("ring fork", after, func(p *Party) error { return p.progress(180, "Ringing", newTag(), false) })
}

// SessionProgress sends 183 without a description after a time.
func SessionProgress(after time.Duration) Step {
	return do("session progress", after, func(p *Party) error {
		return p.progress(183, "Session Progress", p.localTag, false)
	})
}

// EarlyMedia sends 183 with a description after a time and begins to send
// tone, in hertz. From the answer on the party's own tone goes out.
func EarlyMedia(after time.Duration, tone float64) Step {
	return do("early media", after, func(p *Party) error {
		p.audio.setTone(tone)
		p.earlyMedia = true
		if err := p.progress(183, "Session Progress", p.localTag, true); err != nil {
			return err
		}
		p.listen()
		return nil
	})
}

// Repeat18x sends n times 180, one after every time, as queues do.
func Repeat18x(n int, every time.Duration) Step {
	return Step{name: "repeat 18x", run: func(ctx context.Context, p *Party) error {
		for range n {
			if err := Ring(every).run(ctx, p); err != nil {
				return err
			}
		}
		return nil
	}}
}

// Answer sends 200 after a time and waits for its ACK.
func Answer(after time.Duration) Step {
	return Step{name: "answer", run: func(ctx context.Context, p *Party) error {
		if err := do("answer", after, (*Party).answer).run(ctx, p); err != nil {
			return err
		}
		return acknowledged(ctx, p)
	}}
}

// ProvisionalBackToBack sends 183 and 200 after a time, one directly behind
// the other, both with the description, and waits for the ACK.
func ProvisionalBackToBack(after time.Duration) Step {
	return Step{name: "183 and 200", run: func(ctx context.Context, p *Party) error {
		act := do("183 and 200", after, func(p *Party) error {
			if err := p.progress(183, "Session Progress", p.localTag, true); err != nil {
				return err
			}
			return p.answer()
		})
		if err := act.run(ctx, p); err != nil {
			return err
		}
		return acknowledged(ctx, p)
	}}
}

func acknowledged(ctx context.Context, p *Party) error {
	select {
	case <-p.acked:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ForkSecond200 sends a second 200, of another phone behind a forking proxy.
// It must get its ACK and its BYE. It stands after Answer.
func ForkSecond200() Step {
	return do("second 200", 0, (*Party).answerFork)
}

// Reject ends the call with a final response of 300 and more. Headers are
// written "Name: value".
func Reject(status int, phrase string, headers ...string) Step {
	return do("reject", 0, func(p *Party) error {
		if p.stage != early || p.tx == nil {
			return errOver
		}
		p.refuse(status, phrase, headers, errRefused)
		return nil
	})
}

// Silence never answers anything to the INVITE.
func Silence() Step { return setting("silence", func(s *settings) { s.noTrying = true }) }

// NoTrying leaves out the 100 that goes out by itself.
func NoTrying() Step { return setting("no trying", func(s *settings) { s.noTrying = true }) }
