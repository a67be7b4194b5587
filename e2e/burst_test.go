package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// A hundred people call within a second, and five managers are there: each call
// ends as its people saw it, and nothing of it stays.
func TestHundredCallsInOneSecond(t *testing.T) {
	t.Parallel()
	const burst = 100
	seed := number(t, "E2E_SEED", uint64(time.Now().UnixNano()))
	t.Logf("E2E_SEED=%d", seed)
	b := &rush{random: rand.New(rand.NewPCG(seed, 1)), outside: newCarrier(t), phones: newCarrier(t)}
	var extensions strings.Builder
	for i := range 5 {
		ext := fmt.Sprint(2001 + i)
		b.managers = append(b.managers, ext)
		fmt.Fprintf(&extensions, "  - {number: %q, contact: \"sip:%s@%s\"}\n", ext, ext, b.phones.Addr())
	}
	b.server = serve(t, setup{
		trunk: b.outside.Addr().String(), manager: b.phones.Addr().String(), callback: ", ring: 5s",
		ports:      2 * (burst + 10) * (len(b.managers) + 1),
		extensions: extensions.String(),
		lines: fmt.Sprintf("  - {id: shop, number: %q, trunks: [carrier], route: [{group: {members: [%s], strategy: all}}]}\n",
			shopNumber, `"`+strings.Join(b.managers, `", "`)+`"`),
	})
	b.come(10) // what the first calls leave stays
	held := load{server: b.server, calls: 1}
	before := held.footprint()
	results := b.come(burst)
	after := held.footprint()
	t.Logf("they ended: %s", tally(results))
	t.Logf("before: %s; after: %s", before, after)
	if after.goroutines > before.goroutines+3 || after.files > before.files+3 || after.ports != 0 {
		t.Errorf("the server holds %s; it held %s", after, before)
	}
	if results[string(store.ResultCompleted)] == 0 || results[string(store.ResultMissed)] == 0 {
		t.Errorf("they ended %s: that tells little", tally(results))
	}
	atRest(t, b.phones, b.outside)
	b.stop()
}

const shopNumber = "+74950001234"

// rush is many callers at a time, and managers who do what comes to their
// minds.
type rush struct {
	*server
	random   *rand.Rand
	outside  *lab.Carrier
	phones   *lab.Carrier
	managers []string
	calls    int // there were so far
}

// come lets n people call within a second, and judges their calls.
func (b *rush) come(n int) map[string]int {
	b.t.Helper()
	for _, ext := range b.managers {
		moods := make([]lab.Script, n)
		for i := range moods {
			moods[i] = append(lab.Script{lab.NoSound()}, b.mood()...)
		}
		b.phones.Turns(ext, moods...)
	}
	callers := make([]*lab.Party, n)
	for i := range callers {
		b.calls++
		var err error
		callers[i], err = b.outside.Call(b.t.Context(), lab.CallOptions{
			To: netip.MustParseAddrPort(b.sipAddr()), User: shopNumber, From: fmt.Sprintf("+7916%07d", b.calls),
			Script: lab.Script{lab.NoSound(), lab.Talk(2 * time.Second), lab.Bye()},
		})
		if err != nil {
			b.t.Fatal(err)
		}
		time.Sleep(time.Second / time.Duration(n))
	}
	results := map[string]int{}
	for _, p := range callers {
		select {
		case <-p.Ended():
		case <-time.After(time.Minute):
			b.t.Fatalf("the call of %s is not over", p.Number())
		}
		results[b.judge(p)]++
	}
	return results
}

func (b *rush) mood() lab.Script {
	after := ms(b.random, 0, 3000)
	moods := []lab.Script{
		{lab.Ring(0), lab.Answer(after)},
		{lab.Ring(0), lab.Answer(after)},
		{lab.Reject(486, "Busy Here")},
		{lab.Ring(0), lab.Wait(after), lab.Reject(603, "Decline")},
		{lab.Ring(0)},
		{lab.Ring(0)},
		{lab.Ring(0), lab.AnswerOnCancel()},
	}
	return moods[b.random.IntN(len(moods))]
}

// judge compares what is stored of a call with what its people saw, and
// returns its result.
func (b *rush) judge(caller *lab.Party) string {
	b.t.Helper()
	var c api.Call
	eventually(b.t, 20*time.Second, "the call of "+caller.Number()+" is stored and over", func() bool {
		list, err := b.Calls(within(b.t, 10*time.Second), map[string]string{"number": caller.Number()})
		if err != nil || len(list.Calls) > 1 {
			b.t.Fatalf("%d calls of %s are stored (%v)", len(list.Calls), caller.Number(), err)
		}
		if len(list.Calls) == 1 {
			c = list.Calls[0]
		}
		return c.State == string(store.StateEnded)
	})
	c = b.ended(c.ID, time.Second)
	want, talked, busy := store.ResultMissed, "", true
	for _, ext := range b.managers {
		for _, p := range b.phones.Calls(ext) {
			if p.From() != caller.Number() {
				continue
			}
			refused, _ := p.Event(lab.Refused)
			busy = busy && refused.Status == 486
			acked, up := p.Event(lab.Acked)
			bye, over := p.Event(lab.ByeReceived)
			if up && over && bye.At.Sub(acked.At) > time.Second { // who was too late got BYE at once
				talked += ext
			}
		}
	}
	_, answered := caller.Event(lab.Answered)
	switch {
	case answered:
		want = store.ResultCompleted
	case busy:
		want = store.ResultBusy
	}
	who := ""
	if c.Manager != nil {
		who = c.Manager.Extension
	}
	if value(c.Result) != string(want) || who != talked || answered != (c.AnsweredAt != nil) || answered != (talked != "") {
		b.t.Errorf("the call of %s ended with %s, answered by %q at %v; he was answered: %t, by %q",
			caller.Number(), value(c.Result), who, c.AnsweredAt, answered, talked)
	}
	return value(c.Result)
}
