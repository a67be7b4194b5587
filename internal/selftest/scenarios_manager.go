package selftest

import (
	"context"
	"slices"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// managerScenarios are what may happen until a manager has accepted.
func managerScenarios() []scenario {
	annaThenBoris := func(script lab.Script) func(*stage) {
		return func(s *stage) {
			s.rings(ringing(anna), ringing(boris))
			s.person(anna, script)
			s.person(boris, answers())
		}
	}
	onToBoris := completed().rung(anna+", "+boris+", "+customer).
		heard(boris+" and "+customer+" each other").and("manager", boris)
	list := []scenario{
		{branch: "4", what: "the manager is busy", cast: annaThenBoris(refusesAtOnce(486)), play: atOnceAfter(lab.Refused), want: onToBoris.and("next", "at once")},
		{branch: "4", what: "the manager is in another call of ours", seconds: 10, cast: func(s *stage) {
			s.rings(ringing(anna), ringing(boris))
			s.person(boris, answers())
			s.person(customer, talks(4*time.Second))
			s.person(second, talks(talk))
		}, play: whileTalking, want: completed().rung(anna+", "+boris+", "+customer+", "+second).
				heard(anna+" and "+customer+" each other, "+boris+" and "+second+" each other").and("manager", boris)},
		{branch: "5", what: "the manager does not answer", cast: annaThenBoris(rings()), play: atOnceAfter(lab.Cancelled), want: onToBoris.and("next", "at once").and("Anna got", "CANCEL")},
		{branch: "6", what: "the manager declines with 603", cast: annaThenBoris(refuses(603)), play: atOnceAfter(lab.Refused), want: onToBoris.and("next", "at once")},
		{branch: "6", what: "the manager declines with 480", cast: annaThenBoris(refuses(480)), play: atOnceAfter(lab.Refused), want: onToBoris.and("next", "at once")},
		{branch: "6", what: "one of a group declines with 603: the others ring on", cast: func(s *stage) {
			s.rings(group("all", anna, boris))
			s.person(anna, refuses(603))
			s.person(boris, lab.Script{lab.Ring(0), lab.Answer(1500 * time.Millisecond)})
		}, want: onToBoris},
		{branch: "6", what: "a group: the first who answers wins, the others stop ringing", cast: func(s *stage) {
			s.rings(group("all", anna, boris, vera))
			s.person(anna, rings())
			s.person(boris, lab.Script{lab.Ring(0), lab.Answer(700 * time.Millisecond)})
			s.person(vera, lab.Script{lab.Ring(0), lab.AnswerOnCancel()})
		}, want: completed().rung(anna+", "+boris+", "+vera+", "+customer).heard(boris+" and "+customer+" each other").
			and("manager", boris).and("Anna got", "CANCEL")},
	}
	for status, what := range map[int]string{404: "is not known", 408: "is not there", 503: "is out of service"} {
		list = append(list, scenario{
			branch: "7", what: "the manager's phone " + what, cast: annaThenBoris(refusesAtOnce(status)),
			play: atOnceAfter(lab.Refused), want: onToBoris.and("next", "at once"),
		})
	}
	return append(list,
		scenario{branch: "7", what: "the manager's phone is silent: his mobile is rung", seconds: 12, cast: func(s *stage) {
			s.rings(ringing(anna), ringing(mobile))
			s.person(anna, lab.Script{lab.Silence()})
			s.person(mobile, append(answers(), lab.Press("1", time.Second)))
		}, want: completed().rung(anna+", "+mobile+", "+customer).heard(mobile+" and "+customer+" each other").told(mobile).and("manager", mobile)},
		scenario{branch: "7", what: "the manager's phone never rings (10 s)", seconds: 16, cast: annaThenBoris(lab.Script{lab.Trying()}), want: onToBoris},
		scenario{branch: "8", what: "every destination was tried, in every attempt", seconds: 8, cast: func(s *stage) {
			s.callback.Attempts = 3
			s.rings(ringing(anna), ringing(boris))
			s.person(anna, refuses(486))
			s.person(boris, refuses(603))
		}, play: followRetries, want: ended("manager_unavailable", "304", "manager").rung(anna+" ×3, "+boris+" ×3").
				and("attempts", "3").and("waited for a retry", "2 times")},
		scenario{branch: "9", what: "a voicemail takes the manager's leg: no key is pressed", seconds: 12, cast: func(s *stage) {
			s.rings(ringing(mobile), ringing(boris))
			s.person(mobile, answers())
			s.person(boris, answers())
		}, want: completed().rung(boris+", "+mobile+", "+customer).heard(boris+" and "+customer+" each other").told(mobile).
			and("manager", boris).and("mobile got", "ACK, BYE")},
	)
}

// atOnceAfter measures how soon after something happened to Anna it is Boris's
// turn. His INVITE may be later where a busy disk holds its journal up.
func atOnceAfter(kind lab.Kind) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		if err := follow(ctx, s); err != nil {
			return err
		}
		s.note("next", none)
		a := s.parties(anna)
		turn := slices.IndexFunc(s.rec.Legs, func(l api.Leg) bool { return l.Number == s.number(boris) })
		if len(a) == 0 || turn < 0 {
			return nil
		}
		if e, ok := a[0].Event(kind); ok {
			s.note("next", within(s.rec.Legs[turn].StartedAt.Sub(e.At), -100*time.Millisecond, 700*time.Millisecond, "at once"))
		}
		return nil
	}
}

// whileTalking orders a second callback while Anna talks in the first one.
func whileTalking(ctx context.Context, s *stage) error {
	first, err := s.order(ctx, nil)
	if err != nil {
		return err
	}
	if _, err := s.until(ctx, first.ID, store.StateTalking); err != nil {
		return err
	}
	other, err := s.order(ctx, form{"number": s.number(second)})
	if err != nil {
		return err
	}
	s.rec = other
	if err := s.finish(ctx, other.ID); err != nil {
		return err
	}
	return s.finish(ctx, first.ID)
}

// followRetries counts how often the call has waited for a retry.
func followRetries(ctx context.Context, s *stage) error {
	if err := follow(ctx, s); err != nil {
		return err
	}
	return s.countWaits(ctx)
}
