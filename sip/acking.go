package sip

import (
	"context"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// acking is a 2xx of ours to an INVITE until its ACK comes. The transaction
// layer does not repeat it (RFC 6026), so this does: after T1, doubling up to
// T2, for 64*T1 (RFC 3261 13.3.1.4).
type acking struct {
	tx       *sipmsg.ServerTx
	res      *sipmsg.Response
	seq      uint32
	offered  bool // the 2xx has our offer: the ACK brings the answer
	initial  bool // of the first INVITE, not of a re-INVITE
	interval time.Duration
	deadline time.Time
	timer    *time.Timer
}

// sendOK sends a 2xx and repeats it until the ACK comes. d.mu is held.
func (d *Dialog) sendOK(p *acking) error {
	if err := p.tx.Respond(p.res); err != nil {
		return err
	}
	p.interval, p.deadline = t1, time.Now().Add(txTimeout)
	d.pending = p
	p.timer = d.a.after(p.interval, func() { d.repeatOK(p) })
	return nil
}

func (d *Dialog) repeatOK(p *acking) {
	d.mu.Lock()
	if d.pending != p {
		d.mu.Unlock()
		return
	}
	left := time.Until(p.deadline)
	if left > 0 {
		if err := p.tx.Respond(p.res); err != nil {
			d.a.log.Debug("sip: repeat 200", "call_id", d.callID, "error", err)
		}
		p.interval = min(2*p.interval, t2)
		p.timer.Reset(min(p.interval, left))
		d.mu.Unlock()
		return
	}
	d.pending = nil
	bye := d.byeOnAck
	d.byeOnAck = false
	d.mu.Unlock()
	if bye {
		d.sendBye()
		return
	}
	d.end(Ended{By: ByNoAck}, true)
}

// dropPending stops the repetition. d.mu is held.
func (d *Dialog) dropPending() {
	if d.pending != nil {
		d.pending.timer.Stop()
		d.pending = nil
	}
}

// acked takes an ACK. It runs in the read loop.
func (d *Dialog) acked(req *sipmsg.Request) {
	cseq := req.CSeq()
	d.mu.Lock()
	p := d.pending
	if p == nil || cseq == nil || cseq.SeqNo != p.seq {
		d.mu.Unlock()
		return
	}
	d.dropPending()
	bye := d.byeOnAck
	d.byeOnAck = false
	d.mu.Unlock()
	if !bye && !p.offered {
		return
	}
	body := sdpBody(req)
	d.a.spawn(func() {
		if bye {
			d.sendBye()
			return
		}
		if body == nil && !p.initial {
			return
		}
		var err error
		if body != nil {
			err = d.acceptAnswer(body)
		}
		if p.initial && (body == nil || err != nil) {
			d.a.log.Info("sip: the ACK has no usable session description", "call_id", d.callID, "error", err)
			_ = d.Bye(context.Background(), Reason{Protocol: "SIP", Cause: 488, Text: "Not Acceptable Here"})
		}
	})
}
