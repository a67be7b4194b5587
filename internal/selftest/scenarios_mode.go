package selftest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// modeScenarios are the rules that have no branch of their own.
func modeScenarios() []scenario {
	return []scenario{
		{
			branch: "first", what: "customer_first: the customer is dialled, told to wait, then the route is rung", seconds: 12,
			cast: customerFirst(answers()), play: inOrder,
			want: talked(anna).told(customer).and("order", customer+", "+anna),
		},
		{
			branch: "first", what: "customer_first, asked for in the request", seconds: 12,
			cast: func(s *stage) { customerFirst(answers())(s); s.callback.Mode = "manager_first" },
			play: func(ctx context.Context, s *stage) error {
				if err := s.follow(ctx, form{"mode": "customer_first"}); err != nil {
					return err
				}
				return s.order2(anna, customer)
			},
			want: talked(anna).told(customer).and("order", customer+", "+anna),
		},
		{
			branch: "first", what: "customer_first: the customer is busy, nobody else is rung", seconds: 5,
			cast: func(s *stage) { customerFirst(answers())(s); s.person(customer, refuses(486)) },
			want: ended("customer_busy", "486", "customer").rung(customer),
		},
		{
			branch: "idle", what: "longest_idle: who has not talked for the longest time is rung first", seconds: 20, cast: func(s *stage) {
				s.rings(group("longest_idle", anna, boris))
				s.person(boris, answers())
				for _, who := range []string{second, third} {
					s.person(who, talks(talk))
				}
			},
			play: threeInTurn, want: completed().rung(anna+" ×2, "+boris+", "+customer+", "+second+", "+third).
				heard(anna+" and "+customer+" each other, "+anna+" and "+third+" each other, "+boris+" and "+second+" each other").
				and("managers", anna+", "+boris+", "+anna),
		},
		{
			branch: "wait", what: "all managers are talking: the call waits for the first free one, without using an attempt", seconds: 20, cast: func(s *stage) {
				s.person(customer, talks(4*time.Second))
				s.person(second, talks(talk))
			},
			play: whileTalking, want: completed().rung(anna + " ×2, " + customer + ", " + second).
				heard(anna + " and " + customer + " each other, " + anna + " and " + second + " each other"),
		},
		{
			branch: "budget", what: "attempts of the manager's side and of the customer's side count apart", seconds: 12, cast: func(s *stage) {
				s.callback.Attempts = 2
				s.person(anna, refuses(603), answers())
				s.person(customer, refuses(486))
			},
			want: ended("customer_busy", "486", "customer").rung(anna+" ×3, "+customer+" ×2").told(anna).and("attempts", "3"),
		},
	}
}

func customerFirst(script lab.Script) func(*stage) {
	return func(s *stage) {
		s.callback.Mode = "customer_first"
		s.person(anna, lab.Script{lab.Ring(0), lab.Answer(1500 * time.Millisecond)})
		s.callback.Ring = 5 * time.Second
		s.person(customer, append(script, lab.Talk(8*time.Second), lab.Bye()))
	}
}

// inOrder follows a callback and notes in which order the two were rung.
func inOrder(ctx context.Context, s *stage) error {
	if err := follow(ctx, s); err != nil {
		return err
	}
	return s.order2(anna, customer)
}

func (s *stage) order2(who ...string) error {
	var first []Fact
	for _, w := range who {
		if p := s.parties(w); len(p) > 0 {
			first = append(first, Fact{w, p[0].Timeline()[0].At.Format("15:04:05.000000")})
		}
	}
	slices.SortFunc(first, func(a, b Fact) int { return cmp.Compare(a.Value, b.Value) })
	var names []string
	for _, f := range first {
		names = append(names, f.Name)
	}
	s.note("order", listed(names, nobody))
	return nil
}

// threeInTurn calls three customers back, one after the other.
func threeInTurn(ctx context.Context, s *stage) error {
	var managers []string
	for _, who := range []string{customer, second, third} {
		c, err := s.order(ctx, form{"number": s.number(who)})
		if err != nil {
			return err
		}
		s.rec = c
		if err := s.finish(ctx, c.ID); err != nil {
			return err
		}
		if got := value(s.rec.Result); got != string(store.ResultCompleted) {
			return fmt.Errorf("the callback to the %s ended with %s", who, got)
		}
		managers = append(managers, s.manager())
	}
	s.note("managers", strings.Join(managers, ", "))
	return nil
}
