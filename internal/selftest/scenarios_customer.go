package selftest

import (
	"time"

	"perezvon/internal/lab"
)

// customerScenarios are those of a customer who is not reached.
func customerScenarios() []scenario {
	const retried = true
	list := []scenario{
		unreached("12", "the customer is busy (486)", refuses(486), "customer_busy", "486", retried),
		unreached("12", "the customer is busy everywhere (600)", refuses(600), "customer_busy", "486", retried),
		unreached("13", "the customer does not answer", rings(), "customer_no_answer", "304", retried),
		unreached("14", "the customer declines (603)", refuses(603), "customer_declined", "603", !retried),
		unreached("14", "the customer declines (403 with cause 21)", refuses(403, "Reason: Q.850;cause=21"), "customer_declined", "603", !retried),
		unreached("15", "the number does not exist (404)", refusesAtOnce(404), "invalid_number", "404", !retried),
		unreached("15", "the number does not exist any more (410)", refusesAtOnce(410), "invalid_number", "404", !retried),
		unreached("15", "the number exists nowhere (604)", refusesAtOnce(604), "invalid_number", "404", !retried),
		unreached("15", "the number does not exist (503 with cause 1)", refusesAtOnce(503, "Reason: Q.850;cause=1"), "invalid_number", "404", !retried),
		unreached("16", "the number is incomplete (484)", refusesAtOnce(484), "direction_unavailable", "484", !retried),
		unreached("16", "the number is incomplete (500 with cause 28)", refusesAtOnce(500, "Reason: Q.850;cause=28"), "direction_unavailable", "484", !retried),
		unreached("16", "no route to the number (500 with cause 3)", refusesAtOnce(500, "Reason: Q.850;cause=3"), "direction_unavailable", "484", !retried),
		unreached("17", "the customer's phone is off (480 at once)", refuses(480), "customer_unavailable", "480", retried),
		unreached("17", "the customer's phone is off (487 at once)", refuses(487), "customer_unavailable", "480", retried),
		unreached("17", "the customer is out of coverage (480 with cause 20)", refuses(480, "Reason: Q.850;cause=20"), "customer_unavailable", "480", retried),
		unreached("17", "the customer's phone does not respond (487 with cause 18)", refuses(487, "Reason: Q.850;cause=18"), "customer_unavailable", "480", retried),
	}
	list[2].want = list[2].want.and("customer got", "CANCEL")
	late := unreached("17", "480 after 10 s of ringing: the customer does not answer", nil, "customer_no_answer", "304", !retried)
	late.seconds = 18
	late.cast = func(s *stage) {
		s.callback.CustomerRing = 20 * time.Second
		s.person(customer, lab.Script{lab.Ring(0), lab.Wait(10500 * time.Millisecond), lab.Reject(480, phrase(480))})
	}
	return append(list, late, scenario{
		branch: "12", what: "the customer is busy at first: called again after busy_retry", seconds: 8,
		cast: func(s *stage) {
			s.callback.Attempts, s.callback.Retry = 2, []time.Duration{time.Hour}
			s.person(customer, refuses(486), talks(talk))
		},
		want: completed().rung(anna+" ×2, "+customer+" ×2").heard(anna+" and "+customer+" each other").told(anna).and("attempts", "2"),
	})
}

// unreached is a callback whose customer is not reached: the manager is told,
// and it is tried a second time or not.
func unreached(branch, what string, script lab.Script, result, code string, retried bool) scenario {
	want := ended(result, code, "customer").told(anna)
	if retried {
		want = want.rung(anna+" ×2, "+customer+" ×2").and("attempts", "2")
	} else {
		want = want.rung(anna+", "+customer).and("attempts", "1")
	}
	return scenario{branch: branch, what: what, seconds: 8, want: want, cast: func(s *stage) {
		s.callback.Attempts = 2
		s.person(customer, script)
	}}
}
