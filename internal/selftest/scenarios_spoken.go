package selftest

import (
	"context"
	"fmt"
	"time"

	"perezvon/configs"
	"perezvon/internal/lab"
)

// spokenScenarios are steps of a route that speak to the caller, or choose who
// is rung.
func spokenScenarios() []scenario {
	const long = 3 * time.Second // longer than the announcement
	return []scenario{
		{
			branch: "in14", what: "an announcement, then a phone", cast: func(s *stage) { s.rings(says, ringing(anna)) },
			play: rangIn(lab.Script{lab.Talk(long + talk), lab.Bye()}),
			want: completed().rung(anna).heard(anna+" and "+caller+" each other").told(caller).and("caller heard ringing", none),
		},
		{
			branch: "in14", what: "an announcement and nothing else", cast: func(s *stage) { s.rings(says) }, play: rangIn(nil),
			want: ended("missed", "304", "us").told(caller).and("caller got", "BYE").and("hung up by", "us"),
		},
		{
			branch: "in14", what: "the caller hangs up during the announcement", cast: func(s *stage) { s.rings(says, says, ringing(anna)) },
			play: rangIn(lab.Script{lab.Talk(1000 * time.Millisecond), lab.Bye()}),
			want: ended("abandoned", "304", "customer").told(caller).and("hung up by", "customer"),
		},
		{
			branch: "in15", what: "nobody answers, and the caller leaves a message", cast: takesMessages,
			play: leaves(lab.Script{lab.Talk(long + 2*talk), lab.Bye()}),
			want: ended("voicemail", "304", "manager").rung(anna).told(caller).and("message", "kept").and("hung up by", "customer"),
		},
		{
			branch: "in15", what: "nobody answers, and the message is ended by #", cast: takesMessages,
			play: leaves(lab.Script{lab.Press("#", long+2*talk)}),
			want: ended("voicemail", "304", "manager").rung(anna).told(caller).and("message", "kept").and("caller got", "BYE"),
		},
		{
			branch: "in15", what: "the caller leaves no message", cast: takesMessages,
			play: leaves(lab.Script{lab.Talk(800 * time.Millisecond), lab.Bye()}),
			want: ended("missed", "304", "manager").rung(anna).told(caller).and("message", none),
		},
		{
			branch: "in16", what: "nobody can say who is responsible: the next step", cast: func(s *stage) {
				s.rings(func(*stage) configs.Step { return configs.Step{Responsible: &configs.ResponsibleStep{}} }, ringing(boris))
				s.person(boris, answers())
			},
			play: rangIn(lab.Script{lab.Talk(talk), lab.Bye()}),
			want: completed().rung(boris).heard(boris+" and "+caller+" each other").and("manager", boris),
		},
		{
			branch: "in17", what: "a group is rung together: one answers", cast: func(s *stage) {
				s.rings(group("all", anna, boris, vera))
				s.person(anna, rings())
				s.person(boris, lab.Script{lab.Ring(0), lab.Answer(700 * time.Millisecond)})
				s.person(vera, refusesAtOnce(486))
			},
			play: rangIn(lab.Script{lab.Talk(talk), lab.Bye()}),
			want: completed().rung(anna+", "+boris+", "+vera).heard(boris+" and "+caller+" each other").
				and("manager", boris).and("Anna got", "CANCEL"),
		},
		{
			branch: "in18", what: "a mobile answers and presses 1", cast: func(s *stage) {
				s.rings(ringing(mobile))
				s.person(mobile, append(answers(), lab.Press("1", 1500*time.Millisecond)))
			},
			play: rangIn(lab.Script{lab.Talk(talk), lab.Bye()}),
			want: completed().rung(mobile).heard(mobile+" and "+caller+" each other").told(mobile).and("manager", mobile),
		},
		{
			branch: "in19", what: "the far network's sound before a phone answers", cast: func(s *stage) {
				s.callback.Ring = 10 * time.Second
				s.person(anna, lab.Script{lab.EarlyMedia(0, networkTone), lab.Answer(2 * time.Second)})
			},
			play: rangIn(lab.Script{lab.Talk(talk), lab.Bye()}),
			want: completed().rung(anna).heard(anna + " and " + caller + " each other, " + caller + " hears the network"),
		},
	}
}

// says is an announcement of about two seconds.
func says(*stage) configs.Step {
	return configs.Step{Announce: &configs.AnnounceStep{Text: "Здравствуйте. Мы вас слушаем."}}
}

// takesMessages gives the line a voicemail behind a phone that nobody answers.
func takesMessages(s *stage) {
	s.callback.Ring = time.Second
	s.person(anna, rings())
	s.rings(ringing(anna), func(*stage) configs.Step {
		return configs.Step{Voicemail: &configs.VoicemailStep{Text: "Оставьте сообщение.", Max: time.Minute}}
	})
	s.line().Record = false // a message is kept all the same
}

// leaves lets the customer call and looks for his message.
func leaves(script lab.Script) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		if err := rangIn(script)(ctx, s); err != nil {
			return err
		}
		s.note("message", none)
		if r := s.rec.Recording; r != nil {
			s.note("message", "kept")
			if r.DurationMS < 1000 || s.rec.TalkMS != 0 || s.rec.AnsweredAt != nil {
				s.note("message", fmt.Sprintf("%d ms, with %d ms of talk", r.DurationMS, s.rec.TalkMS))
			}
		}
		return nil
	}
}
