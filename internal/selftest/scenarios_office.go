package selftest

import (
	"context"
	"fmt"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// officeScenarios are the table of calls by the office. Vera's phone dials;
// she is the caller.
func officeScenarios() []scenario {
	reaches := func(status int, result, code, owner string) scenario {
		return scenario{
			what: fmt.Sprintf("the number answers %d", status), cast: func(s *stage) { s.person(customer, refuses(status)) },
			play: dials(customer, nil), want: ended(result, code, owner).rung(customer).and("caller got", fmt.Sprint(status)),
		}
	}
	list := []scenario{
		{
			what: "a phone calls another one", cast: func(s *stage) { s.person(boris, talks(talk)) }, play: dials(boris, nil),
			want: completed().rung(boris).heard(boris+" and "+caller+" each other").and("hung up by", "customer"),
		},
		{
			what: "a phone calls a number outside", play: dials(customer, nil),
			want: completed().rung(customer).heard("customer and "+caller+" each other").and("hung up by", "customer"),
		},
		{
			what: "the caller gives up", cast: func(s *stage) { s.callback.CustomerRing = 10 * time.Second; s.person(customer, rings()) },
			play: dials(customer, lab.Script{lab.Cancel(time.Second)}),
			want: ended("abandoned", "603-S", "manager").rung(customer).and("caller got", "487").and("customer got", "CANCEL"),
		},
		reaches(486, "busy", "486", "customer"), reaches(603, "missed", "603", "customer"), reaches(404, "invalid_number", "404", "customer"),
		{
			what: "the network explains itself before it refuses", cast: func(s *stage) {
				s.person(customer, lab.Script{lab.EarlyMedia(200*time.Millisecond, networkTone), lab.Wait(talk), lab.Reject(480, "Off")})
			},
			play: dials(customer, nil), want: ended("missed", "480", "customer").rung(customer).heard(caller+" hears the network").and("caller got", "480"),
		},
		{
			what: "a phone dials its own number", play: dials(vera, nil), want: noCall().and("caller got", "486"),
		},
		{
			what: "click-to-call: both talk", play: clicks, want: talked(anna),
		},
		{
			what: "click-to-call: the number is busy, the manager is told", cast: func(s *stage) { s.person(customer, refusesAtOnce(486)) },
			play: clicks, want: ended("busy", "486", "customer").rung(anna + ", " + customer).told(anna),
		},
		{
			what: "click-to-call: the manager does not answer", cast: func(s *stage) { s.person(anna, rings()) },
			play: clicks, want: ended("manager_unavailable", "304", "manager").rung(anna),
		},
	}
	for i := range list {
		list[i].branch = fmt.Sprintf("out%d", i+1)
	}
	return list
}

// dials lets Vera dial somebody, and waits for the end of the call.
func dials(who string, script lab.Script) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error { return dialsNumber(s.number(who), script)(ctx, s) }
}

func dialsNumber(number string, script lab.Script) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		p, err := s.office.Call(ctx, lab.CallOptions{
			To: s.house.sip(), User: number, From: s.number(vera), Script: append(lab.Script{lab.Tone(pitch(caller, s.n))}, script...),
		})
		if err != nil {
			return err
		}
		s.callers = append(s.callers, p)
		if err := over(ctx, p); err != nil {
			return err
		}
		calls, err := s.house.client.Calls(ctx, map[string]string{"number": number})
		if err != nil || len(calls.Calls) == 0 { // there may be none
			return err
		}
		s.rec, err = s.until(ctx, calls.Calls[0].ID, store.StateEnded)
		return err
	}
}

// clicks has the customer called for Anna.
func clicks(ctx context.Context, s *stage) error {
	c, err := s.house.client.Dial(ctx, api.DialBody{Line: s.line().ID, Extension: s.number(anna), Number: s.number(customer)})
	if err != nil {
		return fmt.Errorf("click-to-call: %w", err)
	}
	return s.finish(ctx, c.ID)
}
