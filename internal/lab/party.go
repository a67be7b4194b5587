package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Kind is what happened to a party.
type Kind string

// What can happen to a party. Of what has a sender, the comment names it.
const (
	Invited      Kind = "invited"       // the INVITE came or went
	Proceeding   Kind = "proceeding"    // 100, of the called side
	Ringing      Kind = "ringing"       // 180, of the called side
	Progress     Kind = "progress"      // 183, of the called side
	Answered     Kind = "answered"      // 2xx, of the called side
	Acked        Kind = "acked"         // ACK to it, of the calling side
	Refused      Kind = "refused"       // final response of 300 and more, of the called side
	Cancelled    Kind = "cancelled"     // CANCEL, of the calling side
	Challenged   Kind = "challenged"    // 407 to an INVITE of the party, which is answered; of the called side
	Lost         Kind = "lost"          // no answer, no ACK or no response: given up
	ByeReceived  Kind = "bye received"  // of the system under test
	ByeSent      Kind = "bye sent"      // of the party
	Reinvited    Kind = "reinvited"     // re-INVITE answered 2xx, of either side; Detail is the direction it left us with
	Updated      Kind = "updated"       // UPDATE of the party answered 2xx
	Notified     Kind = "notified"      // how a transfer goes, of the system under test
	InfoReceived Kind = "info received" // SIP INFO, of the system under test; Detail is its body
	ForkAcked    Kind = "fork acked"    // ACK to the 200 of a losing fork
	ForkEnded    Kind = "fork ended"    // BYE to it
)

// Event is one thing that happened to a party.
type Event struct {
	At      time.Time
	Kind    Kind
	Status  int      // of a response
	Reasons []string // values of Reason headers (RFC 3326)
	Detail  string
}

// String is the event on one line, without its time.
func (e Event) String() string {
	s := string(e.Kind)
	if e.Status != 0 {
		s += fmt.Sprintf(" %d", e.Status)
	}
	if e.Detail != "" {
		s += " " + e.Detail
	}
	if len(e.Reasons) > 0 {
		s += " (" + strings.Join(e.Reasons, ", ") + ")"
	}
	return s
}

// stage is how far a call is.
type stage int

const (
	early stage = iota
	confirmed
	over
)

// Party is one person in one call: the one that the system under test
// dialled, or the one that called it. All methods are safe for concurrent use.
type Party struct {
	c      *Carrier
	number string
	set    settings
	audio  *audio
	invite *Message
	script Script

	ctx    context.Context // of the call; ends with it
	finish context.CancelCauseFunc
	turn   chan struct{} // holds one token while a re-INVITE of ours runs

	referred chan int // has the last word on our REFER

	// All below is guarded by c.mu.
	stage                     stage
	callID                    string
	localTag, remoteTag       string
	localParty, remoteParty   string // From and To without tags
	target                    string // Request-URI of our requests
	routes                    []string
	peer                      netip.AddrPort // where the first INVITE came from or went
	localSeq, remoteSeq       uint32
	tx                        *serverTx // the INVITE received; nil when we called
	sent                      *clientTx // the INVITE sent; nil when we were called
	forks                     map[string]*fork
	own                       local
	ownText                   string
	session, version          uint64
	login                     *Account // nil: challenges are refusals
	remote                    *Description
	codec                     Codec
	keys                      map[Suite][]byte
	security                  *security // nil: plain sound
	direction                 string    // what we want: sendrecv, or sendonly while we hold
	earlyMedia                bool      // sound goes out before the answer
	cancelling                bool      // our CANCEL is out
	referring                 bool      // a REFER of ours has no final word yet
	offering                  bool      // an offer of ours in the dialog waits for its answer
	updates                   bool      // the other side takes UPDATE
	pending491                time.Time // when we refused with 491 what is not repeated yet
	lease                     *lease    // nil: the session does not expire
	events                    []Event
	pressed                   []rune
	acks, byes, invites, okay int
	answered, acked, ended    chan struct{}
	silenced                  func() // closes the audio
}

// fork is a losing branch of a forked call: it answered too.
type fork struct {
	acked, ended bool
}

func (c *Carrier) newParty(ctx context.Context, number, callID string, script Script) (*Party, error) {
	p := &Party{
		c: c, number: number, callID: callID, script: script, set: script.settings(),
		turn: make(chan struct{}, 1), forks: make(map[string]*fork), direction: "sendrecv",
		localTag: newTag(), session: uint64(rand.Uint32()), version: 1,
		answered: make(chan struct{}), acked: make(chan struct{}), ended: make(chan struct{}), referred: make(chan int, 1),
	}
	a, err := openAudio(ctx, c.cfg.Network, c.cfg.MediaIP, p.set.ptime)
	if err != nil {
		return nil, err
	}
	a.tone = p.set.tone
	a.blame = func(format string, args ...any) {
		c.notes.blame("%s [%s]: %s", number, callID, fmt.Sprintf(format, args...))
	}
	a.onDigit = func(key rune) {
		c.mu.Lock()
		defer c.mu.Unlock()
		p.pressed = append(p.pressed, key)
		c.touch()
	}
	p.audio = a
	p.ctx, p.finish = context.WithCancelCause(c.ctx)
	audioCtx, silence := context.WithCancel(c.ctx)
	p.silenced = silence
	a.run(audioCtx)
	c.parties = append(c.parties, p)
	return p, nil
}

// note adds to the timeline. c.mu is held, as in all unexported methods here.
func (p *Party) note(e Event) {
	e.At = time.Now()
	p.events = append(p.events, e)
	p.c.touch()
}

// end closes the call at this side. The audio port stays open for a moment,
// to hear whether the other side stops.
func (p *Party) end(cause error) {
	if p.stage == over {
		return
	}
	p.stage = over
	p.finish(cause)
	close(p.ended)
	p.audio.mute()
	if !errors.Is(cause, errHungUp) && !errors.Is(cause, errLost) {
		p.audio.expectEnd()
	}
	p.c.spawn(func() {
		select {
		case <-time.After(2 * time.Second):
		case <-p.c.ctx.Done():
		}
		p.silenced()
	})
	p.c.touch()
}

func (p *Party) openForks() int {
	n := 0
	for _, f := range p.forks {
		if !f.ended {
			n++
		}
	}
	return n
}

// Number is what was dialled, or for a call of ours who calls.
func (p *Party) Number() string { return p.number }

// Invite is the first INVITE, as received or sent.
func (p *Party) Invite() *Message { return p.invite }

// From is the user part of the INVITE's From.
func (p *Party) From() string { return userOf(p.invite.Get("From")) }

// DisplayName is the display name of the INVITE's From, without quotes.
func (p *Party) DisplayName() string {
	name, _, ok := strings.Cut(p.invite.Get("From"), "<")
	if !ok {
		return ""
	}
	name = strings.TrimSpace(name)
	if quoted, ok := strings.CutPrefix(name, `"`); ok {
		name = strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(strings.TrimSuffix(quoted, `"`))
	}
	return name
}

// Asserted is the user part of the INVITE's P-Asserted-Identity, empty when
// there is none.
func (p *Party) Asserted() string { return userOf(p.invite.Get("P-Asserted-Identity")) }

// Remote is the latest description of the other side's sound, nil before one
// came.
func (p *Party) Remote() *Description {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	return p.remote
}

// Timeline is what happened so far.
func (p *Party) Timeline() []Event {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	return slices.Clone(p.events)
}

// Event is the first event of that kind, and whether there was one.
func (p *Party) Event(kind Kind) (Event, bool) {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	return p.event(kind)
}

func (p *Party) event(kind Kind) (Event, bool) {
	for _, e := range p.events {
		if e.Kind == kind {
			return e, true
		}
	}
	return Event{}, false
}

// Until waits for the first event of that kind.
func (p *Party) Until(ctx context.Context, kind Kind) (Event, error) {
	var e Event
	err := p.c.until(ctx, func() (ok bool) {
		e, ok = p.event(kind)
		return ok
	})
	if err != nil {
		return Event{}, fmt.Errorf("lab: %s: wait until %s: %w", p.number, kind, err)
	}
	return e, nil
}

// Ended is closed when the call is over.
func (p *Party) Ended() <-chan struct{} { return p.ended }

// ACKs counts the ACKs to the INVITEs of the system under test.
func (p *Party) ACKs() int { return p.count(&p.acks) }

// BYEs counts the BYE requests of the system under test, repeated ones not.
func (p *Party) BYEs() int { return p.count(&p.byes) }

// INVITEs counts how often the first INVITE came, repeated ones included.
func (p *Party) INVITEs() int { return p.count(&p.invites) }

// OKs counts how often a 2xx to our INVITE came, repeated ones included.
func (p *Party) OKs() int { return p.count(&p.okay) }

func (p *Party) count(n *int) int {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	return *n
}

// Pressed is the keys that came as telephone events (RFC 4733), and those
// that came by SIP INFO.
func (p *Party) Pressed() string {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	return string(p.pressed)
}
