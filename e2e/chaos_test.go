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
	"strings"
	"sync"
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// How many callbacks a chaos has without E2E_CHAOS, how fast they come, and
// how often the server is killed meanwhile.
const (
	chaosCalls   = 500
	chaosEvery   = 90 * time.Millisecond
	callsPerKill = 25
)

// chaos is many callbacks between people who do what they like, while the
// server is killed again and again.
type chaos struct {
	*server
	office
	random   *rand.Rand
	wishes   []*wish
	killings int
}

// wish is one callback that a client wants, and what became of it.
type wish struct {
	body              api.CallbackBody
	key               string
	after             time.Duration // from the beginning
	twice             bool          // the client asks a second time at once
	cancel            time.Duration // after the request it is cancelled; 0: never
	customer, manager person

	mu        sync.Mutex
	ids       []string // guarded by mu; one for each answer
	cancelled bool     // guarded by mu; may be
}

// excused are rules that a server cannot keep whose memory was lost: which
// BYE, CANCEL or ACK had gone out, and whether anything had come back.
var excused = []string{
	"second BYE in one dialog", "second BYE to one fork", "is not above", "before any response to its INVITE", "matches no INVITE",
	"BYE before the call was answered", "481 to BYE",
}

func TestEveryAcceptedCallSurvivesChaos(t *testing.T) {
	t.Parallel()
	calls := int(number(t, "E2E_CHAOS", chaosCalls))
	c := newChaos(t, calls, "")
	began := time.Now()
	c.play(func() { c.killAgainAndAgain(calls/callsPerKill, time.Duration(calls)*chaosEvery) })
	c.judge()
	t.Logf("%d callbacks and %d kills took %s", calls, c.killings, time.Since(began).Round(time.Second))
	c.end()
}

// newChaos starts a server for so many callbacks, with the store that is asked
// for.
func newChaos(t *testing.T, calls int, store string) *chaos {
	t.Helper()
	seed := number(t, "E2E_SEED", uint64(time.Now().UnixNano()))
	t.Logf("everything random comes from E2E_SEED=%d", seed)
	c := &chaos{random: rand.New(rand.NewPCG(seed, 0))}
	c.phones, c.outside = newCarrier(t, excused...), newCarrier(t, excused...)
	c.imagine(calls)
	c.server = newServer(t, setup{
		trunk: c.outside.Addr().String(), manager: c.phones.Addr().String(), ports: 1000, store: store,
		extensions: c.extensions.String(), lines: c.lines.String(),
		callback: ", ring: 4s, customer_ring: 4s, confirm: 3s, attempts: 2, retry: [1s], busy_retry: 1s",
	})
	c.start()
	return c
}

// play has the clients ask while something happens.
func (c *chaos) play(meanwhile func()) {
	c.t.Helper()
	var clients sync.WaitGroup
	for _, w := range c.wishes {
		clients.Go(func() { c.client(w) })
	}
	meanwhile()
	clients.Wait()
}

// end expects that nothing is left when it is over.
func (c *chaos) end() {
	c.t.Helper()
	c.atRest()
	c.clean()
	c.stop()
	if !allFree(c.media, 1000) {
		c.t.Error("media ports are in use after the end")
	}
}

// number is a number from the environment.
func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// imagine makes up the people and what is asked for: half of it from lines,
// half from a named manager.
func (c *chaos) imagine(calls int) {
	var lines []string
	for i := range max(calls/4, 4) {
		lines = append(lines, c.line(i, c.random))
	}
	for i := range calls {
		w := &wish{
			key: fmt.Sprintf("chaos-%d", i), after: time.Duration(c.random.Int64N(int64(calls) * int64(chaosEvery))),
			twice: c.random.IntN(10) == 0, customer: meet(c.random, customers),
		}
		w.manager = person{name: "is of the line", results: []store.Result{store.ResultManagerUnavailable}} // some talk, the others decline
		w.body = api.CallbackBody{Line: lines[c.random.IntN(len(lines))], Number: fmt.Sprintf("+7916%07d", i)}
		c.act(c.outside, w.body.Number, w.customer.scripts(c.random))
		if c.random.IntN(3) == 0 {
			w.body.Text = "Заявка."
		}
		if c.random.IntN(2) == 0 {
			w.manager = meet(c.random, managers)
			w.body.Manager = fmt.Sprint(100000 + i)
			scripts := w.manager.scripts(c.random)
			c.phone(w.body.Manager, scripts[0])
			c.act(c.phones, w.body.Manager, scripts)
		}
		if c.random.IntN(16) == 0 {
			w.cancel = ms(c.random, 1, 4000)
		}
		c.wishes = append(c.wishes, w)
	}
}

// act gives a number its scripts, one for each call; the last one stays.
func (c *chaos) act(at *lab.Carrier, number string, scripts []lab.Script) {
	at.Number(number, scripts[0])
	if len(scripts) == 1 {
		return
	}
	go func() { // ends with the carrier at the latest
		for n, s := range scripts[1:] {
			if _, err := at.Wait(context.Background(), number, n+1); err != nil {
				return
			}
			at.Number(number, s)
		}
	}()
}

// killAgainAndAgain kills the server n times in a time and starts it again;
// every fourth time it is killed once more while it starts.
func (c *chaos) killAgainAndAgain(n int, in time.Duration) {
	c.t.Helper()
	moments := make([]time.Duration, n)
	for i := range moments {
		moments[i] = time.Duration(c.random.Int64N(int64(in)))
	}
	slices.Sort(moments)
	began := time.Now()
	for len(moments) > 0 {
		timer := time.NewTimer(moments[0] - time.Since(began))
		select {
		case <-timer.C:
		case <-c.done:
			c.t.Fatalf("perezvon serve ended by itself with status %d", c.cmd.ProcessState.ExitCode())
		}
		moments = moments[1:]
		c.process.kill()
		c.killings++
		if len(moments) > 0 && c.killings%4 == 0 {
			moments = moments[1:]
			c.launch()
			time.Sleep(ms(c.random, 1, 1500)) // any moment of the start is as good as another
			c.process.kill()
			c.killings++
		}
		c.start()
	}
}

// client is a patient one: it asks with a key until it has an answer.
func (c *chaos) client(w *wish) {
	time.Sleep(w.after)
	var asking sync.WaitGroup
	if w.twice {
		asking.Go(func() { c.ask(w) })
	}
	c.ask(w)
	asking.Wait()
	if w.cancel > 0 {
		time.Sleep(w.cancel)
		w.cancelled = true // even without an answer: it may have been lost
		c.send(http.MethodDelete, "/api/v1/calls/"+w.ids[0], "", nil)
	}
}

// ask asks until it is answered, and remembers the call.
func (c *chaos) ask(w *wish) {
	body, err := json.Marshal(w.body)
	if err != nil {
		c.t.Error(err)
		return
	}
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(100 * time.Millisecond) {
		if call, ok := c.send(http.MethodPost, "/api/v1/callbacks", w.key, body); ok {
			w.mu.Lock()
			w.ids = append(w.ids, call.ID)
			w.mu.Unlock()
			return
		}
	}
	c.t.Errorf("the callback to %s was not accepted within a minute", w.body.Number)
}

// send sends one request. What is lost on the way is no mistake.
func (c *chaos) send(method, path, key string, body []byte) (api.Call, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var call api.Call
	req, err := http.NewRequestWithContext(ctx, method, c.url(path), bytes.NewReader(body))
	if err != nil {
		c.t.Error(err)
		return call, false
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return call, false
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		if res.StatusCode != http.StatusServiceUnavailable && method == http.MethodPost {
			c.t.Errorf("%s %s %s was answered with %d", method, path, body, res.StatusCode)
		}
		return call, false
	}
	return call, json.NewDecoder(res.Body).Decode(&call) == nil
}

// judge waits for the end of every call and holds it against what the people
// did.
func (c *chaos) judge() {
	c.t.Helper()
	outcomes := map[string]int{}
	again, attempts := 0, 0
	for _, w := range c.wishes {
		if len(w.ids) == 0 {
			continue // complained about
		}
		if call, ok := c.send(http.MethodPost, "/api/v1/callbacks", w.key, must(c.t, w.body)); !ok || call.ID != w.ids[0] || !call.Duplicate {
			c.t.Errorf("the callback to %s repeated at the end is the call %q (duplicate: %t), it was %s", w.body.Number, call.ID, call.Duplicate, w.ids[0])
		}
		for _, id := range w.ids[1:] {
			if id != w.ids[0] {
				c.t.Errorf("one key for %s gave two calls: %s", w.body.Number, w.ids)
			}
		}
		call := c.ended(w.ids[0], 2*time.Minute)
		outcomes[value(call.Result)]++
		attempts += len(call.Attempts)
		if len(c.outside.Calls(w.body.Number)) > 1 {
			again++
		}
		c.wantResult(w, call)
		c.wantReachedOnce(call)
	}
	total := 0
	for params := map[string]string{"limit": "1000"}; ; {
		page, err := c.Calls(within(c.t, 10*time.Second), params)
		if err != nil {
			c.t.Fatal(err)
		}
		total += len(page.Calls)
		if params["cursor"] = page.Next; page.Next == "" {
			break
		}
	}
	if total != len(c.wishes) {
		c.t.Errorf("there are %d calls, want %d", total, len(c.wishes))
	}
	c.t.Logf("%d callbacks, %d attempts, %d customers were dialled more than once; they ended: %s", len(c.wishes), attempts, again, tally(outcomes))
}

func must(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tally is a count of names, the most common first.
func tally(counts map[string]int) string {
	var names []string
	for name := range counts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return counts[b] - counts[a] })
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %d", name, counts[name])
	}
	return strings.Join(names, ", ")
}

// mostInterrupted is how often a call is tried again after a kill.
const mostInterrupted = 3

// wantResult expects an end that fits the two people. A cancellation fits
// everybody. A kill ends a call only after the customer was dialled, since it
// is not always known whether he has answered, or when it was tried again often
// enough.
func (c *chaos) wantResult(w *wish, call api.Call) {
	c.t.Helper()
	allowed := slices.Concat(w.customer.results, w.manager.results)
	if w.cancelled {
		allowed = append(allowed, store.ResultCancelled)
	}
	if len(c.outside.Calls(call.Number)) > 0 || len(call.Attempts) > mostInterrupted {
		allowed = append(allowed, store.ResultInterrupted)
	}
	if !slices.Contains(allowed, store.Result(value(call.Result))) {
		c.t.Errorf("the callback to %s, who %s, from a manager who %s, ended with %s (%s), want one of %q", call.Number, w.customer.name,
			w.manager.name, value(call.Result), value(call.Reason), allowed)
		c.tell(call)
	}
}

// wantReachedOnce expects that a customer who has answered was not called
// again, and that nobody was called twice at once.
func (c *chaos) wantReachedOnce(call api.Call) {
	c.t.Helper()
	parties := c.outside.Calls(call.Number)
	for i, p := range parties[:max(len(parties)-1, 0)] {
		if _, answered := p.Event(lab.Answered); answered {
			c.t.Errorf("%s answered call %d of %d and was called again", call.Number, i+1, len(parties))
			c.tell(call)
		}
		if _, silent := p.Event(lab.Proceeding); !silent {
			continue // its phone never rang
		}
		next, _ := parties[i+1].Event(lab.Invited)
		select {
		case <-p.Ended():
			if last := p.Timeline(); last[len(last)-1].At.After(next.At) {
				c.t.Errorf("%s was called again before the call %d was over", call.Number, i+1)
				c.tell(call)
			}
		default:
			c.t.Errorf("%s was called again while the call %d was up", call.Number, i+1)
		}
	}
}

// tell prints what is known of a call.
func (c *chaos) tell(call api.Call) {
	for n, p := range c.outside.Calls(call.Number) {
		for _, e := range p.Timeline() {
			c.t.Logf("call %d to %s: %s %s", n+1, call.Number, e.At.Format("15:04:05.000"), e)
		}
	}
	for _, e := range c.events(call.ID) {
		c.t.Logf("%s %s %s", e.At.Format("15:04:05.000"), e.Type, e.Data)
	}
}

// atRest waits until nobody outside or inside rings or talks. Who answered
// nothing knows nothing of the end, so that the carriers never settle.
func (c *chaos) atRest() {
	c.t.Helper()
	for _, l := range []*lab.Carrier{c.phones, c.outside} {
		eventually(c.t, 20*time.Second, "no dialog is up and no phone rings", func() bool { return l.Dialogs() == 0 && l.RingingNow() == 0 })
	}
}
