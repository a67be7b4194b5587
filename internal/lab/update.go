package lab

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Update sends an UPDATE (RFC 3311) that changes nothing, with an offer or
// without.
func Update(offer bool) Step {
	return talking("update", func(ctx context.Context, p *Party) error { return p.Update(ctx, offer) })
}

// UpdateEarly sends an UPDATE without an offer, after a time and before the
// call is answered.
func UpdateEarly(after time.Duration) Step {
	return Step{name: "early update", run: func(ctx context.Context, p *Party) error {
		if err := sleep(ctx, after); err != nil {
			return err
		}
		return p.Update(ctx, false)
	}}
}

// NoUpdate leaves UPDATE out of Allow, and makes one a violation.
func NoUpdate() Step { return setting("no UPDATE", func(s *settings) { s.noUpdate = true }) }

// allow is the value of the party's Allow.
func (p *Party) allow() string {
	if p.set.noUpdate {
		return strings.TrimSuffix(allow, ", UPDATE")
	}
	return allow
}

// Update sends an UPDATE, with the party's description as it is or without,
// also before the call is answered. It waits for the answer; glare is tried
// once more.
func (p *Party) Update(ctx context.Context, offer bool) error {
	return p.inTurn(ctx, "UPDATE", func() (*Message, error) { return p.updateOnce(ctx, offer) })
}

func (p *Party) updateOnce(ctx context.Context, offer bool) (*Message, error) {
	p.c.mu.Lock()
	if p.stage == over || p.remoteTag == "" {
		p.c.mu.Unlock()
		return nil, errOver
	}
	m, to := p.compose("UPDATE")
	if p.stage == confirmed {
		p.askSession(m)
	}
	if offer {
		m.setBody("application/sdp", []byte(p.offer()))
		p.offering = true
	}
	tx := p.c.request(p, m, to, func(res *Message) {
		if res.Status >= 200 && offer {
			p.offering = false
		}
		if res.Status/100 == 2 {
			p.takeUpdateAnswer(res, offer)
		}
	})
	p.c.mu.Unlock()
	res, err := p.outcome(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("lab: UPDATE: %w", err)
	}
	return res, nil
}

func (p *Party) takeUpdateAnswer(res *Message, offered bool) {
	p.c.checkContact(res)
	if contact := uriOf(res.Get("Contact")); contact != "" {
		p.target = contact
	}
	switch {
	case offered && (len(res.Body) == 0 || !p.learn(res, true)):
		p.c.blame(res, "no usable answer to the offer of an UPDATE")
	case !offered && len(res.Body) > 0:
		p.c.blame(res, "a description that nobody asked for")
	}
	if p.stage == confirmed {
		p.takeSession(res)
	}
	p.note(Event{Kind: Updated, Status: res.Status})
	p.listen()
}
