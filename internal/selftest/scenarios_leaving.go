package selftest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// text is long enough for a manager to hang up in it.
const text = "Здравствуйте! Клиент оставил заявку на сайте и ждёт звонка. Соединяю."

// leavingScenarios are those of a manager who accepts and hangs up.
func leavingScenarios() []scenario {
	left := ended("manager_hung_up", "603-S", "manager")
	return []scenario{
		{
			branch: "10", what: "the manager hangs up during the announcement", cast: leavesEarly, play: announced,
			want: left.rung(anna).told(anna).and("hung up by", "manager"),
		},
		{
			branch: "10", what: "the manager hangs up during the announcement: tried again by policy", seconds: 10, cast: func(s *stage) {
				s.callback.Attempts = 2
				s.person(anna, leaving(s), answers())
			}, play: announced,
			want: completed().rung(anna + " ×2, " + customer).heard(anna + " and " + customer + " each other").told(anna),
		},
		{
			branch: "11", what: "the manager hangs up while the customer rings", cast: leavesRinging(rings()),
			want: left.rung(anna+", "+customer).and("hung up by", "manager").and("customer got", "CANCEL"),
		},
		{
			branch: "11", what: "the customer's 200 crosses the CANCEL: the rest of the route takes the call", seconds: 12, cast: func(s *stage) {
				leavesRinging(lab.Script{lab.Ring(0), lab.AnswerOnCancel()})(s)
				s.rings(ringing(anna), ringing(boris))
				s.person(boris, lab.Script{lab.Ring(0), lab.Answer(500 * time.Millisecond), lab.Talk(talk), lab.Bye()})
			},
			want: completed().rung(anna+", "+boris+", "+customer).heard(boris+" and "+customer+" each other").told(customer).and("manager", boris),
		},
		{
			branch: "11", what: "the customer's 200 crosses the CANCEL: the rest of the route rings for 15 s, then an apology", seconds: 30, cast: func(s *stage) {
				leavesRinging(lab.Script{lab.Ring(0), lab.AnswerOnCancel()})(s)
				s.callback.Ring = time.Minute
				s.rings(ringing(anna), ringing(boris))
				s.person(boris, rings())
			}, play: offered,
			want: left.rung(anna+", "+boris+", "+customer).told(customer).and("offered", "for 15 s").
				and("customer got", "CANCEL, ACK, BYE").and("Boris got", "CANCEL"),
		},
	}
}

// leaving hangs up in the middle of what is said: of a text, or of the beeps
// that stand in for it.
func leaving(s *stage) lab.Script {
	after := 450 * time.Millisecond
	if s.speaks {
		after = 1500 * time.Millisecond
	}
	return append(answers(), lab.Talk(after), lab.Bye())
}

func leavesEarly(s *stage) { s.person(anna, leaving(s)) }

// leavesRinging lets Anna hang up while the customer's phone rings.
func leavesRinging(callee lab.Script) func(*stage) {
	return func(s *stage) {
		s.callback.Attempts = 2 // which are not used
		s.callback.CustomerRing = 20 * time.Second
		s.person(anna, append(answers(), lab.Talk(time.Second), lab.Bye()))
		s.person(customer, callee)
	}
}

// announced orders a callback with a text.
func announced(ctx context.Context, s *stage) error { return s.follow(ctx, form{"text": text}) }

// offered measures how long Boris is rung.
func offered(ctx context.Context, s *stage) error {
	if err := follow(ctx, s); err != nil {
		return err
	}
	s.note("offered", none)
	if rung := s.parties(boris); len(rung) > 0 {
		if e, ok := rung[0].Event(lab.Cancelled); ok {
			s.note("offered", within(e.At.Sub(rung[0].Timeline()[0].At), 12*time.Second, 16*time.Second, "for 15 s"))
		}
	}
	return nil
}

// countWaits notes how often the judged call has waited for a retry.
func (s *stage) countWaits(ctx context.Context) error {
	states, err := s.states(ctx, s.rec.ID)
	if err != nil {
		return err
	}
	n := 0
	for _, state := range states {
		if state == string(store.StateWaitingRetry) {
			n++
		}
	}
	s.note("waited for a retry", fmt.Sprintf("%d times", n))
	return nil
}

// states are those that a call has been in, as its timeline tells.
func (s *stage) states(ctx context.Context, id string) ([]string, error) {
	events, err := s.house.client.Events(ctx, id, "")
	if err != nil {
		return nil, err
	}
	var states []string
	for _, e := range events {
		var d struct {
			State string `json:"state"`
		}
		if e.Type != store.EventCallState {
			continue
		}
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return nil, err
		}
		states = append(states, d.State)
	}
	return slices.Compact(states), nil
}
