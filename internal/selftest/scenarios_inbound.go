package selftest

import (
	"context"
	"strings"
	"time"

	"perezvon/configs"
	"perezvon/internal/lab"
)

// inboundScenarios are the table of calls that come in.
func inboundScenarios() []scenario {
	turned := func(n, what string, script lab.Script, result, code, owner, got string) scenario {
		return scenario{
			branch: n, what: what, cast: func(s *stage) { s.person(anna, script) }, play: rangIn(nil),
			want: ended(result, code, owner).rung(anna).and("caller got", got),
		}
	}
	list := []scenario{
		{
			branch: "in1", what: "answered and talked", play: rangIn(lab.Script{lab.Talk(talk), lab.Bye()}),
			want: completed().rung(anna).heard(anna+" and "+caller+" each other").and("hung up by", "customer").
				and("Anna got", "ACK, BYE").and("caller heard ringing", "180"),
		},
		{
			branch: "in2", what: "the caller gives up", cast: func(s *stage) { s.callback.Ring = 10 * time.Second; s.person(anna, rings()) },
			play: rangIn(lab.Script{lab.Cancel(time.Second)}),
			want: ended("abandoned", "304", "customer").rung(anna).and("caller got", "487").and("Anna got", "CANCEL"),
		},
		turned("in3", "the phone is busy", refusesAtOnce(486), "busy", "486", "manager", "486"),
		turned("in4", "the phone declines", refuses(603), "missed", "304", "manager", "603"),
		turned("in5", "nobody answers", rings(), "missed", "304", "manager", "480"),
		{
			branch: "in6", what: "the trunk of a forward fails", cast: func(s *stage) {
				s.line().Route = []configs.Step{{Forward: &configs.ForwardStep{Trunk: s.trunk("backup"), Number: s.number(customer)}}}
				s.person(customer+viaBackup, refusesAtOnce(503))
			},
			play: rangIn(nil), want: ended("trunk_failed", "503", "trunk").rung(customer+viaBackup).and("caller got", "503"),
		},
		{
			branch: "in7", what: "a route that hangs up with 486", cast: hangsUp(486), play: rangIn(nil),
			want: ended("busy", "486", "us").and("caller got", "486"),
		},
		{
			branch: "in7", what: "a route that hangs up with 404", cast: hangsUp(404), play: rangIn(nil),
			want: ended("missed", "304", "us").and("caller got", "404"),
		},
		{
			branch: "in8", what: "no line has the number",
			play: notTaken(func(o *lab.CallOptions) { o.User = "+74959999999" }), want: noCall().and("caller got", "404"),
		},
		{
			branch: "in9", what: "a phone dials a number that may not be dialled",
			play: dialsNumber("+442079460000", nil), want: noCall().and("caller got", "403"),
		},
		{
			branch: "in10", what: "the call has no hops left (Max-Forwards: 1)",
			play: notTaken(func(o *lab.CallOptions) { o.Headers = []string{"Max-Forwards: 1"} }), want: noCall().and("caller got", "483"),
		},
		{
			branch: "in11", what: "an offer without a codec of ours",
			play: func(ctx context.Context, s *stage) error { return rangIn(lab.Script{lab.EditSDP(onlyOpus)})(ctx, s) },
			want: ended("missed", "503", "trunk").and("caller got", "488"),
		},
		{
			branch: "in12", what: "the caller never acknowledges our 200: BYE after 32 s", seconds: 40,
			play: rangIn(lab.Script{lab.LoseACKs(-1)}),
			want: ended("trunk_failed", "503", "trunk").rung(anna).heard(anna+" and "+caller+" each other").and("caller got", "BYE"),
		},
		{
			branch: "in13", what: "outside the line's hours: its otherwise route", cast: func(s *stage) {
				closed(s)
				s.line().Otherwise = []configs.Step{ringing(boris)(s)}
				s.person(boris, answers())
			},
			play: rangIn(lab.Script{lab.Talk(talk), lab.Bye()}),
			want: completed().rung(boris).heard(boris + " and " + caller + " each other"),
		},
		{
			branch: "in13", what: "outside the line's hours without an otherwise route", cast: closed, play: rangIn(nil),
			want: ended("out_of_hours", "304", "us").and("caller got", "480"),
		},
	}
	return list
}

// rangIn lets the customer call the line and waits for the end of the call.
func rangIn(script lab.Script) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		p, err := s.callIn(ctx, script)
		if err != nil {
			return err
		}
		if err := over(ctx, p); err != nil {
			return err
		}
		s.note("caller heard ringing", none)
		if _, ok := p.Event(lab.Ringing); ok {
			s.note("caller heard ringing", "180")
		}
		s.rec, err = s.inbound(ctx)
		return err
	}
}

// notTaken places a call that makes none.
func notTaken(change func(*lab.CallOptions)) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		p, err := s.callIn(ctx, nil, change)
		if err != nil {
			return err
		}
		return over(ctx, p)
	}
}

func hangsUp(code int) func(*stage) {
	return func(s *stage) { s.line().Route = []configs.Step{{Hangup: &configs.HangupStep{Code: code}}} }
}

// closed gives the line working hours that begin in two days.
func closed(s *stage) {
	day := time.Now().Add(48 * time.Hour).UTC().Format("Mon")
	s.line().Hours = &configs.Hours{Zone: "UTC", Open: []string{day + " 09:00-10:00"}}
}

// onlyOpus rewrites an offer so that it has no codec of ours.
func onlyOpus(sdp string) string {
	var lines []string
	for line := range strings.Lines(sdp) {
		switch line = strings.TrimRight(line, "\r\n"); {
		case strings.HasPrefix(line, "m=audio "):
			line = strings.Join(strings.Fields(line)[:3], " ") + " 111"
			lines = append(lines, line, "a=rtpmap:111 opus/48000/2")
		case strings.HasPrefix(line, "a=rtpmap:"), strings.HasPrefix(line, "a=fmtp:"):
		default:
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\r\n") + "\r\n"
}
