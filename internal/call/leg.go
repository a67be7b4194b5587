package call

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"perezvon/internal/route"
	"perezvon/internal/store"
	"perezvon/media"
	"perezvon/sip"
)

// leg is one party's phone: a SIP dialog with its media.
type leg struct {
	call  *Call
	id    string
	party store.Party
	to    target
	media *media.Session

	dialog *sip.Dialog
	ctx    context.Context // ends when the party hangs up, its media dies or the call ends
	cancel context.CancelCauseFunc
	once   sync.Once           // hangup
	rang   bool                // only touched by progress
	turned chan struct{}       // holds one token when the far side has put us on hold, or resumed
	heir   atomic.Pointer[leg] // what it has become in another call, see handOver; nil: it is its own

	leave  func(talked bool) // tells presence that it is over; nil: presence does not know it
	talked bool              // was bridged; under the mu of the bridge, and read once it is out of there
}

// target is somebody to dial.
type target struct {
	at        sip.Target
	user      string // as the trunk wants it dialled; empty for extensions
	number    string // for records
	extension string
	confirm   bool

	fromUser, fromDisplay string
}

func (t target) String() string {
	if t.extension != "" {
		return "extension " + t.extension
	}
	return t.number + " through " + t.at.Trunk
}

// is reports whether this is a candidate of a target of a plan.
func (t target) is(rt route.Target) bool {
	if rt.Extension != "" {
		return t.extension == rt.Extension
	}
	return t.extension == "" && t.number == rt.Display
}

// dialling is what a dial needs besides its target.
type dialling struct {
	role     store.Role
	ring     time.Duration
	prefer   media.Codec              // what the other leg speaks, to save transcoding
	progress func(*leg, sip.Progress) // early media and ringing; may be nil
	hops     int                      // how many the call may still take; 0: as many as a new one
	life     context.Context          // the leg lasts as long, if nothing else ends it

	takeCrossed bool // an answer that crosses our CANCEL is one

	passedOn bool   // somebody calls the line and is passed on
	original string // his number; may be empty

	turn time.Duration // how long the trunk's turn is waited for
}

// dial rings a target until it answers. The error is a *sip.Failure. ctx
// bounds the ringing; the leg itself lasts as long as d.life.
func (c *Call) dial(ctx context.Context, t target, d dialling) (*leg, error) {
	l, err := c.newLeg(ctx, t, d)
	if err != nil {
		return nil, err
	}
	dialog, err := c.svc.phones.Invite(ctx, sip.Invite{
		Target: t.at, User: t.user,
		FromUser: t.fromUser, FromDisplay: t.fromDisplay, PassedOn: d.passedOn && t.fromUser != d.original, Original: route.Dialled(c.svc.set(), t.at.Trunk, d.original),
		Turn:  d.turn,
		Ref:   sip.DialogRef{Call: c.rec.ID, Leg: l.id},
		Media: l.media, Ring: d.ring, MaxForwards: d.hops, TakeCrossed: d.takeCrossed,
		OnInfo: l.media.InfoDigit,
		OnProgress: func(p sip.Progress) {
			l.progress(p)
			if d.progress != nil {
				d.progress(l, p)
			}
		},
	})
	if err != nil {
		l.failed(err)
		return nil, err
	}
	l.up(dialog)
	return l, nil
}

// newLeg opens the leg's media and its record.
func (c *Call) newLeg(ctx context.Context, t target, d dialling) (*leg, error) {
	l := &leg{call: c, id: newID(), party: partyOf(c.rec.Kind, d.role), to: t, turned: make(chan struct{}, 1)}
	c.recordLeg(store.EventLegDialling, l.id, func(r *store.Leg) {
		*r = store.Leg{
			ID: l.id, Role: d.role, Number: t.number, Trunk: t.at.Trunk, Extension: t.extension,
			State: store.LegDialling, StartedAt: time.Now(),
		}
	})
	ip, err := c.svc.phones.LocalIP(ctx, t.at)
	if err != nil {
		l.failed(err)
		return nil, err
	}
	l.media, err = c.svc.sound.Open(ctx, media.SessionConfig{Advertise: ip, Prefer: d.prefer, SRTP: c.svc.security(t.at)})
	if err != nil {
		err = &sip.Failure{Kind: sip.Internal, Err: fmt.Errorf("open media: %w", err)}
		l.failed(err)
		return nil, err
	}
	l.ctx, l.cancel = context.WithCancelCause(d.life)
	return l, nil
}

// security says whether the sound of a trunk or an extension is encrypted.
func (s *Service) security(at sip.Target) media.Security {
	name := ""
	if e := s.set().Extension(at.Extension); e != nil {
		name = e.SRTP
	} else if t := s.set().Trunk(at.Trunk); t != nil {
		name = t.SRTP
	}
	mode, _ := media.ParseSecurity(name)
	return mode
}

// up records the answer. From now on the far side, or its silence, may end the
// leg.
func (l *leg) up(dialog *sip.Dialog) {
	l.dialog = dialog
	l.media.Answered(media.Watch{
		NoAudio: func() {
			l.now().call.change(store.EventMediaQuality, map[string]any{"leg": l.id, "no_audio": true}, func(r *store.Call) {
				if leg := findLeg(r, l.id); leg != nil {
					leg.NoAudio = true
				}
			})
		},
		Dead: func() { l.end(errNoAudio) },
		Held: func(bool) { l.turn() },
	})
	l.call.recordLeg(store.EventLegAnswered, l.id, func(r *store.Leg) {
		now := time.Now()
		r.State, r.AnsweredAt, r.SIPCode = store.LegAnswered, &now, 200
	})
	dialog.OnEnd(func(end sip.Ended) {
		switch end.By {
		case sip.ByNoAck:
			l.end(errNoAck)
			return
		case sip.ByTimeout: // RFC 4028: the far side is no longer there
			l.end(&EndReason{By: store.PartyTrunk, Q850: causeRecovery, Text: end.Error()})
			return
		}
		cause := q850(end.Reasons)
		if cause == 0 {
			cause = causeNormal
		}
		l.end(&EndReason{By: l.now().party, Q850: cause, Text: "hung up"})
	})
}

// errNoAck ends a leg whose far side never acknowledged our 200.
var errNoAck = &EndReason{By: store.PartyTrunk, Q850: causeTemporary, Text: "our 200 was never acknowledged"}

// errNoAudio ends a leg that gave no sign of life.
var errNoAudio = &EndReason{By: store.PartyUs, Q850: causeOutOfOrder, Text: "no audio"}

// progress records that the phone rings; sip calls it from one goroutine.
func (l *leg) progress(p sip.Progress) {
	if l.rang || p.Status == 183 && !p.Media {
		return
	}
	l.rang = true
	l.call.recordLeg(store.EventLegRinging, l.id, func(r *store.Leg) {
		now := time.Now()
		r.State, r.RingAt = store.LegRinging, &now
	})
}

// failed closes a leg that was never answered.
func (l *leg) failed(err error) {
	if l.media != nil {
		_ = l.media.Close() // only frees the ports
	}
	if l.cancel != nil {
		l.cancel(err)
	}
	l.tell(err)
	l.call.recordLeg(store.EventLegEnded, l.id, func(r *store.Leg) {
		now := time.Now()
		r.State, r.EndedAt, r.Reason = store.LegEnded, &now, err.Error()
		if f, ok := errors.AsType[*sip.Failure](err); ok {
			r.SIPCode, r.Q850 = f.Status, q850(f.Reasons)
		}
	})
}

// tell logs a failed leg: trouble of ours or of a trunk's is a warning, a
// callee who does not want to talk is not.
func (l *leg) tell(err error) {
	level := slog.LevelInfo
	var f *sip.Failure
	switch {
	case l.call.ctx.Err() != nil, endReason(err) != nil:
		return // that is how it was meant
	case errors.As(err, &f):
		if owner := measureFailure(f).owner; owner == store.PartyTrunk || f.Kind == sip.Internal {
			level = slog.LevelWarn
		}
	}
	l.call.log.Log(context.Background(), level, "a leg came to nothing", "to", l.to.String(), "err", err)
}

// hangup ends an answered leg: BYE, then media, then records. It does not wait
// for the far side; the call's end does.
func (l *leg) hangup(reason *EndReason) {
	l.once.Do(func() {
		if cause := endReason(context.Cause(l.ctx)); cause != nil {
			reason = cause // what happened first is the reason
		}
		l.cancel(reason)
		if l.leave != nil {
			l.leave(l.talked)
		}
		sent := make(chan struct{})
		l.call.legs.Go(func() {
			defer close(sent)
			if err := l.dialog.Bye(context.Background(), reason.SIPReasons()...); err != nil {
				l.call.log.Warn("the far side did not confirm our BYE", "leg", l.id, "err", err)
			}
		})
		stats := l.media.Stats()
		if err := l.media.Close(); err != nil {
			l.call.log.Warn("close media", "leg", l.id, "err", err)
		}
		l.call.recordLeg(store.EventLegEnded, l.id, func(r *store.Leg) {
			now := time.Now()
			r.State, r.EndedAt, r.Reason, r.Quality = store.LegEnded, &now, reason.Error(), quality(stats)
			if r.Q850 == 0 {
				r.Q850 = reason.Q850
			}
		})
	})
}

// recordLeg changes a leg's record, adding it when it is new.
func (c *Call) recordLeg(event, id string, mutate func(*store.Leg)) *store.Commit {
	return c.change(event, func(r *store.Call) any { return findLeg(r, id) }, func(r *store.Call) {
		l := findLeg(r, id)
		if l == nil {
			r.Legs = append(r.Legs, store.Leg{})
			l = &r.Legs[len(r.Legs)-1]
		}
		attempt := l.Attempt
		mutate(l)
		if l.Attempt = attempt; attempt == 0 {
			l.Attempt = max(1, len(r.Attempts))
		}
	})
}

func findLeg(r *store.Call, id string) *store.Leg {
	for i := range r.Legs {
		if r.Legs[i].ID == id {
			return &r.Legs[i]
		}
	}
	return nil
}

// ringTime is how long somebody in a role rang in the last attempt: the phone
// that answered, else the one that rang longest.
func ringTime(r *store.Call, role store.Role) (longest time.Duration) {
	for _, l := range r.Legs {
		switch {
		case l.Role != role || l.Attempt != max(1, len(r.Attempts)):
		case l.AnsweredAt != nil && l.RingAt == nil:
			return 0
		case l.AnsweredAt != nil:
			return l.AnsweredAt.Sub(*l.RingAt)
		case l.RingAt != nil && l.EndedAt != nil:
			longest = max(longest, l.EndedAt.Sub(*l.RingAt))
		}
	}
	return longest
}

// partyOf is the side of a leg. Where the office calls itself, the manager is
// who calls, and the customer who is called.
func partyOf(kind store.Kind, r store.Role) store.Party {
	switch {
	case r == store.RoleCustomer, r == store.RoleCaller && kind != store.KindInternal, r == store.RoleCallee && kind == store.KindInternal:
		return store.PartyCustomer
	}
	return store.PartyManager
}

func quality(s media.Stats) *store.Quality {
	return &store.Quality{
		Codec: s.Codec.String(), PacketsIn: s.PacketsIn, PacketsOut: s.PacketsOut,
		Lost: s.Lost, JitterMS: milliseconds(s.Jitter), RoundTripMS: milliseconds(s.RoundTrip), SRTP: s.Secure,
	}
}

func milliseconds(d *time.Duration) *float64 {
	if d == nil {
		return nil
	}
	ms := float64(*d) / float64(time.Millisecond)
	return &ms
}
