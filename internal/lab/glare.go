package lab

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// refusal is how re-INVITE and UPDATE are refused.
type refusal struct {
	left    int
	status  int
	phrase  string
	headers []string
}

// RefuseReinvites refuses the first n re-INVITEs and UPDATEs of the other
// side, -1 all of them. Headers are written "Name: value".
func RefuseReinvites(n, status int, phrase string, headers ...string) Step {
	return setting("refuse re-INVITEs", func(s *settings) { s.refusal = refusal{n, status, phrase, headers} })
}

// Glare lets a re-INVITE of the party cross the first one of the other side.
// Both must be refused with 491 and tried again.
func Glare() Step { return setting("glare", func(s *settings) { s.glare = true }) }

// refuseReinvite refuses a re-INVITE or UPDATE where the script says so, or
// because an offer of the party's own waits for its answer. mu is held, as in
// all that follows.
func (c *Carrier) refuseReinvite(p *Party, tx *serverTx) bool {
	c.checkBackOff(p, tx.req)
	offers := tx.req.Method == "INVITE" || len(tx.req.Body) > 0
	refuse := func(status int, phrase string, headers ...string) bool {
		res := tx.response(status, phrase, p.localTag)
		res.addLines(headers)
		if tx.req.Method == "INVITE" {
			c.respondINVITE(tx, res, &final{})
		} else {
			c.respond(tx, res)
		}
		return true
	}
	switch {
	case p.set.refusal.left != 0:
		p.set.refusal.left--
		if p.set.refusal.status == 491 {
			p.pending491 = time.Now()
		}
		return refuse(p.set.refusal.status, p.set.refusal.phrase, p.set.refusal.headers...)
	case p.set.glare && offers:
		p.set.glare = false
		own := p.sendReinvite("", true)
		c.spawn(func() { p.reinviteAfterGlare(own) })
	case !offers || !p.offering:
		return false
	}
	p.pending491 = time.Now()
	return refuse(491, "Request Pending")
}

// checkBackOff holds the request after a 491 of ours against RFC 3261 section
// 14.1. One that comes much later is another one: who was refused need not try
// again.
func (c *Carrier) checkBackOff(p *Party, m *Message) {
	if p.pending491.IsZero() {
		return
	}
	waited := time.Since(p.pending491)
	p.pending491 = time.Time{}
	least, most := time.Duration(0), 2*time.Second
	if p.sent == nil { // they called
		least, most = 2100*time.Millisecond, 4*time.Second
	}
	slack := c.cfg.Network.Slack
	if waited < least-slack || waited > most+slack && waited < 10*most {
		c.blame(m, "tried again %s after a 491, it must be %s to %s", waited, least, most)
	}
}

// reinviteAfterGlare expects that our re-INVITE is refused, and tries again.
func (p *Party) reinviteAfterGlare(own *clientTx) {
	res, err := p.outcome(p.ctx, own)
	if err != nil {
		return
	}
	if res.Status != 491 {
		p.c.notes.blame("%s [%s]: %d to a re-INVITE that crossed another", p.number, p.callID, res.Status)
		return
	}
	if sleep(p.ctx, p.backOff()) != nil {
		return
	}
	if err := p.Reinvite(p.ctx, true); err != nil && p.ctx.Err() == nil {
		p.c.notes.blame("%s [%s]: after glare: %v", p.number, p.callID, err)
	}
}

// backOff is how long the party waits after a 491.
func (p *Party) backOff() time.Duration {
	wait := time.Duration(rand.IntN(200)) * 10 * time.Millisecond
	if p.sent != nil {
		wait += 2100 * time.Millisecond
	}
	return wait
}

// inTurn sends a re-INVITE or UPDATE when no other one runs; glare is tried
// once more (RFC 3261 section 14.1).
func (p *Party) inTurn(ctx context.Context, method string, once func() (*Message, error)) error {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for try := 0; ; try++ {
		res, err := once()
		if err != nil || res.Status < 300 {
			return err
		}
		if res.Status != 491 || try > 0 {
			return fmt.Errorf("lab: %s: %d %s", method, res.Status, strings.TrimSpace(res.Phrase))
		}
		if err := sleep(ctx, p.backOff()); err != nil {
			return err
		}
	}
}
