package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// people are the customers and managers of tests with many calls: everybody
// does something else, chosen by a seeded generator.

// person is what somebody does when he is called, and how a call with him may
// end.
type person struct {
	name    string
	weight  int // how common he is
	scripts func(r *rand.Rand) []lab.Script
	results []store.Result
}

// People whose network says nothing at all.
const (
	notHeardOf  = "is not heard of"
	outOfOffice = "is out of office"
)

func (p person) silent() bool { return p.name == notHeardOf || p.name == outOfOffice }

// ms is a random time in milliseconds.
func ms(r *rand.Rand, least, most int) time.Duration {
	return time.Duration(least+r.IntN(most-least)) * time.Millisecond
}

func always(s lab.Script) func(*rand.Rand) []lab.Script {
	return func(*rand.Rand) []lab.Script { return []lab.Script{s} }
}

func refusing(status int, phrase string) func(*rand.Rand) []lab.Script {
	return func(r *rand.Rand) []lab.Script {
		return []lab.Script{{lab.Ring(0), lab.Wait(ms(r, 0, 800)), lab.Reject(status, phrase)}}
	}
}

func talkingThenLeaving(r *rand.Rand) lab.Script {
	return append(lab.Customer(ms(r, 0, 1200)), lab.Talk(ms(r, 200, 2500)), lab.Bye())
}

// customers are the people outside. A script more is for the next call.
var customers = []person{
	{"talks and leaves", 30, func(r *rand.Rand) []lab.Script { return []lab.Script{talkingThenLeaving(r)} }, []store.Result{store.ResultCompleted}},
	{"leaves at once", 6, always(append(lab.Customer(0), lab.Bye())), []store.Result{store.ResultCompleted}},
	{
		"has early media", 6, func(r *rand.Rand) []lab.Script {
			return []lab.Script{{
				lab.Tone(lab.CustomerTone), lab.EarlyMedia(ms(r, 0, 300), 1400), lab.Answer(ms(r, 100, 900)), lab.Talk(ms(r, 200, 1500)), lab.Bye(),
			}}
		},
		[]store.Result{store.ResultCompleted},
	},
	{
		"answers on two phones", 4, func(r *rand.Rand) []lab.Script {
			return []lab.Script{append(lab.Customer(ms(r, 0, 500)), lab.ForkSecond200(), lab.Talk(ms(r, 200, 1500)), lab.Bye())}
		},
		[]store.Result{store.ResultCompleted},
	},
	{"is behind a proxy", 6, func(r *rand.Rand) []lab.Script {
		return []lab.Script{append(lab.Script{lab.RecordRoute()}, talkingThenLeaving(r)...)}
	}, []store.Result{store.ResultCompleted}},
	{"is busy", 8, refusing(486, "Busy Here"), []store.Result{store.ResultCustomerBusy}},
	{"is busy once", 6, func(r *rand.Rand) []lab.Script {
		return []lab.Script{{lab.Reject(486, "Busy Here")}, talkingThenLeaving(r)}
	}, []store.Result{store.ResultCompleted, store.ResultCustomerBusy}},
	{"declines", 6, refusing(603, "Decline"), []store.Result{store.ResultCustomerDeclined}},
	{"does not exist", 4, refusing(404, "Not Found"), []store.Result{store.ResultInvalidNumber}},
	{"is incomplete", 2, refusing(484, "Address Incomplete"), []store.Result{store.ResultDirection}},
	{"is switched off", 4, refusing(480, "Temporarily Unavailable"), []store.Result{store.ResultCustomerUnavailable}},
	{"does not answer", 8, always(lab.Script{lab.Ring(0)}), []store.Result{store.ResultCustomerNoAnswer}},
	{"is out of reach of the trunk", 4, func(*rand.Rand) []lab.Script {
		return []lab.Script{{lab.Reject(503, "Service Unavailable")}}
	}, []store.Result{store.ResultTrunkFailed}},
	{notHeardOf, 1, always(lab.Script{lab.Silence()}), []store.Result{store.ResultTrunkFailed}},
}

// managers are the people inside. Who has no results leaves the end to the
// customer.
var managers = []person{
	{"answers", 50, func(r *rand.Rand) []lab.Script { return []lab.Script{lab.Manager(ms(r, 0, 1000))} }, nil},
	{
		"leaves in the talk", 8, func(r *rand.Rand) []lab.Script {
			return []lab.Script{append(lab.Manager(ms(r, 0, 500)), lab.Talk(ms(r, 3000, 5000)), lab.Bye())}
		},
		[]store.Result{store.ResultManagerHungUp},
	},
	{
		"leaves early", 8, func(r *rand.Rand) []lab.Script {
			return []lab.Script{append(lab.Manager(ms(r, 0, 300)), lab.Talk(ms(r, 0, 1500)), lab.Bye())}
		},
		[]store.Result{store.ResultManagerHungUp},
	},
	{"is busy at first", 5, func(r *rand.Rand) []lab.Script { // who stays busy is waited for
		return []lab.Script{{lab.Ring(0), lab.Reject(486, "Busy Here")}, lab.Manager(ms(r, 0, 500))}
	}, []store.Result{store.ResultManagerUnavailable}},
	{"declines", 5, refusing(603, "Decline"), []store.Result{store.ResultManagerUnavailable}},
	{"does not answer", 5, always(lab.Script{lab.Ring(0)}), []store.Result{store.ResultManagerUnavailable}},
	{"declines once", 5, func(r *rand.Rand) []lab.Script {
		return []lab.Script{{lab.Ring(0), lab.Reject(603, "Decline")}, lab.Manager(ms(r, 0, 500))}
	}, []store.Result{store.ResultManagerUnavailable}},
	{outOfOffice, 1, always(lab.Script{lab.Silence()}), []store.Result{store.ResultManagerUnavailable}},
}

// meet chooses somebody.
func meet(r *rand.Rand, among []person) person {
	total := 0
	for _, p := range among {
		total += p.weight
	}
	n := r.IntN(total)
	for _, p := range among {
		if n -= p.weight; n < 0 {
			return p
		}
	}
	return among[0]
}

// office is the inside of a company: lines with routes of every kind, and
// extensions that requests name.
type office struct {
	extensions strings.Builder
	lines      strings.Builder
	phones     *lab.Carrier
	outside    *lab.Carrier
}

// phone adds an extension with what it does.
func (o *office) phone(number string, s lab.Script) {
	fmt.Fprintf(&o.extensions, "  - {number: %q, contact: \"sip:%s@%s\"}\n", number, number, o.phones.Addr())
	o.phones.Number(number, s)
}

// line adds the i-th line. Somebody answers on each, sooner or later.
func (o *office) line(i int, r *rand.Rand) (id string) {
	id = fmt.Sprintf("line-%d", i)
	ext := func(n int, s lab.Script) string {
		number := fmt.Sprint(10000 + 10*i + n)
		o.phone(number, s)
		return number
	}
	good := lab.Manager(ms(r, 0, 800))
	declines, busy := lab.Script{lab.Ring(0), lab.Reject(603, "Decline")}, lab.Script{lab.Reject(486, "Busy Here")}
	var route string
	switch i % 4 {
	case 0:
		route = fmt.Sprintf("[{extension: {number: %q}}]", ext(0, good))
	case 1:
		route = fmt.Sprintf("[{group: {members: [%q, %q, %q], strategy: all}}]", ext(0, declines), ext(1, lab.Script{lab.Ring(0)}), ext(2, good))
	case 2:
		route = fmt.Sprintf("[{group: {members: [%q, %q], strategy: in_order}}]", ext(0, busy), ext(1, good))
	case 3:
		mobile := fmt.Sprintf("+7917000%04d", i)
		o.outside.Number(mobile, append(lab.Manager(200*time.Millisecond), lab.Press("1", ms(r, 300, 2000))))
		route = fmt.Sprintf("[{extension: {number: %q}}, {mobile: {number: %q}}]", ext(0, declines), mobile)
	}
	fmt.Fprintf(&o.lines, "  - {id: %s, number: \"+7495100%04d\", trunks: [carrier], record: %t, route: %s}\n", id, i, i%2 == 0, route)
	return id
}
