package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"perezvon/configs"
	"perezvon/internal/api"
	"perezvon/internal/call"
	"perezvon/internal/lab"
	"perezvon/internal/sounds"
	"perezvon/internal/store"
	"perezvon/tts"
)

// TestClientCommands runs the commands that talk to a server against the real
// API with a call service that plays scenes: the number says which.
func TestClientCommands(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/client",
		Setup: func(env *testscript.Env) error {
			actors := newActors()
			open, err := actors.serve(nil)
			if err != nil {
				return err
			}
			keyed, err := actors.serve([]configs.APIKey{
				{Name: "site", Key: configs.NewSecret("site-key"), Scopes: []string{api.ScopeCallback}},
				{Name: "ops", Key: configs.NewSecret("ops-key"), Scopes: []string{api.ScopeAdmin}},
			})
			if err != nil {
				return err
			}
			env.Defer(open.Close)
			env.Defer(keyed.Close)
			env.Setenv("PEREZVON_SERVER", open.URL)
			env.Setenv("KEYED", keyed.URL)
			env.Setenv("PORT", open.URL[strings.LastIndex(open.URL, ":")+1:])
			env.Values["actors"] = actors
			return provide(env)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// outage takes away what the node does not know alone.
			"outage": func(ts *testscript.TestScript, _ bool, _ []string) {
				actors, ok := ts.Value("actors").(*actors)
				if !ok {
					ts.Fatalf("there are no actors")
				}
				actors.mu.Lock()
				defer actors.mu.Unlock()
				actors.away = true
			},
			// await waits until a call is talking and has been looked at.
			"await": func(ts *testscript.TestScript, _ bool, _ []string) {
				actors, ok := ts.Value("actors").(*actors)
				if !ok || !actors.watched() {
					ts.Fatalf("nobody looks at a call that goes on")
				}
			},
		},
	})
}

// provide starts a provider with one account at $PROVIDER.
func provide(env *testscript.Env) error {
	carrier, err := lab.NewCarrier(context.Background(), lab.Config{Signal: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		return err
	}
	env.Defer(func() { _ = carrier.Close() })
	carrier.NewRegistrar(lab.RegistrarOptions{Credentials: lab.Credentials{Username: "100", Password: "right"}})
	env.Setenv("PROVIDER", carrier.Addr().String())
	return nil
}

const (
	numberCompleted = "+74950000001"
	numberBusy      = "+74950000002"
	numberEndless   = "+74950000003"
	numberGroup     = "+74950000004"
)

// actors are a call service whose calls follow a scene, which is over as soon
// as it has begun.
type actors struct {
	api.Controls // nobody uses them

	mu        sync.Mutex
	calls     []store.Call             // guarded by mu; newest first
	scenes    map[string][]store.Event // guarded by mu; by id
	looks     chan struct{}            // somebody looked at a call that goes on
	freed     bool                     // guarded by mu; the ban was lifted
	unblocked bool                     // guarded by mu; the number was
	away      bool                     // guarded by mu; the store that holds the timelines is
}

func (s *actors) Bans() []api.BanState {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.freed {
		return nil
	}
	return []api.BanState{
		{Address: netip.MustParseAddr("203.0.113.5"), Reason: "5 wrong passwords within 1m", Times: 2, Since: time.Now(), Until: time.Now().Add(20 * time.Minute)},
		{Address: netip.MustParseAddr("203.0.113.5"), Extension: "101", Reason: "so", Times: 1, Since: time.Now(), Until: time.Now().Add(10 * time.Minute)},
	}
}

func (s *actors) Unban(ip netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.freed
	s.freed = was || ip == netip.MustParseAddr("203.0.113.5")
	return s.freed && !was
}

func (s *actors) Save(_ context.Context, name string, data []byte) (sounds.Kept, error) {
	if strings.HasPrefix(string(data), "text") {
		return sounds.Kept{}, fmt.Errorf("%w: it is neither a WAV nor an MP3 file", sounds.ErrSound)
	}
	return sounds.Kept{Name: name, Bytes: len(data)}, nil
}

func (s *actors) BlockedNumbers(context.Context, store.BlockFilter) ([]store.Block, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unblocked {
		return nil, "", nil
	}
	return []store.Block{{Number: "+74950000001", Failures: 10, Reason: "486 Busy Here", BlockedAt: time.Now()}}, "", nil
}

func (s *actors) Unblock(ctx context.Context, number, _, _ string) (store.Block, error) {
	list, _, _ := s.BlockedNumbers(ctx, store.BlockFilter{})
	if len(list) == 0 || list[0].Number != number {
		return store.Block{}, store.ErrNotFound
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unblocked = true
	return list[0], nil
}

func newActors() *actors {
	return &actors{scenes: map[string][]store.Event{}, looks: make(chan struct{}, 1)}
}

func (s *actors) serve(keys []configs.APIKey) (*httptest.Server, error) {
	a, err := api.New(api.Options{
		Config: &configs.Config{
			Region: "RU",
			HTTP:   configs.HTTP{Keys: keys},
			Trunks: []configs.Trunk{{Name: "a", Host: "127.0.0.1:9", Transport: "udp", Register: true}, {Name: "b", Host: "192.0.2.1", Transport: "tcp"}, {Name: "c", Host: "192.0.2.2"}},
			Lines: []configs.Line{
				{ID: "main", Number: "+74950000000", Name: "Main office", Trunks: []string{"a", "b"}, Record: true},
				{ID: "night", Number: "+74950000009", Hours: &configs.Hours{Zone: "UTC", Open: []string{"Mon-Sun 00:00-24:00"}, Holidays: []string{"2021-01-01", "2021-01-02"}}},
				{ID: "once", Number: "+74950000008", Hours: &configs.Hours{Zone: "UTC", Open: []string{"Mon 09:00-09:01"}, Holidays: everyMonday()}},
			},
			Extensions: []configs.Extension{{Number: "101", Name: "Anna", Contact: "sip:101@127.0.0.1:5091"}},
			TTS:        configs.TTS{Voice: "irina", Voices: map[string]configs.Voice{"irina": {Engine: "local", Language: "ru"}}},
		},
		Calls: s, Controls: s, Office: s, Records: s, Health: s, Trunks: s, Bans: s, Blocked: s, Sounds: s, Version: "1.2.3",
	})
	if err != nil {
		return nil, err
	}
	return httptest.NewServer(a.Handler()), nil
}

// everyMonday closes the Mondays of the next eight weeks.
func everyMonday() []string {
	var dates []string
	for d := range 56 {
		if t := time.Now().UTC().AddDate(0, 0, d); t.Weekday() == time.Monday {
			dates = append(dates, t.Format(time.DateOnly))
		}
	}
	return dates
}

func (s *actors) Trunks() map[string]api.TrunkState {
	took := 12 * time.Millisecond
	return map[string]api.TrunkState{
		"a": {Known: true, Reason: "the registration is refused with 403 Forbidden; check username and password", Since: time.Now(), Address: "192.0.2.9:5060", Transport: "udp"},
		"b": {Known: true, Up: true, Registered: true, Expires: time.Now().Add(time.Hour), RoundTrip: &took, Since: time.Now(), Address: "192.0.2.1:5060", Transport: "tcp"},
	}
}

func (s *actors) watched() bool {
	select {
	case <-s.looks:
		return true
	case <-time.After(20 * time.Second):
		return false
	}
}

func (s *actors) Callback(_ context.Context, req call.CallbackRequest) (store.Call, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if req.Line != "main" {
		return store.Call{}, false, &call.RefusedError{Status: 422, Code: call.CodeInvalidRequest, Problems: []call.Problem{
			{Field: "line", Detail: `there is no line "` + req.Line + `"; there is "main"`},
			{Field: "number", Detail: "is too short"},
		}}
	}
	id := fmt.Sprintf("%02x99a1b2c3d47e5f8091a2b3c4d5e6f7", len(s.calls)+1)
	c := store.Call{
		ID: id, Kind: store.KindCallback, State: store.StateQueued, Line: req.Line, Number: req.Number,
		CreatedAt: time.Now(), Request: store.Request{Text: req.Text, Mode: req.Mode},
	}
	if req.NotBefore.After(time.Now()) {
		c.State, c.NextAt, c.Request.NotBefore = store.StateScheduled, &req.NotBefore, &req.NotBefore
	}
	s.calls = append([]store.Call{c}, s.calls...)
	s.scenes[id] = scene(c)
	if last := s.scenes[id][len(s.scenes[id])-1]; last.Type == store.EventCallEnded {
		var d eventData
		if err := json.Unmarshal(last.Data, &d); err != nil {
			return c, false, err
		}
		s.end(&s.calls[0], store.Result(d.Result), d.Code)
	}
	return c, false, nil
}

func (s *actors) Dial(ctx context.Context, req call.DialRequest) (store.Call, bool, error) {
	return s.Callback(ctx, call.CallbackRequest{Line: req.Line, Number: req.Number, Text: "rings " + req.Extension})
}

func (s *actors) Infocall(_ context.Context, req call.InfocallRequest) (store.Call, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	c := store.Call{
		ID: fmt.Sprintf("%02x99a1b2c3d47e5f8091a2b3c4d5e6f7", len(s.calls)+1), Kind: store.KindInfocall, State: store.StateEnded,
		Line: req.Line, Number: req.Number, CreatedAt: now, EndedAt: &now, AnsweredAt: &now, RingMS: 2_000,
		Request: store.Request{Text: req.Text, Repeat: req.Repeat}, Result: store.ResultDelivered, Code: "200",
		Info: &store.Info{OK: "Y", Text: "Success (200)", Code: "200", HeardMS: 3_400},
	}
	switch req.Number {
	case numberEndless:
		c.Result, c.Code, c.Info = store.ResultBlocked, "423", &store.Info{OK: "N", Text: "Blocked (423)", Code: "423"}
	case numberBusy:
		c.Result, c.Code, c.Info = store.ResultBusy, "486", &store.Info{OK: "N", Text: "Busy (486)", Code: "486"}
	}
	s.calls = append([]store.Call{c}, s.calls...)
	event := func(n int, typ, data string) store.Event {
		return store.Event{ID: fmt.Sprintf("%04d", n), Type: typ, At: now, CallID: c.ID, Data: json.RawMessage(data)}
	}
	s.scenes[c.ID] = []store.Event{
		event(1, store.EventCallCreated, `{"kind":"infocall"}`),
		event(2, store.EventCallState, `{"state":"playing","attempt":1}`),
		event(3, store.EventCallEnded, `{"result":"`+string(c.Result)+`","code":"`+c.Code+`"}`),
	}
	return c, false, nil
}

func (s *actors) AwaitInfocall(ctx context.Context, id string) (store.Call, error) {
	return s.Call(ctx, id)
}

func (s *actors) DND(string) bool { return false }

func (s *actors) SetDND(context.Context, string, bool) error { return nil }

func scene(c store.Call) []store.Event {
	id, number := c.ID, c.Number
	var events []store.Event
	add := func(typ, data string) {
		events = append(events, store.Event{
			ID: fmt.Sprintf("%04d", len(events)+1), Type: typ, At: time.Now(), CallID: id, Data: json.RawMessage(data),
		})
	}
	add(store.EventCallCreated, `{"kind":"callback","line":"main","number":"`+number+`"}`)
	if c.NextAt != nil {
		add(store.EventCallState, `{"state":"scheduled","next_at":"`+c.NextAt.Format(time.RFC3339)+`","text":"it was ordered for then"}`)
	}
	add(store.EventCallState, `{"state":"ringing_manager","attempt":1}`)
	add(store.EventLegDialling, `{"role":"manager","extension":"101"}`)
	add(store.EventLegRinging, `{"role":"manager","extension":"101"}`)
	add(store.EventLegAnswered, `{"role":"manager","extension":"101"}`)
	add(store.EventCallState, `{"state":"ringing_customer","attempt":1}`)
	switch number {
	case numberEndless:
		add(store.EventCallState, `{"state":"talking","attempt":1}`)
	case numberGroup:
		add(store.EventLegDialling, `{"id":"l2","role":"manager","extension":"102"}`)
		add(store.EventLegDialling, `{"id":"l3","role":"customer","number":"`+number+`","trunk":"a"}`)
		add(store.EventLegEnded, `{"id":"l2","role":"manager","extension":"102","sip_code":487,"reason":"cancelled: Call completed elsewhere"}`)
		for attempt := range 2 {
			add(store.EventCallState, fmt.Sprintf(`{"state":"waiting_retry","attempt":%d}`, attempt+1))
		}
		add(store.EventMediaQuality, `{"leg":"l3","no_audio":true}`)
		add(store.EventMediaQuality, `{"leg":"unknown","no_audio":true}`)
		add(store.EventCallEnded, `{"result":"completed","code":"200"}`)
	case numberBusy:
		add(store.EventLegEnded, `{"role":"customer","number":"`+number+`","trunk":"a","sip_code":486,"reason":"Busy \u001b[31mHere"}`)
		add(store.EventCallEnded, `{"result":"customer_busy","code":"486"}`)
	default:
		add(store.EventCallState, `{"state":"talking","attempt":1}`)
		add("call.tomorrow", `{"why":"a type of tomorrow"}`)
		add(store.EventRecordingReady, `{"file":"2027-01-11/a.wav","duration_ms":61500}`)
		add(store.EventCallEnded, `{"result":"completed","code":"200","hangup_by":"customer"}`)
	}
	return events
}

func (s *actors) find(id string) *store.Call {
	for i := range s.calls {
		if s.calls[i].ID == id {
			return &s.calls[i]
		}
	}
	return nil
}

// end gives a call its result.
func (s *actors) end(c *store.Call, result store.Result, code string) {
	now := time.Now()
	c.State, c.Result, c.Code, c.EndedAt = store.StateEnded, result, code, &now
	c.Manager = &store.Endpoint{Extension: "101", Name: "Anna"}
	c.Legs = []store.Leg{{Role: store.RoleManager, Extension: "101", State: store.LegEnded, Attempt: 1, SIPCode: 200, StartedAt: now, Reason: strings.Repeat("long ", 12) + "words"}}
	if result == store.ResultCompleted {
		c.AnsweredAt, c.TalkMS, c.RingMS, c.HangupBy = &now, 61_500, 4_200, store.PartyCustomer
		c.Recording = &store.Recording{File: "2027-01-11/a.wav", DurationMS: 61_500, Bytes: 984_000}
	}
}

func (s *actors) Cancel(_ context.Context, id, by string) (store.Call, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.find(id)
	if c.State == store.StateEnded {
		return *c, &call.RefusedError{Status: 409, Code: call.CodeAlreadyEnded, Problems: []call.Problem{{Detail: "the call ended with " + string(c.Result)}}}
	}
	s.end(c, store.ResultCancelled, "603-S")
	c.Reason = "cancelled by " + by
	return *c, nil
}

func (s *actors) Call(_ context.Context, id string) (store.Call, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.find(id); c != nil {
		return *c, nil
	}
	return store.Call{}, store.ErrNotFound
}

func (s *actors) Calls(_ context.Context, f store.Filter) ([]store.Call, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []store.Call
	for _, c := range s.calls {
		if f.Number == "" || f.Number == c.Number {
			out = append(out, c)
		}
	}
	return out, "", nil
}

func (s *actors) LastEvent(context.Context) (string, error) { return "9999", nil } // scenes are over
func (s *actors) EventsChanged() <-chan struct{}            { return nil }         // never

func (s *actors) Events(_ context.Context, f store.EventFilter) ([]store.Event, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return nil, "", store.ErrAway
	}
	var out []store.Event
	for _, e := range s.scenes[f.CallID] {
		if e.ID > f.After {
			out = append(out, e)
		}
	}
	if c := s.find(f.CallID); c != nil && c.Number == numberEndless {
		select {
		case s.looks <- struct{}{}:
		default:
		}
	}
	return out, "", nil
}

func (s *actors) Status(context.Context) api.Status {
	return api.Status{
		StartedAt: time.Now().Add(-90 * time.Minute), Open: map[string]int{"talking": 2, "queued": 1, "scheduled": 1, "waiting_retry": 4},
		Ended: map[string]int{"completed": 7}, Ports: api.Ports{InUse: 4, Total: 1000},
		Speech: speechEngines([]tts.EngineState{
			{Name: "cloud", Voices: 1, Since: time.Now(), Until: time.Now().Add(time.Minute), LastError: "401 Unauthorized", LastAt: time.Now()},
			{Name: "near", Voices: 2, LastError: "cut off", LastAt: time.Now()},
			{Name: "local", Voices: 48},
		}),
	}
}

func (s *actors) Degraded(context.Context) []api.Reason { return nil }

func (s *actors) Unready(context.Context) []api.Reason {
	return []api.Reason{{Part: "trunk a", Detail: "does not answer"}}
}

func (s *actors) Draining() (time.Duration, bool) { return 0, false }

func TestConsoleRewritesTheLiveLineOnATerminalOnly(t *testing.T) {
	var b strings.Builder
	c := &console{w: &b, terminal: true, colours: true}
	c.progress("one")
	c.progress("two")
	c.line(good, "three \x1b[2J\u202e")
	want := "\x1b[2mone\x1b[0m\r\x1b[K\x1b[2mtwo\x1b[0m\r\x1b[K\x1b[32mthree ?[2J?\x1b[0m\n"
	if b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
	b.Reset()
	c = &console{w: &b}
	c.progress("one")
	c.line(bad, "two")
	if b.String() != "two\n" {
		t.Errorf("%q", b.String())
	}
}

func TestDurationsAreWrittenForPeople(t *testing.T) {
	for ms, want := range map[int64]string{
		0: "0.0 s", 4_250: "4.2 s", 59_999: "59 s", 61_500: "1 min 01 s", 3_600_000: "1 h 00 min", 90_061_000: "25 h 01 min",
	} {
		if got := seconds(ms); got != want {
			t.Errorf("%d ms is %q, want %q", ms, got, want)
		}
	}
}

func TestEveryStateAndResultHasWords(t *testing.T) {
	for _, s := range []store.State{
		store.StateQueued, store.StateScheduled, store.StateRendering, store.StateWaitingRetry, store.StateRingingManager,
		store.StateAnnouncing, store.StateRingingCustomer, store.StateRinging, store.StateTalking, store.StateEnded, "new_state", "",
	} {
		if w := stateWords(string(s)); strings.Contains(w, "_") {
			t.Errorf("state %s: %q", s, w)
		}
	}
	if got := resultWords("new_result"); got != "new result" {
		t.Errorf("%q", got)
	}
	if got := sentence(resultWords("trunk_failed")); got != "The provider could not place the call." {
		t.Errorf("%q", got)
	}
}
