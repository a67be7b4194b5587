package selftest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"perezvon/configs"
	"perezvon/internal/store"
)

// requestScenarios are what becomes of a request before anybody is rung.
func requestScenarios() []scenario {
	list := []scenario{
		{
			branch: "1", what: "the same form is sent again with the same key, while the call is open and after it", play: sameKey,
			want: talked(anna).and("answers", "202; 200 duplicate; 200 duplicate").and("calls", "one"),
		},
		{
			branch: "1", what: "the same number is asked for while its callback is open", play: sameNumber,
			want: talked(anna).and("answers", "202; 200 duplicate").and("calls", "one"),
		},
		{
			branch: "1", what: "the form is sent again while a retry waits: it is brought forward",
			cast: func(s *stage) {
				s.callback.Attempts, s.callback.Retry = 2, []time.Duration{time.Hour}
				s.person(anna, refuses(603), answers())
			},
			play: hurried,
			want: completed().rung(anna+" ×2, "+customer).heard(anna+" and "+customer+" each other").
				and("answers", "202; 200 duplicate").and("attempts", "2"),
		},
		{
			branch: "3", what: "outside the working hours: promised for the opening, and run then", seconds: 75,
			cast: opensSoon, play: waitsForOpening,
			want: talked(anna).and("answers", "202 scheduled for the opening").and("rung at", "the opening"),
		},
		{
			branch: "3", what: "asked for a later time (not_before)", seconds: 8, play: waitsForTime,
			want: talked(anna).and("answers", "202 scheduled for that time").and("rung at", "that time"),
		},
		{
			branch: "26", what: "older than its time-to-live when its turn comes", seconds: 12,
			cast: func(s *stage) {
				s.callback.TTL = time.Second
				s.addLine(ringing(boris))
				s.person(customer, talks(4*time.Second))
			},
			play: tooLate,
			want: ended("expired", "304", "us").rung(anna + ", " + customer).heard(anna + " and " + customer + " each other"),
		},
	}
	for _, bad := range []struct{ what, number, answer string }{
		{"is not a number", "позвоните мне", "422 invalid_number"},
		{"is too short", "12", "422 invalid_number"},
		{"is a premium rate number", "+78095051234", "422 invalid_number"},
		{"is one of our own", ownNumber, "422 invalid_number"},
	} {
		list = append(list, scenario{
			branch: "2", what: "the number " + bad.what, play: refused("number", bad.number),
			want: noCall().and("answers", bad.answer),
		})
	}
	return append(list, scenario{
		branch: "32", what: "the destination is not allowed", play: refused("number", "+442079460123"),
		want: noCall().and("answers", "422 not_allowed"),
	})
}

// ownNumber stands for the number of the scenario's line.
const ownNumber = "own"

// refused asks for what must be refused.
func refused(field, text string) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		if text == ownNumber {
			text = s.line().Number
		}
		a, err := s.ask(ctx, form{field: text})
		s.note("answers", a.String())
		return err
	}
}

// answers notes the answers to several forms.
func (s *stage) answers(all ...answer) {
	words, ids := make([]string, 0, len(all)), make(map[string]bool)
	for _, a := range all {
		words = append(words, a.String())
		ids[a.call.ID] = true
	}
	s.note("answers", strings.Join(words, "; "))
	if len(ids) == 1 {
		s.note("calls", "one")
	} else {
		s.note("calls", fmt.Sprint(len(ids)))
	}
}

func sameKey(ctx context.Context, s *stage) error {
	f := form{keyField: fmt.Sprintf("form %d", s.n), "text": ""}
	first, err := s.ask(ctx, f)
	if err != nil {
		return err
	}
	again, err := s.ask(ctx, f)
	if err != nil {
		return err
	}
	if err := s.finish(ctx, first.call.ID); err != nil {
		return err
	}
	after, err := s.ask(ctx, f)
	s.answers(first, again, after)
	return err
}

func sameNumber(ctx context.Context, s *stage) error {
	first, err := s.ask(ctx, nil)
	if err != nil {
		return err
	}
	n := s.number(customer) // as people write it: 8 (916) 100 00-01
	again, err := s.ask(ctx, form{"number": fmt.Sprintf("8 (%s) %s %s-%s", n[2:5], n[5:8], n[8:10], n[10:])})
	if err != nil {
		return err
	}
	s.answers(first, again)
	return s.finish(ctx, first.call.ID)
}

func hurried(ctx context.Context, s *stage) error {
	first, err := s.ask(ctx, nil)
	if err != nil {
		return err
	}
	if _, err := s.until(ctx, first.call.ID, store.StateWaitingRetry); err != nil {
		return err
	}
	again, err := s.ask(ctx, nil)
	if err != nil {
		return err
	}
	s.answers(first, again)
	return s.finish(ctx, first.call.ID)
}

// opening is the beginning of the next minute that leaves time to set up.
func opening(now time.Time) time.Time {
	return now.Add(8 * time.Second).Truncate(time.Minute).Add(time.Minute)
}

// opensSoon closes the line until the beginning of a minute.
func opensSoon(s *stage) {
	zone := time.FixedZone("", 3*60*60) // Moscow has no summer time
	from := opening(time.Now()).In(zone)
	to := from.Add(10 * time.Minute)
	s.line().Hours = &configs.Hours{Zone: "Europe/Moscow", Open: []string{from.Format("Mon 15:04") + "-" + to.Format("15:04")}}
	s.note("opening", from.Format(time.RFC3339))
}

func waitsForOpening(ctx context.Context, s *stage) error {
	at, err := time.Parse(time.RFC3339, s.noted.Get("opening"))
	if err != nil {
		return err
	}
	return s.promised(ctx, nil, at, "the opening")
}

func waitsForTime(ctx context.Context, s *stage) error {
	at := time.Now().Add(4 * time.Second).Truncate(time.Second)
	return s.promised(ctx, form{"not_before": at.Format(time.RFC3339)}, at, "that time")
}

// promised expects that a call is put off until a time, that this time is in
// the answer, and that somebody is rung at it and not before.
func (s *stage) promised(ctx context.Context, f form, at time.Time, words string) error {
	a, err := s.ask(ctx, f)
	if err != nil {
		return err
	}
	said := a.String()
	if a.status == 202 {
		said += " " + a.call.State
	}
	if next := a.call.NextAt; next != nil && next.Sub(at).Abs() < 10*time.Millisecond {
		said += " for " + words
	}
	s.note("answers", said)
	if a.status != 202 {
		return nil
	}
	if err := s.finish(ctx, a.call.ID); err != nil {
		return err
	}
	s.note("rung at", nobody)
	if rung := s.parties(anna); len(rung) > 0 {
		late := rung[0].Timeline()[0].At.Sub(at)
		s.note("rung at", within(late, 0, 3*time.Second, words))
	}
	return nil
}

// tooLate asks for a number on two lines: the second call waits for the first
// one until its time is over.
func tooLate(ctx context.Context, s *stage) error {
	first, err := s.order(ctx, nil)
	if err != nil {
		return err
	}
	if _, err := s.until(ctx, first.ID, store.StateTalking); err != nil {
		return err
	}
	late, err := s.order(ctx, form{"line": s.lines[1].ID})
	if err != nil {
		return err
	}
	s.rec = late
	if err := s.finish(ctx, first.ID); err != nil {
		return err
	}
	return s.finish(ctx, late.ID)
}
