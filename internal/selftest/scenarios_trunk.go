package selftest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/store"
)

// trunkScenarios are those of providers that fail.
func trunkScenarios() []scenario {
	list := []scenario{
		{
			branch: "21", what: "the trunk is down: the manager is not rung; when it is back, the call goes on", seconds: 20,
			cast: down, play: backAgain, want: talked(anna).and("while it was down", "rung: nobody"),
		},
		{
			branch: "21", what: "the trunk stays down for the call's whole time-to-live", seconds: 20, cast: func(s *stage) {
				down(s)
				s.callback.TTL = 4 * time.Second
			},
			play: whenDown, want: ended("trunk_failed", "503", "trunk"),
		},
		{
			branch: "21", what: "the trunk is down: the line's other trunk is used", seconds: 10, cast: func(s *stage) {
				down(s)
				s.withBackup()
				s.person(customer+viaBackup, talks(talk))
			},
			play: whenDown, want: completed().rung(anna + ", " + customer + viaBackup).
				heard(anna + " and " + customer + viaBackup + " each other"),
		},
		{
			branch: "22", what: "the trunk refuses (503): the line's other trunk is used", cast: func(s *stage) {
				s.withBackup()
				s.person(customer, refusesAtOnce(503))
				s.person(customer+viaBackup, talks(talk))
			},
			want: completed().rung(anna + ", " + customer + ", " + customer + viaBackup).
				heard(anna + " and " + customer + viaBackup + " each other"),
		},
		{
			branch: "22", what: "the customer himself is busy: the other trunk is not tried", cast: func(s *stage) {
				s.withBackup()
				s.person(customer, refusesAtOnce(486))
				s.person(customer+viaBackup, talks(talk))
			},
			want: ended("customer_busy", "486", "customer").rung(anna + ", " + customer).told(anna),
		},
	}
	for _, refusal := range []struct {
		status int
		what   string
		code   string
	}{{402, "refuses for want of money", "402"}, {403, "forbids the call", "403"}, {503, "is out of service", "503"}, {302, "redirects", "503"}} {
		list = append(list, scenario{
			branch: "22", what: fmt.Sprintf("the trunk %s (%d)", refusal.what, refusal.status), seconds: 8,
			cast: func(s *stage) {
				s.callback.Attempts = 2
				s.person(customer, refusesAtOnce(refusal.status))
			},
			want: ended("trunk_failed", refusal.code, "trunk").rung(anna+" ×2, "+customer+" ×2").told(anna).and("attempts", "2"),
		})
	}
	return list
}

// down lets the provider say 503 to OPTIONS, twice within five seconds.
func down(s *stage) {
	s.provider.OPTIONS(503)
	for i := range s.trunks {
		s.trunks[i].Options = "5s"
	}
}

// isDown waits until the server knows that the provider is.
func (s *stage) isDown(ctx context.Context) error {
	asked, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	err := poll(asked, func() (bool, error) {
		st, err := s.house.client.Status(asked)
		return slices.ContainsFunc(st.Problems, func(r api.Reason) bool { return r.Part == "trunk "+s.trunk("provider") }), err
	})
	if err != nil {
		return fmt.Errorf("wait until the trunk is known to be down: %w", err)
	}
	return nil
}

func whenDown(ctx context.Context, s *stage) error {
	if err := s.isDown(ctx); err != nil {
		return err
	}
	return follow(ctx, s)
}

// backAgain brings the provider back after the call has waited for it.
func backAgain(ctx context.Context, s *stage) error {
	if err := s.isDown(ctx); err != nil {
		return err
	}
	c, err := s.order(ctx, nil)
	if err != nil {
		return err
	}
	time.Sleep(2500 * time.Millisecond)
	s.note("while it was down", "rung: "+s.rung())
	s.provider.OPTIONS(200)
	return s.finish(ctx, c.ID)
}

// limitScenarios are those of too much at once.
func limitScenarios() []scenario {
	const ports = 8 // four pairs: two calls
	return []scenario{
		{
			branch: "33", what: "too many callbacks to one number", cast: func(s *stage) { s.person(anna, refusesAtOnce(603)) },
			play: tooMany, want: ended("manager_unavailable", "304", "manager").rung(fmt.Sprintf("%s ×%d", anna, perNumber)).
				and("answers", "429 too_many_calls, Retry-After"),
		},
		{
			branch: "33", what: "more calls than media ports: one waits for its turn", seconds: 20, alone: true, ports: ports, cast: func(s *stage) {
				s.rings(group("in_order", anna, boris, vera))
				s.person(boris, answers())
				s.person(vera, answers())
				s.person(second, talks(talk))
				s.person(third, talks(talk))
			},
			play: crowd, want: completed().rung(anna+" ×2, "+boris+", "+customer+", "+second+", "+third).
				heard(anna+" and "+customer+" each other, "+anna+" and "+third+" each other, "+boris+" and "+second+" each other").
				and("attempts", "1").and("others", "completed, completed"),
		},
	}
}

func tooMany(ctx context.Context, s *stage) error {
	for range perNumber {
		c, err := s.order(ctx, nil)
		if err != nil {
			return err
		}
		if err := s.finish(ctx, c.ID); err != nil {
			return err
		}
	}
	a, err := s.ask(ctx, nil)
	s.note("answers", a.String())
	return err
}

// crowd orders three callbacks, one after the other has its manager.
func crowd(ctx context.Context, s *stage) error {
	var ids []string
	for _, who := range []string{customer, second, third} {
		c, err := s.order(ctx, form{"number": s.number(who)})
		if err != nil {
			return err
		}
		ids = append(ids, c.ID)
		if who == third {
			break
		}
		if _, err := s.until(ctx, c.ID, store.StateTalking); err != nil {
			return err
		}
	}
	others := ""
	for i, id := range ids {
		c, err := s.until(ctx, id, store.StateEnded)
		if err != nil {
			return err
		}
		switch i {
		case 0:
			s.rec = c
		case 1:
			others = value(c.Result)
		default:
			others += ", " + value(c.Result)
		}
	}
	s.note("others", others)
	return nil
}
