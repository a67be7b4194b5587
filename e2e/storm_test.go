package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// storm is many callbacks to customers of all kinds while the server is killed
// again and again.
type storm struct {
	*server
	manager, customers *lab.Carrier
	random             *rand.Rand
}

const (
	stormCalls = 30
	stormTime  = 12 * time.Second // in which they are placed
	stormKills = 3
)

// kinds are the customers of a storm, in turn, and how their calls may end.
// A call that had been answered when the server died is interrupted.
var kinds = []struct {
	script  lab.Script
	results []store.Result
}{
	{append(lab.Customer(300*time.Millisecond), lab.Talk(1500*time.Millisecond), lab.Bye()), []store.Result{store.ResultCompleted, store.ResultInterrupted}},
	{lab.Script{lab.Ring(0), lab.Wait(200 * time.Millisecond), lab.Reject(486, "Busy Here")}, []store.Result{store.ResultCustomerBusy}},
	{append(lab.Customer(time.Second), lab.Talk(3*time.Second), lab.Bye()), []store.Result{store.ResultCompleted, store.ResultInterrupted}},
	{lab.Script{lab.Ring(0)}, []store.Result{store.ResultCustomerNoAnswer}},
	{append(lab.Customer(0), lab.Talk(500*time.Millisecond), lab.Bye()), []store.Result{store.ResultCompleted, store.ResultInterrupted}},
	{lab.Script{lab.Ring(0), lab.Wait(500 * time.Millisecond), lab.Reject(603, "Decline")}, []store.Result{store.ResultCustomerDeclined}},
}

// A server that is killed again while it ends what the last one left cannot
// know which of its BYEs had gone out, and sends them once more.
var repeatedBye = []string{"second BYE in one dialog", "is not above"}

func stormNumber(i int) string { return fmt.Sprintf("+791600001%02d", i) }

func TestEveryAcceptedCallSurvivesKillsAtRandomMoments(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if again, err := strconv.ParseUint(os.Getenv("E2E_SEED"), 10, 64); err == nil {
		seed = again
	}
	t.Logf("the moments come from E2E_SEED=%d", seed)
	s := &storm{manager: newCarrier(t, repeatedBye...), customers: newCarrier(t, repeatedBye...), random: rand.New(rand.NewPCG(seed, 0))}
	s.manager.Number(managerPort, lab.Manager(200*time.Millisecond))
	for i := range stormCalls {
		s.customers.Number(stormNumber(i), kinds[i%len(kinds)].script)
	}
	s.server = serve(t, setup{trunk: s.customers.Addr().String(), manager: s.manager.Addr().String(), callback: quick, ports: 400})

	var clients sync.WaitGroup
	ids := make([]string, stormCalls)
	for i := range stormCalls {
		after := time.Duration(s.random.Int64N(int64(stormTime)))
		clients.Go(func() { ids[i] = s.ask(i, after) })
	}
	s.killAtRandom()
	clients.Wait()

	for i, id := range ids {
		if id == "" {
			t.Fatalf("the callback to %s was never accepted", stormNumber(i))
		}
		call := s.ended(id, 60*time.Second)
		if want := kinds[i%len(kinds)].results; !slices.Contains(want, store.Result(value(call.Result))) {
			t.Errorf("the callback to %s ended with %s (%s), want one of %q", call.Number, value(call.Result), value(call.Reason), want)
			for n, p := range s.customers.Calls(call.Number) {
				t.Logf("call %d to %s: %v", n+1, call.Number, p.Timeline())
			}
		}
		s.wantReachedOnce(call)
	}
	list, err := s.Calls(within(t, 10*time.Second), map[string]string{"limit": "1000"})
	if err != nil || len(list.Calls) != stormCalls {
		t.Errorf("there are %d calls, want %d: %v", len(list.Calls), stormCalls, err)
	}
	atRest(t, s.manager, s.customers)
	s.clean()
	s.stop()
}

// killAtRandom kills the server and starts it again, several times while the
// callbacks come in.
func (s *storm) killAtRandom() {
	s.t.Helper()
	moments := make([]time.Duration, stormKills)
	for i := range moments {
		moments[i] = time.Second + time.Duration(s.random.Int64N(int64(stormTime+2*time.Second)))
	}
	slices.Sort(moments)
	began := time.Now()
	for _, at := range moments {
		eventually(s.t, 2*stormTime, "the next kill", func() bool { return time.Since(began) >= at })
		s.kill()
		s.t.Logf("killed after %s", time.Since(began).Round(time.Millisecond))
		s.start()
	}
}

// ask asks for a callback as a patient client does: with a key, again and
// again until it has an answer. It returns the call's id.
func (s *storm) ask(i int, after time.Duration) string {
	ctx, cancel := context.WithTimeout(s.t.Context(), after+30*time.Second)
	defer cancel()
	timer := time.NewTimer(after)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ""
		}
		if call, err := s.post(ctx, i); err == nil {
			return call.ID
		}
		timer.Reset(100 * time.Millisecond)
	}
}

func (s *storm) post(ctx context.Context, i int) (api.Call, error) {
	var call api.Call
	body, err := json.Marshal(api.CallbackBody{Line: line, Number: stormNumber(i), Text: announcement})
	if err != nil {
		return call, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url("/api/v1/callbacks"), bytes.NewReader(body))
	if err != nil {
		return call, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", fmt.Sprintf("storm-%d", i))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return call, err
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		return call, fmt.Errorf("status %d", res.StatusCode)
	}
	return call, json.NewDecoder(res.Body).Decode(&call)
}

// wantReachedOnce expects that a customer who has answered was not called
// again.
func (s *storm) wantReachedOnce(c api.Call) {
	s.t.Helper()
	parties := s.customers.Calls(c.Number)
	for i, p := range parties {
		if _, answered := p.Event(lab.Answered); answered && i < len(parties)-1 {
			s.t.Errorf("%s answered call %d of %d and was called again: %v", c.Number, i+1, len(parties), p.Timeline())
		}
	}
}
