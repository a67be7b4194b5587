package trace

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"perezvon/internal/store"
	"perezvon/media"
)

// run stores calls when their time has come.
func (c *Collector) run() {
	defer close(c.done)
	p := newPacker()
	sweep := time.NewTicker(sweepEach)
	defer sweep.Stop()
	wait := time.NewTimer(linger)
	defer wait.Stop()
	for {
		next, waiting := c.next()
		if waiting {
			wait.Reset(time.Until(next))
		} else {
			wait.Stop()
		}
		select {
		case <-c.quit:
			c.mu.Lock()
			for _, k := range c.calls {
				c.due = append(c.due, due{time.Now(), k})
				k.over = true
			}
			c.mu.Unlock()
			c.save(p)
			return
		case <-c.wake:
		case <-wait.C:
			c.save(p)
		case <-sweep.C:
			c.sweep()
		}
	}
}

// next is when the next call is to be stored.
func (c *Collector) next() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.due) == 0 {
		return time.Time{}, false
	}
	return c.due[0].at, true
}

// sweep stores calls whose end was never told.
func (c *Collector) sweep() {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.calls {
		if k.due.IsZero() && now.Sub(k.last) > forgotten {
			k.due, k.over = now, true
			c.due = append(c.due, due{now, k})
		}
	}
}

// save stores the calls whose time has come.
func (c *Collector) save(p *packer) {
	parts := c.take(time.Now())
	if len(parts) == 0 {
		return
	}
	commits := make([]*store.Commit, 0, len(parts))
	for id, one := range parts {
		p.plain = c.clean(&one, p.plain[:0])
		data, err := p.pack(&one)
		if err != nil {
			c.cfg.Logger.Error("a trace cannot be written down; please report this", "call", id, "err", err)
			continue
		}
		commits = append(commits, c.cfg.Store.SaveTrace(store.TracePart{CallID: id, At: time.Now(), Data: data}))
	}
	for _, commit := range commits {
		_ = commit.Wait(context.Background()) // the store says itself what it cannot keep
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, one := range parts {
		rest := slices.DeleteFunc(c.saving[id], func(p part) bool { return p.ID == one.ID })
		if c.saving[id] = rest; len(rest) == 0 {
			delete(c.saving, id)
		}
	}
}

// take takes the calls whose time has come out of those in progress. They are
// in c.saving until they are in the store.
func (c *Collector) take(now time.Time) map[string]part {
	parts := make(map[string]part)
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.due) > 0 && (c.closed || !c.due[0].at.After(now)) {
		d := c.due[0]
		c.due = c.due[1:]
		k := d.call
		if c.calls[k.id] != k || !c.closed && !k.due.Equal(d.at) { // stored already, or it went on
			continue
		}
		c.drop(k)
		if one := c.part(k); len(one.Messages)+one.LeftOut > 0 {
			parts[k.id] = one
			c.saving[k.id] = append(c.saving[k.id], one)
		}
	}
	return parts
}

// drop forgets a call. c.mu is held.
func (c *Collector) drop(k *call) {
	delete(c.calls, k.id)
	c.held -= k.headBytes + k.tailBytes
	for _, d := range k.dialogs {
		for _, port := range d.ports {
			if c.ports[port] == d {
				delete(c.ports, port)
			}
		}
		rest := slices.DeleteFunc(c.dialogs[d.id], func(other *dialog) bool { return other == d })
		if c.dialogs[d.id] = rest; len(rest) == 0 {
			delete(c.dialogs, d.id)
		}
	}
}

// part is what is known of a call, secrets included: clean takes them out. c.mu
// is held.
func (c *Collector) part(k *call) part {
	c.lastID = max(c.lastID+1, time.Now().UnixNano())
	p := part{ID: c.lastID, Trace: Trace{LeftOut: k.leftOut, Gap: k.gap}}
	p.Messages = make([]Message, 0, len(k.head)+len(k.tail))
	for _, entries := range [][]entry{k.head, k.tail} {
		for i := range entries {
			e := &entries[i]
			p.Messages = append(p.Messages, Message{
				At: e.at, Sent: e.sent, Transport: e.transport, Local: e.local, Remote: e.remote,
				Leg: e.dialog.leg, Size: e.size, Data: e.data,
			})
		}
	}
	for _, m := range k.milestones {
		p.Milestones = append(p.Milestones, newMilestone(m))
	}
	return p
}

// clean takes the secrets out of a part that is still to be written down, and
// names the addresses of sockets that are bound to all of them. The messages
// are put into room, which is returned with them.
func (c *Collector) clean(p *part, room []byte) []byte {
	p.Messages = slices.Clone(p.Messages) // others read it
	known := make(map[netip.Addr]netip.Addr)
	for i := range p.Messages {
		m := &p.Messages[i]
		start := len(room)
		room = appendRedacted(room, m.Data, m.Cut())
		m.Data = room[start:len(room):len(room)]
		if !m.Local.Addr().IsUnspecified() {
			continue
		}
		ours, asked := known[m.Remote.Addr()]
		if !asked {
			ours = c.cfg.Facing(m.Remote.Addr())
			known[m.Remote.Addr()] = ours
		}
		if ours.IsValid() {
			m.Local = netip.AddrPortFrom(ours, m.Local.Port())
		}
	}
	return room
}

// newMilestone is one as it is written down.
func newMilestone(m milestone) Milestone {
	kinds := [...]string{
		media.Agreed: KindAgreed, media.Held: KindHeld, media.Resumed: KindResumed, media.FirstOut: KindFirstOut,
		media.Locked: KindLocked, media.Digit: KindDigit, media.Silence: KindSilence,
	}
	one := Milestone{At: m.At, Port: m.Port, Leg: m.dialog.leg, Peer: m.Peer, Text: m.Codec.String()}
	if int(m.Kind) < len(kinds) {
		one.Kind = kinds[m.Kind]
	}
	return one
}
