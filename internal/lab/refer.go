package lab

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ReferTo asks the other side to connect its other side with a number (blind
// transfer, RFC 5589 section 5). It waits for the final word on it, and then
// hangs up if the transfer has come off.
func ReferTo(number string) Step {
	return talking("transfer", func(ctx context.Context, p *Party) error {
		status, err := p.Refer(ctx, number, nil)
		if err == nil && status/100 == 2 {
			err = p.Hangup(context.WithoutCancel(ctx))
		}
		return err
	})
}

// ReferAndLeave is ReferTo for a phone that hangs up as soon as its request is
// accepted.
func ReferAndLeave(number string) Step {
	return talking("transfer and leave", func(ctx context.Context, p *Party) error {
		if err := p.refer(ctx, number, nil); err != nil {
			return err
		}
		return p.Hangup(context.WithoutCancel(ctx))
	})
}

// Refer asks the other side to connect its other side with a number, or, in
// place of the dialog of another call of ours, with that call's other side
// (Replaces, RFC 3891). It returns the last status that it is told.
func (p *Party) Refer(ctx context.Context, number string, replaces *Party) (status int, err error) {
	if err := p.refer(ctx, number, replaces); err != nil {
		return 0, err
	}
	select {
	case status = <-p.referred:
		return status, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	case <-p.ctx.Done():
		return 0, context.Cause(p.ctx)
	}
}

// replaced names the party's call in a Refer-To; empty for no party.
func (p *Party) replaced() string {
	if p == nil {
		return ""
	}
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	return fmt.Sprintf("?Replaces=%s%%3Bto-tag%%3D%s%%3Bfrom-tag%%3D%s", strings.ReplaceAll(p.callID, "@", "%40"), p.remoteTag, p.localTag)
}

// refer sends the REFER and waits until it is accepted.
func (p *Party) refer(ctx context.Context, number string, replaces *Party) error {
	query := replaces.replaced() // of another carrier, maybe
	p.c.mu.Lock()
	if p.stage != confirmed {
		p.c.mu.Unlock()
		return errOver
	}
	m, to := p.compose("REFER")
	m.add("Contact", "<"+p.contact()+">")
	uri := fmt.Sprintf("sip:%s@%s", number, p.peer) + query
	m.add("Refer-To", "<"+uri+">")
	m.add("Referred-By", "<"+p.contact()+">")
	p.referring = true
	select {
	case <-p.referred: // the last word on an earlier one, for which nobody waited
	default:
	}
	tx := p.c.request(p, m, to, func(*Message) {})
	p.c.mu.Unlock()
	res, err := p.outcome(ctx, tx)
	if err != nil {
		return fmt.Errorf("lab: REFER: %w", err)
	}
	if res.Status != 202 {
		return &RefusedReferError{Status: res.Status}
	}
	return nil
}

// RefusedReferError is a REFER that was not accepted.
type RefusedReferError struct{ Status int }

// Error names the status.
func (e *RefusedReferError) Error() string {
	return fmt.Sprintf("lab: REFER refused with %d", e.Status)
}

// takeNotify reads how a transfer goes (RFC 3515 section 2.4.5).
func (c *Carrier) takeNotify(p *Party, m *Message) {
	fragment := strings.TrimSpace(string(m.Body))
	words := strings.Fields(fragment)
	state := strings.TrimSpace(strings.Split(m.Get("Subscription-State"), ";")[0])
	status := 0
	if len(words) > 1 {
		status, _ = strconv.Atoi(words[1])
	}
	switch {
	case !p.referring:
		c.blame(m, "NOTIFY of nothing that was asked for")
	case !strings.HasPrefix(m.Get("Event"), "refer"):
		c.blame(m, "NOTIFY of event %q", m.Get("Event"))
	case !strings.HasPrefix(m.Get("Content-Type"), "message/sipfrag"):
		c.blame(m, "NOTIFY with %q", m.Get("Content-Type"))
	case len(words) < 2 || words[0] != "SIP/2.0" || status < 100 || status > 699:
		c.blame(m, "fragment %q is no status line", fragment)
	case !slices.Contains([]string{"active", "terminated"}, state):
		c.blame(m, "Subscription-State %q", m.Get("Subscription-State"))
	case (status >= 200) != (state == "terminated"):
		c.blame(m, "%d while the subscription is %s", status, state)
	}
	p.note(Event{Kind: Notified, Status: status})
	if status >= 200 {
		p.referring = false
		select {
		case p.referred <- status:
		default:
		}
	}
}
