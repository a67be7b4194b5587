package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/client"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// Redis goes away while two talk. They talk on, others call meanwhile, all of it
// comes to its end, and when Redis is back it has everything.
func TestCallsGoOnWhileRedisIsAway(t *testing.T) {
	tests := []struct {
		name       string
		away, back func(*redisServer)
	}{
		{"killed", func(r *redisServer) { r.kill() }, (*redisServer).start},
		{"stopped in order", func(r *redisServer) {
			r.signal(syscall.SIGTERM)
			r.exit(10 * time.Second)
		}, (*redisServer).start},
		{"frozen", func(r *redisServer) { r.signal(syscall.SIGSTOP) }, func(r *redisServer) { r.signal(syscall.SIGCONT) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const before, during, watched = "+79160000201", "+79160000202", "+79160000203"
			customers, manager, r := newCarrier(t), newPhone(t, 0), newRedis(t)
			customers.Number(before, append(lab.Customer(0), lab.Talk(5*time.Second), lab.Bye()))
			customers.Number("*", shortTalk())
			s := serve(t, setup{trunk: customers.Addr().String(), manager: manager.Addr().String(), store: r.url(), callback: quick})
			told := s.followed()
			long := s.until(s.place(api.CallbackBody{Number: before}).ID, store.StateTalking, 20*time.Second)

			tt.away(r)
			asked := time.Now()
			call := s.place(api.CallbackBody{Number: during})
			if took := time.Since(asked); took > patience*time.Second {
				t.Errorf("the answer took %s", took)
			}
			if call.Durability != "local" {
				t.Errorf("the durability of a call that only this machine has is %q", call.Durability)
			}
			p := launch(t, "perezvon callback", s.dir, s.env, program, "callback", "--server", s.url(""), "--line", line, "--number", watched)
			s.wantDegraded()
			s.until(call.ID, store.StateEnded, 30*time.Second)
			s.until(long.ID, store.StateEnded, 30*time.Second)

			tt.back(r)
			s.carried()
			for _, id := range []string{long.ID, call.ID} {
				wantResult(t, s.ended(id, 30*time.Second), store.ResultCompleted, "200")
			}
			if status := p.exit(30 * time.Second); status != 0 {
				t.Errorf("perezvon callback ended with status %d:\n%s", status, p.out.String())
			}
			s.clean()
			s.carried()
			s.wantAllInRedis()
			told.wantAll(s)
			atRest(t, customers, manager)
			s.stop()
		})
	}
}

// wantDegraded expects that the outage of Redis is told everywhere, and that
// only what Redis alone knows is refused.
func (s *server) wantDegraded() {
	s.t.Helper()
	eventually(s.t, 10*time.Second, "GET /readyz says degraded", func() bool { return strings.Contains(s.get("/readyz"), `"status":"degraded"`) })
	if status := s.status(s.t, "/readyz"); status != http.StatusOK {
		s.t.Errorf("GET /readyz answers %d", status)
	}
	st, err := s.Status(within(s.t, 10*time.Second))
	if err != nil || st.State != "degraded" || st.Store.Engine != "redis" || st.Store.Up || st.Store.Backlog == 0 || st.Store.LastError == "" {
		s.t.Errorf("the status is %+v, %v", st, err)
	}
	if metrics := s.get("/metrics"); !strings.Contains(metrics, "\nperezvon_store_up 0\n") {
		s.t.Error("perezvon_store_up is not 0")
	}
	if page, err := s.Calls(within(s.t, 10*time.Second), nil); err != nil || len(page.Calls) < 2 {
		s.t.Errorf("the list of calls is %+v, %v", page, err)
	}
	if status := s.status(s.t, "/api/v1/events"); status != http.StatusServiceUnavailable {
		s.t.Errorf("GET /api/v1/events answers %d", status)
	}
	p := launch(s.t, "perezvon status", s.dir, s.env, program, "status", "--server", s.url(""))
	if status := p.exit(10 * time.Second); status != 0 {
		s.t.Errorf("perezvon status ended with status %d", status)
	}
	wantWords(s.t, p.out.String(), "degraded", "away for", "changes not there yet", "last error")
}

// carried waits until Redis has everything that this machine has.
func (s *server) carried() {
	s.t.Helper()
	eventually(s.t, 30*time.Second, "everything is in Redis", func() bool {
		st, err := s.Status(within(s.t, 10*time.Second))
		return err == nil && st.State == "ready" && st.Store.Up && st.Store.Backlog == 0
	})
}

// following is what a client has been told that follows all events.
type following struct {
	mu     sync.Mutex
	events []api.Event // guarded by mu
}

// followed follows all events of the server from now on.
func (s *server) followed() *following {
	s.t.Helper()
	f := &following{}
	ctx, stop := context.WithCancel(context.Background())
	ended, connected := make(chan struct{}), make(chan struct{})
	var once sync.Once
	go func() {
		defer close(ended)
		_ = s.Follow(ctx, client.Following{Connected: func() { once.Do(func() { close(connected) }) }}, func(e api.Event) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.events = append(f.events, e)
			return nil
		}) // it ends with ctx
	}()
	s.t.Cleanup(func() {
		stop()
		<-ended
	})
	select {
	case <-connected:
	case <-within(s.t, 20*time.Second).Done():
		s.t.Fatal("the stream of events does not begin")
	}
	return f
}

// byCall are events as texts that can be compared, by their calls.
func byCall(events []api.Event) map[string][]string {
	m := make(map[string][]string)
	for _, e := range events {
		m[e.CallID] = append(m[e.CallID], eventText(e.Type, e.At, e.Data))
	}
	return m
}

func eventText(kind string, at time.Time, data []byte) string {
	return fmt.Sprintf("%s %s %s", at.UTC().Truncate(time.Millisecond).Format("15:04:05.000"), kind, data)
}

// wantAll expects that the stream has told every event of calls once, in order.
func (f *following) wantAll(s *server) {
	s.t.Helper()
	want := byCall(s.allEvents())
	delete(want, "")
	eventually(s.t, 10*time.Second, "the stream has told as many events as there are", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		told := byCall(f.events)
		for id, events := range want {
			if len(told[id]) < len(events) {
				return false
			}
		}
		return true
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	told := byCall(f.events)
	for id, events := range want {
		if got, want := strings.Join(told[id], "\n"), strings.Join(events, "\n"); got != want {
			s.t.Errorf("of call %s the stream has told\n%s\nand there is\n%s", id, got, want)
		}
	}
}

// A server whose data folder is lost takes over what is in Redis: the call that
// was up is ended on the phones and in the record, the office's phone is called
// without registering again, and what is over can be read.
func TestServerWithoutItsDataTakesOverFromRedis(t *testing.T) {
	t.Parallel()
	const up, over = "+79160000211", "+79160000212"
	network, manager, r := newCarrier(t), newPhone(t, 0), newRedis(t)
	network.Number(up, lab.Customer(0))
	network.Number(over, shortTalk())
	o := &desks{network: network}
	o.server = serve(t, setup{
		trunk: network.Addr().String(), manager: manager.Addr().String(), store: r.url(), callback: quick,
		extensions: fmt.Sprintf("  - {number: %q, password: %q}\n", overUDP, secretOf(overUDP)),
		lines:      fmt.Sprintf("  - {id: line-%s, number: %q, trunks: [carrier], route: [{extension: {number: %q}}]}\n", overUDP, lineOf(overUDP), overUDP),
	})
	desk := o.desk(t, overUDP)
	o.registered(overUDP, 1)
	past := o.ended(o.place(api.CallbackBody{Number: over}).ID, 20*time.Second)
	pastEvents := o.events(past.ID)
	talking := o.until(o.place(api.CallbackBody{Number: up}).ID, store.StateTalking, 20*time.Second)
	o.carried()
	o.kill()
	if err := os.RemoveAll(o.data); err != nil {
		t.Fatal(err)
	}
	registered := registrations(desk.baresip)

	o.start() // it waits until the lease of the lost server is over

	call := o.ended(talking.ID, 30*time.Second)
	wantResult(t, call, store.ResultInterrupted, "OTHER")
	atRest(t, network, manager)
	wantSameCall(t, o.call(past.ID), past)
	if got, want := fmt.Sprint(byCall(o.events(past.ID))), fmt.Sprint(byCall(pastEvents)); got != want {
		t.Errorf("the events of the call that was over are\n%s\nthey were\n%s", got, want)
	}
	o.registered(overUDP, 1)
	caller, err := network.Call(within(t, 20*time.Second), lab.CallOptions{
		To: netip.MustParseAddrPort(o.sipAddr()), User: lineOf(overUDP), From: "+79160000213", Script: lab.Script{lab.Talk(time.Second), lab.Bye()},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := caller.Until(within(t, 20*time.Second), lab.Answered); err != nil {
		t.Errorf("the phone of the office was not reached: %v", err)
	}
	<-caller.Ended()
	if n := registrations(desk.baresip); n != registered {
		t.Errorf("the phone has registered %d times more", n-registered)
	}
	o.clean()
	o.stop()
}

// wantSameCall compares what is told of a call now with what was told.
func wantSameCall(t *testing.T, got, want api.Call) {
	t.Helper()
	if g, w := string(must(t, got)), string(must(t, want)); g != w {
		t.Errorf("the call is\n%s\nit was\n%s", g, w)
	}
}

// A Redis that would lose something is refused, with what to change.
func TestServeOnARedisThatIsSetWrongSaysWhatToChange(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(t *testing.T) (url string)
		says    []string
	}{
		{"without an append-only file", func(t *testing.T) string { return newRedis(t, "--appendonly", "no").url() }, []string{"and restart Redis"}},
		{"that forgets when its memory is full", func(t *testing.T) string {
			return newRedis(t, "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru").url()
		}, []string{"CONFIG SET maxmemory-policy noeviction"}},
		{"that is a replica", func(t *testing.T) string {
			return newRedis(t, "--replicaof", fmt.Sprintf("127.0.0.1 %d", newRedis(t).port)).url()
		}, []string{"is a replica of 127.0.0.1:"}},
		{"that wants a password", func(t *testing.T) string { return newRedis(t, "--requirepass", "hunter2").url() }, []string{"asks for a password"}},
		{"that wants another password", func(t *testing.T) string {
			return strings.Replace(newRedis(t, "--requirepass", "hunter2").url(), "//", "//:hunter3@", 1)
		}, []string{"refuses the user or the password"}},
		{"that is not there", func(t *testing.T) string { return fmt.Sprintf("redis://:hunter2@127.0.0.1:%d", freePort(t)) }, []string{"does not answer", "data folder is new"}},
		{"whose name nobody knows", func(*testing.T) string { return "redis://:hunter2@nowhere.invalid" }, []string{"does not answer", "nowhere.invalid"}},
		{"without such a database", func(t *testing.T) string { return newRedis(t).url() + "/99" }, []string{"DB index is out of range"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, setup{trunk: "127.0.0.1:9", manager: "127.0.0.1:9", store: tt.prepare(t)})
			check := launch(t, "perezvon check", s.dir, s.env, program, "--config", s.config, "check", "--online")
			if status := check.exit(30 * time.Second); status != 1 {
				t.Errorf("perezvon check --online ends with status %d, want 1", status)
			}
			s.launch()
			if status := s.exit(30 * time.Second); status != 1 {
				t.Errorf("the exit status is %d, want 1", status)
			}
			for name, out := range map[string]string{"serve": s.out.String(), "check": check.out.String()} {
				says := tt.says
				if name == "check" { // it knows nothing of the data folder
					says = says[len(says)-1:]
					if strings.Contains(says[0], "data folder") {
						says = []string{"connection refused"}
					}
				}
				wantWords(t, out, says...)
				if strings.Contains(out, "hunter") {
					t.Errorf("%s shows a password:\n%s", name, out)
				}
			}
		})
	}
}

// One server at a time uses a Redis. The second one says who the first is, and
// may begin when that has ended.
func TestSecondServerOnOneRedisIsRefused(t *testing.T) {
	t.Parallel()
	r := newRedis(t)
	first := newServer(t, setup{trunk: "127.0.0.1:9", manager: "127.0.0.1:9", store: r.url()})
	check := launch(t, "perezvon check", first.dir, first.env, program, "--config", first.config, "check", "--online")
	if status := check.exit(20 * time.Second); status != 0 {
		t.Errorf("perezvon check --online ends with status %d on a Redis that is as it should be", status)
	}
	wantWords(t, check.out.String(), "store: redis at "+r.addr()+" is Redis 7")
	first.start()
	second := newServer(t, setup{trunk: "127.0.0.1:9", manager: "127.0.0.1:9", store: r.url()})
	second.launch()
	if status := second.exit(20 * time.Second); status != 1 {
		t.Errorf("the exit status of the second server is %d, want 1", status)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	wantWords(t, second.out.String(), "another perezvon uses it", host, fmt.Sprintf("pid %d", first.cmd.Process.Pid))
	first.stop()
	second.start()
	second.stop()
}

// Every branch that has to do with records, starts and ends, on a Redis, of which
// nothing is left but what was in it.
func TestSelftestIsGreenOnRedis(t *testing.T) {
	need(t, "espeak-ng")
	r := newRedis(t)
	r.tell("SET somebodys data")
	p := launch(t, "perezvon selftest", t.TempDir(), os.Environ(), program, "selftest", "--json", "--store", r.url(), "--only", selftestOnRedis)
	wantGreen(t, p, 20)
	for db, want := range map[int]string{0: ":1", 1: ":0", 2: ":0"} {
		if got, err := r.askIn(db, "DBSIZE"); err != nil || got != want {
			t.Errorf("database %d has %s keys, %v; want %s", db, got, err, want)
		}
	}
}

// selftestOnRedis are the branches that have to do with what is stored: they
// admit, wait, are killed, end.
const selftestOnRedis = "1,4,14,19,26,27,28,29,30,33,wait,in2"
