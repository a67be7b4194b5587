package sip

import (
	"time"
)

// What is told of bans, in the log and through OnBan: an attack from very many
// addresses is not to fill a disk.
const (
	tellEvery = 3 * time.Second
	tellBurst = 50
)

// tell queues a ban for run and reports whether it was. g.mu is held.
func (g *guard) tell(b Ban) bool {
	defer nudge(g.wake)
	if !b.Over {
		if !g.tells.allow(g.now(), tellEvery, tellBurst) {
			g.untold++
			return false
		}
		b.Others, g.untold = g.untold, 0
	}
	g.news = append(g.news, b)
	return true
}

// next takes what is to be told, ends the bans whose time has come, and returns
// when the next one does; 0: there is none.
func (g *guard) next() (news []Ban, due time.Duration) {
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	first := int64(0)
	g.bans.each(func(b *ban) {
		switch {
		case b.over:
		case b.until <= now:
			g.end(b, "its time is over")
		case first == 0 || b.until < first:
			first = b.until
		}
	})
	news, g.news = g.news, nil
	if first > 0 {
		due = time.Duration(first - now)
	}
	return news, due
}

// keepGuard tells of bans that begin and end, until the agent closes.
func (a *Agent) keepGuard() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-a.base.Done():
			return
		case <-a.guard.wake:
		case <-timer.C:
		}
		news, due := a.guard.next()
		a.streams.shut()
		for _, b := range news {
			a.tellBan(b)
		}
		timer.Stop()
		if due > 0 {
			timer.Reset(due)
		}
	}
}

func (a *Agent) tellBan(b Ban) {
	switch {
	case b.Over:
		a.log.Info("sip: ban is over", "address", b.Address, "extension", b.Extension, "why", b.Reason)
	default:
		a.log.Warn("sip: banned", "address", b.Address, "extension", b.Extension, "why", b.Reason, "until", b.Until, "times", b.Times, "others", b.Others)
	}
	if a.cfg.OnBan != nil {
		a.cfg.OnBan(b)
	}
}
