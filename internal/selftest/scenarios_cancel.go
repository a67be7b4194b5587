package selftest

import (
	"context"
	"time"

	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// cancelScenarios are those of calls that are not wanted any more.
func cancelScenarios() []scenario {
	cancelled := ended("cancelled", "603-S", "us")
	return []scenario{
		{
			branch: "30", what: "cancelled while it waits for its time (not_before)",
			play: cancelledIn(store.StateScheduled, form{"not_before": time.Now().Add(time.Hour).Format(time.RFC3339)}), want: cancelled,
		},
		{
			branch: "30", what: "cancelled while the manager's phone rings",
			cast: func(s *stage) { s.person(anna, rings()) },
			play: cancelledIn(store.StateRingingManager, nil), want: cancelled.rung(anna).and("Anna got", "CANCEL"),
		},
		{
			branch: "30", what: "cancelled during the announcement",
			cast: func(s *stage) { s.callback.Confirm = 5 * time.Second },
			play: cancelledIn(store.StateAnnouncing, form{"text": text + text + text}), want: cancelled.rung(anna).and("Anna got", "ACK, BYE").told(anna),
		},
		{
			branch: "30", what: "cancelled while the customer's phone rings",
			cast: func(s *stage) { s.callback.CustomerRing = 20 * time.Second; s.person(customer, rings()) },
			play: cancelledIn(store.StateRingingCustomer, nil), want: cancelled.rung(anna+", "+customer).
				and("Anna got", "ACK, BYE").and("customer got", "CANCEL"),
		},
		{
			branch: "30", what: "cancelled while a retry waits",
			cast: func(s *stage) {
				s.callback.Attempts, s.callback.Retry = 2, []time.Duration{time.Hour}
				s.person(anna, refusesAtOnce(603))
			},
			play: cancelledIn(store.StateWaitingRetry, nil), want: cancelled.rung(anna),
		},
		{
			branch: "30", what: "hung up while the two talk",
			cast: func(s *stage) { s.person(customer, answers()) },
			play: cancelledIn(store.StateTalking, nil), want: talked(anna).and("hung up by", "us").
				and("Anna got", "ACK, BYE").and("customer got", "ACK, BYE"),
		},
		{
			branch: "31", what: "the customer calls in while a callback to him waits, and is answered", seconds: 8, cast: func(s *stage) {
				s.callback.Attempts, s.callback.Retry = 2, []time.Duration{time.Hour}
				s.person(anna, refusesAtOnce(603), answers())
			},
			play: callsIn, want: ended("customer_called", "200", "customer").rung(anna+" ×2").
				heard(anna+" and "+caller+" each other").and("inbound", "completed"),
		},
		{
			branch: "31", what: "the customer calls in while a callback to him waits, and is not answered: it goes on", seconds: 10, cast: func(s *stage) {
				s.callback.Attempts, s.callback.Retry = 2, []time.Duration{3 * time.Second}
				s.person(anna, refusesAtOnce(603), refusesAtOnce(486), answers())
			},
			play: callsIn, want: completed().rung(anna+" ×3, "+customer).heard(anna+" and "+customer+" each other").
				and("inbound", "busy").and("caller got", "486"),
		},
	}
}

// cancelledIn cancels a call some time after it has come to a state.
func cancelledIn(state store.State, f form) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		c, err := s.order(ctx, f)
		if err != nil {
			return err
		}
		if c, err = s.until(ctx, c.ID, state); err != nil {
			return err
		}
		wait := 300 * time.Millisecond
		switch {
		case state == store.StateTalking:
			wait = talk
		case state == store.StateAnnouncing && s.speaks:
			wait = 1500 * time.Millisecond
		}
		time.Sleep(wait)
		s.rec, err = s.house.client.Hangup(ctx, c.ID)
		return err
	}
}

// callsIn lets the customer call while a retry of the callback waits.
func callsIn(ctx context.Context, s *stage) error {
	c, err := s.order(ctx, nil)
	if err != nil {
		return err
	}
	if _, err := s.until(ctx, c.ID, store.StateWaitingRetry); err != nil {
		return err
	}
	in, err := s.callIn(ctx, lab.Script{lab.Talk(talk), lab.Bye()})
	if err != nil {
		return err
	}
	if err := over(ctx, in); err != nil {
		return err
	}
	rec, err := s.inbound(ctx)
	if err != nil {
		return err
	}
	s.note("inbound", value(rec.Result))
	return s.finish(ctx, c.ID)
}
