package selftest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"perezvon/configs"
	"perezvon/internal/lab"
	"perezvon/internal/store"
	"perezvon/media/wav"
)

// talkScenarios are those of people who talk, or would if there were sound.
func talkScenarios() []scenario {
	return []scenario{
		{
			branch: "19", what: "both talk: the manager hears the text first, everything is recorded", seconds: 12,
			cast: func(s *stage) { s.person(customer, talks(3*time.Second)) }, play: recorded,
			want: talked(anna).told(anna).and("recording", "Anna left, customer right").and("hung up by", "customer").
				and("states", "rendering, ringing_manager, announcing, ringing_customer, talking"),
		},
		{
			branch: "19", what: "both talk, in different codecs, behind a network with sound of its own", seconds: 8, cast: func(s *stage) {
				s.callback.CustomerRing = 10 * time.Second
				s.person(anna, append(lab.Script{lab.Codecs(lab.PCMU)}, answers()...))
				s.person(customer, lab.Script{
					lab.Codecs(lab.PCMA), lab.EarlyMedia(200*time.Millisecond, networkTone), lab.Answer(2 * time.Second), lab.Talk(talk), lab.Bye(),
				})
			},
			want: completed().rung(anna + ", " + customer).heard(anna + " and customer each other, " + anna + " hears the network"),
		},
		{
			branch: "20", what: "the manager hangs up", cast: func(s *stage) {
				s.person(anna, append(answers(), lab.Talk(talk+time.Second), lab.Bye()))
				s.person(customer, answers())
			},
			play: withReason(customer), want: talked(anna).and("hung up by", "manager").and("customer got", "ACK, BYE").and("reason sent", "Q.850 16"),
		},
		{
			branch: "20", what: "the customer hangs up and says why (Q.850 cause 31)", cast: func(s *stage) {
				s.person(customer, append(answers(), lab.Talk(talk), lab.Bye("Reason: Q.850;cause=31;text=\"normal\"")))
			},
			play: withReason(anna), want: talked(anna).and("hung up by", "customer").and("Anna got", "ACK, BYE").
				and("reason sent", "Q.850 16").and("reason kept", "31"),
		},
		{
			branch: "20", what: "we hang up at limits.max_call", alone: true, seconds: 8,
			tune: func(c *configs.Config) { c.Limits.MaxCall = 2 * time.Second },
			cast: func(s *stage) { s.person(customer, answers()) },
			want: talked(anna).and("hung up by", "us").and("customer got", "ACK, BYE").and("Anna got", "ACK, BYE"),
		},
		{
			branch: "23", what: "no sound comes from the customer: marked after 5 s, ended after 60 s", seconds: 70,
			cast: func(s *stage) { s.person(customer, append(lab.Script{lab.NoSound()}, answers()...)) },
			play: watched, want: ended("no_audio", "OTHER", "trunk").rung(anna+", "+customer).heard(customer+" hears "+anna).
				and("marked", "the customer's leg after 5 s").and("ended", "after 60 s").and("hung up by", "us"),
		},
		{
			branch: "23", what: "the manager holds the call: no leg is marked", seconds: 14,
			cast: func(s *stage) {
				s.person(anna, append(answers(), lab.Talk(talk), lab.Hold(), lab.Wait(7*time.Second), lab.Resume(), lab.Talk(time.Second), lab.Bye()))
				s.person(customer, answers())
			},
			play: watched, want: talked(anna).and("marked", "no leg"),
		},
		{
			branch: "24", what: "no speech engine works: a stock prompt stands in", alone: true, seconds: 6,
			tune: func(c *configs.Config) {
				for i := range c.TTS.Engines {
					c.TTS.Engines[i].Path = filepath.Join(c.DataDir, "no-such-program")
				}
			},
			cast: func(s *stage) { s.mute = true }, play: announced, want: talked(anna).told(anna + " (beeps)"),
		},
	}
}

// recorded orders a callback with a text and listens to its recording.
func recorded(ctx context.Context, s *stage) error {
	if err := announced(ctx, s); err != nil {
		return err
	}
	s.note("recording", none)
	if r := s.rec.Recording; r != nil {
		s.note("recording", s.sides(filepath.Join(s.house.cfg.Recordings.Dir, r.File)))
	}
	states, err := s.states(ctx, s.rec.ID)
	s.note("states", strings.Join(states, ", "))
	return err
}

// sides says who is in which channel of a recording.
func (s *stage) sides(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }()
	sound, err := wav.Read(f, wav.Limits{MaxBytes: 64 << 20, MaxDuration: time.Hour})
	if err != nil {
		return err.Error()
	}
	var list []string
	for i, channel := range sound.Channels {
		side := [...]string{"left", "right", "in a third channel"}[min(i, 2)]
		for _, who := range []string{anna, customer} {
			if lab.ToneIn(channel, pitch(who, s.n)) >= heardFor {
				list = append(list, who+" "+side)
			}
		}
	}
	return listed(list, "silent")
}

// withReason follows a callback and reads what we say with our BYE, and which
// reason of the customer's was kept.
func withReason(toWhom string) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		if err := follow(ctx, s); err != nil {
			return err
		}
		s.note("reason sent", none)
		for _, p := range s.parties(toWhom) {
			if e, ok := p.Event(lab.ByeReceived); ok {
				reasons := strings.Join(e.Reasons, ", ")
				if strings.HasPrefix(reasons, "Q.850;cause=16") {
					reasons = "Q.850 16"
				}
				s.note("reason sent", orNone(reasons))
			}
		}
		for _, l := range s.rec.Legs {
			if l.Role == string(store.RoleCustomer) {
				s.note("reason kept", fmt.Sprint(value(l.Q850)))
			}
		}
		return nil
	}
}

// watched follows a callback and looks which leg was marked as silent.
func watched(ctx context.Context, s *stage) error {
	if err := follow(ctx, s); err != nil {
		return err
	}
	events, err := s.house.client.Events(ctx, s.rec.ID, "")
	if err != nil {
		return err
	}
	s.note("marked", "no leg")
	for _, e := range events {
		var d struct {
			Leg     string `json:"leg"`
			NoAudio bool   `json:"no_audio"`
		}
		if e.Type != store.EventMediaQuality {
			continue
		}
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return err
		}
		if d.NoAudio {
			s.note("marked", s.marked(d.Leg, e.At))
		}
	}
	if talkedSince, until := s.rec.AnsweredAt, s.rec.EndedAt; talkedSince != nil && until != nil {
		s.note("ended", within(until.Sub(*talkedSince), 58*time.Second, 67*time.Second, "after 60 s"))
	}
	return nil
}

func (s *stage) marked(leg string, at time.Time) string {
	for _, l := range s.rec.Legs {
		if l.ID == leg && l.AnsweredAt != nil {
			return "the " + l.Role + "'s leg " + within(at.Sub(*l.AnsweredAt), 4500*time.Millisecond, 8*time.Second, "after 5 s")
		}
	}
	return "an unknown leg"
}
