package sip

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/lab"
)

func TestTrunkCarriesNoMoreCallsThanItMay(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		calls, release := make(chan incoming, 16), make(chan struct{})
		t.Cleanup(func() { close(release) })
		b := testAgent(t, func(c *Config) {
			accepting(calls, release)(c)
			c.Trunks[0].MaxCalls = 2
		})
		d, _ := inbound(t, b, calls, &testMedia{})
		out := b.invite(t.Context(), Invite{})
		ringing := b.carrier.expect("INVITE")
		b.carrier.reply(ringing, "180 Ringing")
		if s := trunkState(t, b.agent, "carrier"); s.Incoming != 1 || s.Outgoing != 1 || s.MaxCalls != 2 || !s.Full() || !s.Up {
			t.Errorf("state: %+v", s)
		}

		f := failure(t, <-b.invite(t.Context(), Invite{}))
		if f.Kind != Full || f.Error() != "trunk carrier takes no further call: all of its 2 calls are in use" {
			t.Errorf("%v (%s)", f, f.Kind)
		}
		b.carrier.send(b.carrier.initial("2", "body:"+testSDP))
		b.carrier.expect("100")
		many := (<-calls).in
		if many.Claim("carrier") {
			t.Error("the trunk took a call too many")
		}
		if err := many.Reject(486, ""); err != nil {
			t.Error(err)
		}
		res := b.carrier.expect("486")
		b.carrier.send(b.carrier.of(res, "ACK", "inv2", 100))
		if s := trunkState(t, b.agent, "carrier"); s.Refused != 2 || s.Incoming != 1 {
			t.Errorf("%d calls were too many, want 2; %d came in", s.Refused, s.Incoming)
		}
		select {
		case <-calls:
			t.Error("a call was handed out twice")
		default:
		}

		b.carrier.reply(ringing, "486 Busy Here")
		b.carrier.expect("ACK")
		if f := failure(t, <-out); f.Status != 486 {
			t.Errorf("%v", f)
		}
		go func() { b.carrier.reply(b.carrier.expect("BYE"), "200 OK") }()
		if err := d.Bye(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait() // the place of a call is given back when whoever handled it is done
		if s := trunkState(t, b.agent, "carrier"); s.Incoming+s.Outgoing != 0 {
			t.Errorf("all calls are over, and the trunk carries %d in and %d out", s.Incoming, s.Outgoing)
		}
		up, _ := b.answered(Invite{})
		go func() { b.carrier.reply(b.carrier.expect("BYE"), "200 OK") }()
		_ = up.Bye(t.Context())
	})
}

func TestCallerWhoGivesUpMakesRoom(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		calls, release := make(chan incoming, 16), make(chan struct{})
		defer close(release)
		b := testAgent(t, func(c *Config) {
			accepting(calls, release)(c)
			c.Trunks[0].MaxCalls = 1
		})
		b.carrier.send(b.carrier.initial("1", "body:"+testSDP))
		b.carrier.expect("100")
		<-calls
		b.carrier.send(b.carrier.cancelOf("1"))
		b.carrier.expect("200")
		res := b.carrier.expect("487")
		b.carrier.send(b.carrier.of(res, "ACK", "inv1", 100))
		time.Sleep(moment)
		if s := trunkState(t, b.agent, "carrier"); s.Incoming != 0 {
			t.Errorf("%d calls after the caller gave up", s.Incoming)
		}
	})
}

func TestNumberDialledTellsWhichTrunkACallCountsOn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		calls, release := make(chan incoming, 16), make(chan struct{})
		t.Cleanup(func() { close(release) })
		b := testAgent(t, func(c *Config) {
			accepting(calls, release)(c)
			c.Trunks = append(c.Trunks, Trunk{
				Name: "second", Host: carrierAddr, MaxCalls: 1, NumberIn: InDiversion, CallerIDIn: InAsserted, Username: "u", Password: "p",
			})
		})
		call := func(id string) *Incoming {
			b.carrier.send(b.carrier.initial(id, "body:"+testSDP, "Diversion: <sip:74952222222@x>", "P-Asserted-Identity: <sip:79161111111@x>"))
			b.carrier.expect("100")
			return (<-calls).in
		}
		in := call("1")
		if !slices.Equal(in.Numbers(), []string{"74950000000", "74952222222"}) || in.Called != "74950000000" || in.From != "+79160000000" {
			t.Errorf("numbers %q, called %s from %s", in.Numbers(), in.Called, in.From)
		}
		for range 2 { // it counts once
			if !in.Claim("second") {
				t.Error("the trunk has room")
			}
		}
		if in.Called != "74952222222" || in.From != "79161111111" {
			t.Errorf("as the second trunk has it: called %s from %s", in.Called, in.From)
		}
		if s := trunkState(t, b.agent, "second"); s.Incoming != 1 {
			t.Errorf("%d calls on the trunk", s.Incoming)
		}
		other := call("2")
		if other.Claim("second") {
			t.Error("one call too many was taken")
		}
		if !other.Claim("carrier") {
			t.Error("the other trunk has no limit")
		}
		for i, c := range []*Incoming{in, other} {
			if err := c.Reject(480, ""); err != nil {
				t.Error(err)
			}
			res := b.carrier.expect("480")
			b.carrier.send(b.carrier.of(res, "ACK", "inv"+string(rune('1'+i)), 100))
		}
	})
}

func TestCallsAreBegunNoFasterThanTheTrunkTakesThem(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, func(c *Config) { c.Trunks[0].CPS = 2 })
		start := time.Now()
		for range 3 {
			b.invite(t.Context(), Invite{Turn: 2 * time.Second})
			synctest.Wait()
		}
		var at []time.Duration
		var requests []message
		for range 3 {
			requests = append(requests, b.carrier.expect("INVITE"))
			at = append(at, time.Since(start).Round(time.Millisecond))
		}
		for _, req := range requests {
			b.carrier.reply(req, "486 Busy Here")
			b.carrier.expect("ACK")
		}
		if !slices.Equal(at, []time.Duration{0, 0, time.Second}) {
			t.Errorf("INVITEs after %v", at)
		}
		b.invite(t.Context(), Invite{}) // the second of this second
		b.carrier.reply(b.carrier.expect("INVITE"), "486 Busy Here")
		b.carrier.expect("ACK")
		if f := failure(t, <-b.invite(t.Context(), Invite{})); f.Kind != Full || !strings.Contains(f.Error(), "more than 2 calls a second") {
			t.Errorf("%v", f)
		}
	})
}

func TestWhoGivesUpDoesNotWaitForTheTurn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, func(c *Config) { c.Trunks[0].CPS = 1 })
		b.invite(t.Context(), Invite{})
		b.carrier.reply(b.carrier.expect("INVITE"), "486 Busy Here")
		b.carrier.expect("ACK")
		ctx, cancel := context.WithCancelCause(t.Context())
		out := b.invite(ctx, Invite{Turn: 2 * time.Second})
		synctest.Wait()
		why := errors.New("the manager hung up")
		cancel(why)
		if f := failure(t, <-out); f.Kind != Cancelled || !errors.Is(f, why) {
			t.Errorf("%v", f)
		}
		b.carrier.silent(3 * time.Second)
		if s := trunkState(t, b.agent, "carrier"); s.Outgoing != 0 {
			t.Errorf("%d calls are counted", s.Outgoing)
		}
	})
}

func TestNoSecondHasMoreCallsThanThePace(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	now := time.Unix(1000, 0)
	for _, pace := range []int{1, 2, 7} {
		l := load{pace: pace}
		var begun []time.Time
		refused := 0
		for range 5000 {
			now = now.Add(time.Duration(random.Int64N(int64(1500 * time.Millisecond / time.Duration(pace)))))
			patience := time.Duration(random.Int64N(2)) * time.Second
			wait, ok := l.turn(now, patience)
			if !ok {
				refused++
				continue
			}
			if wait > patience {
				t.Fatalf("waits %s, patience %s", wait, patience)
			}
			begun = append(begun, now.Add(wait))
		}
		for i := pace; i < len(begun); i++ {
			if gap := begun[i].Sub(begun[i-pace]); gap < time.Second {
				t.Fatalf("pace %d: %d calls within %s", pace, pace+1, gap)
			}
		}
		if _, _, n := l.counts(); refused == 0 || n != uint64(refused) || len(begun) < 1000 {
			t.Errorf("pace %d: %d begun, %d refused, %d counted", pace, len(begun), refused, n)
		}
	}
}

func TestTrunkThatAsksToBeLeftAloneRestsForThatLong(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := asked(t, nil)
		time.Sleep(moment)
		refused := func(retry string) {
			t.Helper()
			header := []string{}
			if retry != "" {
				header = append(header, "Retry-After: "+retry)
			}
			a.carrier.Number("79160000001", lab.Script{lab.Reject(503, "Service Unavailable", header...)})
			f := failure(t, <-a.invite(t.Context(), Invite{Target: Target{Trunk: "provider"}, User: "79160000001"}))
			if f.Status != 503 {
				t.Fatalf("%v", f)
			}
		}
		for _, tt := range []struct {
			retry string
			want  time.Duration
		}{{"120 (maintenance)", 2 * time.Minute}, {"86400", maxRest}, {"5", maxRest}} { // a shorter wish ends no longer one
			refused(tt.retry)
			if left := time.Until(a.state().Rests); left > tt.want || left < tt.want-time.Second {
				t.Errorf("Retry-After %s: rests for %s, want %s", tt.retry, left, tt.want)
			}
		}
		time.Sleep(maxRest - time.Second) // OPTIONS are answered all the while
		if s := a.state(); s.Rests.IsZero() || !s.Up {
			t.Errorf("that it answers OPTIONS does not say that it takes calls: %+v", s)
		}
		time.Sleep(2 * time.Second)
		if s := a.state(); !s.Rests.IsZero() {
			t.Errorf("rests until %s", s.Rests)
		}
		refused("")
		if left := time.Until(a.state().Rests); left > restFor || left < restFor-time.Second {
			t.Errorf("without Retry-After it rests for %s", left)
		}
		time.Sleep(31 * time.Second)
		if s := a.state(); !s.Rests.IsZero() {
			t.Errorf("it did not ask to be left alone and has answered OPTIONS since, and rests until %s", s.Rests)
		}
	})
}
