package call

import (
	"context"
	"sync"

	"perezvon/media"
	"perezvon/sip"
)

// callerTone lets a caller hear that phones ring: by 180 until he hears us, and
// then by the sound of one of the networks, or by ringback of ours where there
// is none. He hears us once he has got 183 or 200.
type callerTone struct {
	call   *Call
	in     *sip.Incoming
	caller *leg

	mu    sync.Mutex
	over  bool        // guarded by mu
	hears bool        // guarded by mu
	from  *leg        // guarded by mu; the phone whose network is heard, nil: none is
	path  *media.Path // guarded by mu; from it
	quiet func()      // guarded by mu; stops our ringback, nil: there is none
}

// progress takes what a phone that rings reports.
func (t *callerTone) progress(from *leg, p sip.Progress) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return
	}
	if p.Media && !t.hears {
		err := t.in.EarlyMedia(t.caller.media)
		if t.hears = err == nil; err != nil { // an INVITE without an offer
			t.call.log.Debug("183 not sent", "err", err)
		}
	}
	switch {
	case !t.hears:
		if err := t.in.Ring(); err != nil {
			t.call.log.Debug("180 not sent", "err", err)
		}
		return
	case p.Media && t.from == nil:
		t.from, t.path = from, t.call.svc.sound.Connect(t.caller.media, from.media, media.PathConfig{OneWay: true})
		context.AfterFunc(from.ctx, func() { t.lost(from) })
	}
	t.ring() // it gives way to the first packet that the path brings
}

// lost is called when a phone whose network is heard rings no more, while
// others may.
func (t *callerTone) lost(from *leg) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over || t.from != from {
		return
	}
	t.disconnect()
	t.hush()
	t.ring()
}

// ringback is for a caller who hears us: he is to wait.
func (t *callerTone) ringback() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hears = true
	t.ring()
}

// silence ends what is heard, until the next phone rings.
func (t *callerTone) silence() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hears = true
	t.disconnect()
	t.hush()
}

// stop ends it for good.
func (t *callerTone) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	t.disconnect()
	t.hush()
}

// ring begins our ringback. t.mu is held.
func (t *callerTone) ring() {
	if t.quiet == nil && !t.over {
		t.quiet = t.caller.media.Ringback()
	}
}

// hush ends our ringback. t.mu is held.
func (t *callerTone) hush() {
	if t.quiet != nil {
		t.quiet()
		t.quiet = nil
	}
}

// disconnect ends what is heard of a network. t.mu is held.
func (t *callerTone) disconnect() {
	if t.path != nil {
		t.path.Close()
		t.from, t.path = nil, nil
	}
}
