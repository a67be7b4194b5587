package selftest

import (
	"context"
	"fmt"
	"time"

	"perezvon/configs"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// restartScenarios are those of a server that ends, in order or not.
func restartScenarios() []scenario {
	return []scenario{
		{
			branch: "27", what: "the process dies (kill -9) before its time to dial has come", seconds: 15, child: true,
			play: killedEarly, want: talked(anna).and("attempts", "1"),
		},
		{
			branch: "27", what: "the process dies (kill -9) while a retry waits", seconds: 15, child: true, cast: func(s *stage) {
				s.callback.Attempts, s.callback.Retry = 2, []time.Duration{3 * time.Second}
				s.person(anna, refusesAtOnce(603), answers())
			},
			play: killedWhen(func(ctx context.Context, s *stage) error {
				_, err := s.until(ctx, s.rec.ID, store.StateWaitingRetry)
				return err
			}, nil),
			want: completed().rung(anna+" ×2, "+customer).heard(anna+" and "+customer+" each other").and("attempts", "2"),
		},
		{
			branch: "28", what: "the process dies (kill -9) in the talk: both get BYE, nobody is called again", seconds: 15, child: true,
			cast: func(s *stage) { s.person(customer, answers()) },
			play: killedWhen(func(ctx context.Context, s *stage) error {
				if _, err := s.until(ctx, s.rec.ID, store.StateTalking); err != nil {
					return err
				}
				time.Sleep(talk)
				return nil
			}, nil),
			want: ended("interrupted", "OTHER", "us").rung(anna+", "+customer).heard(anna+" and "+customer+" each other").
				and("Anna got", "ACK, BYE").and("customer got", "ACK, BYE").and("dialogs ended", "within 5 s"),
		},
		{
			branch: "28", what: "the process dies (kill -9) while the customer rings: he is called again", seconds: 15, child: true,
			cast: func(s *stage) {
				s.callback.CustomerRing = 10 * time.Second
				s.person(customer, rings(), talks(talk))
			},
			play: killedWhen(customerRings, nil),
			want: completed().rung(anna+" ×2, "+customer+" ×2").heard(anna+" and "+customer+" each other").and("dialogs ended", "within 5 s"),
		},
		{
			branch: "28", what: "the customer answers while the process is dead: he is not called again", seconds: 15, child: true,
			cast: func(s *stage) {
				s.callback.CustomerRing = 10 * time.Second
				s.person(customer, lab.Script{lab.Ring(0), lab.Answer(time.Second)})
			},
			play: killedWhen(customerRings, func(ctx context.Context, s *stage) error {
				_, err := s.reached(ctx, customer, 1, lab.Answered)
				return err
			}),
			want: ended("interrupted", "OTHER", "us").rung(anna+", "+customer).
				and("Anna got", "ACK, BYE").and("customer got", "CANCEL, ACK, BYE"), // the journal knows of no answer
		},
		{
			branch: "29", what: "shutdown: new calls are refused, the one in progress may finish", seconds: 12, alone: true,
			cast: func(s *stage) { s.person(customer, talks(4*time.Second)) },
			play: drained, want: talked(anna).and("answers", "503 draining, Retry-After").and("caller got", "503").
				and("hung up by", "customer").and("the server ended", "in order"),
		},
		{
			branch: "29", what: "shutdown: at the drain limit calls get BYE", seconds: 12, alone: true,
			cast: func(s *stage) { s.person(customer, answers()) },
			tune: func(c *configs.Config) { c.Drain = 2 * time.Second },
			play: drained, want: talked(anna).and("answers", "503 draining, Retry-After").and("caller got", "503").
				and("hung up by", "us").and("the server ended", "with calls hung up"),
		},
	}
}

func customerRings(ctx context.Context, s *stage) error {
	_, err := s.reached(ctx, customer, 1, lab.Ringing)
	return err
}

// killedEarly kills the process before a call is due.
func killedEarly(ctx context.Context, s *stage) error {
	if _, err := s.order(ctx, form{"not_before": time.Now().Add(4 * time.Second).Format(time.RFC3339)}); err != nil {
		return err
	}
	return s.killAndFinish(ctx, nil)
}

// killedWhen kills the process at a moment of the call. Something may happen
// before it is started again.
func killedWhen(moment, dead func(context.Context, *stage) error) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		if _, err := s.order(ctx, nil); err != nil {
			return err
		}
		if err := moment(ctx, s); err != nil {
			return err
		}
		return s.killAndFinish(ctx, dead)
	}
}

func (s *stage) killAndFinish(ctx context.Context, dead func(context.Context, *stage) error) error {
	if err := s.house.kill(); err != nil {
		return err
	}
	up := make(map[*lab.Party]bool)
	for _, c := range s.carriers() {
		for _, p := range c.Parties() {
			select {
			case <-p.Ended():
			default:
				up[p] = true
			}
		}
	}
	if dead != nil {
		if err := dead(ctx, s); err != nil {
			return err
		}
	}
	again := time.Now()
	if err := s.house.open(ctx); err != nil {
		return fmt.Errorf("start again: %w", err)
	}
	s.note("dialogs ended", "none was up")
	for p := range up {
		if err := over(ctx, p); err != nil {
			return fmt.Errorf("the call to %s was not ended after the new start: %w", p.Number(), err)
		}
		s.note("dialogs ended", within(time.Since(again), 0, 5*time.Second, "within 5 s"))
	}
	return s.finish(ctx, s.rec.ID)
}

// drained asks the server to end while two people talk, tries to get in, and
// looks what was stored after the end.
func drained(ctx context.Context, s *stage) error {
	c, err := s.order(ctx, nil)
	if err != nil {
		return err
	}
	if _, err := s.until(ctx, c.ID, store.StateTalking); err != nil {
		return err
	}
	time.Sleep(time.Second)
	s.house.drain()
	time.Sleep(300 * time.Millisecond)
	a, err := s.ask(ctx, form{"number": s.number(second)})
	if err != nil {
		return fmt.Errorf("ask the server that shuts down: %w", err)
	}
	s.note("answers", a.String())
	in, err := s.callIn(ctx, nil)
	if err != nil {
		return err
	}
	if err := over(ctx, in); err != nil {
		return err
	}
	s.note("the server ended", "in order")
	if err := s.house.gone(); err != nil {
		s.note("the server ended", "with calls hung up")
	}
	if err := s.house.open(ctx); err != nil {
		return fmt.Errorf("start again: %w", err)
	}
	return s.finish(ctx, c.ID)
}
