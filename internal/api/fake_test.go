package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/call"
	"perezvon/internal/store"
)

// fakeCalls records what it was asked and answers what it was told to.
type fakeCalls struct {
	mu        sync.Mutex
	asked     []call.CallbackRequest
	dialled   []call.DialRequest
	informed  []call.InfocallRequest
	acted     []string        // what was done to calls in progress
	quiet     map[string]bool // extensions that are not to be disturbed
	cancelled []string
	by        string

	answer    store.Call
	done      store.Call // what AwaitInfocall returns; without an id, answer
	duplicate bool
	err       error
	boom      bool
	slow      chan struct{} // controls take until it is closed; nil: no time
	problems  []call.Problem
}

func (f *fakeCalls) Callback(ctx context.Context, req call.CallbackRequest) (store.Call, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.boom {
		panic("boom")
	}
	if ctx.Err() != nil {
		return store.Call{}, false, ctx.Err()
	}
	f.asked = append(f.asked, req)
	return f.answer, f.duplicate, f.err
}

func (f *fakeCalls) Cancel(_ context.Context, id, by string) (store.Call, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cancelled, f.by = append(f.cancelled, id), by
	return f.answer, f.err
}

func (f *fakeCalls) Dial(_ context.Context, req call.DialRequest) (store.Call, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dialled = append(f.dialled, req)
	return f.answer, f.duplicate, f.err
}

func (f *fakeCalls) Infocall(_ context.Context, req call.InfocallRequest) (store.Call, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.informed = append(f.informed, req)
	return f.answer, f.duplicate, f.err
}

func (f *fakeCalls) AwaitInfocall(ctx context.Context, id string) (store.Call, error) {
	if f.slow != nil {
		select {
		case <-f.slow:
		case <-ctx.Done():
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.acted = append(f.acted, "await "+id)
	if f.done.ID != "" {
		return f.done, f.err
	}
	return f.answer, f.err
}

func (f *fakeCalls) act(words ...string) (store.Call, error) {
	f.mu.Lock()
	f.acted = append(f.acted, strings.Join(words, " "))
	slow := f.slow
	f.mu.Unlock()
	if slow != nil {
		<-slow
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.answer, f.err
}

func (f *fakeCalls) Hold(_ context.Context, id, by string) (store.Call, error) {
	return f.act("hold", id, by)
}

func (f *fakeCalls) Resume(_ context.Context, id string) (store.Call, error) {
	return f.act("resume", id)
}

func (f *fakeCalls) Press(_ context.Context, id, keys, to string) (store.Call, error) {
	return f.act("press", id, keys, to)
}

func (f *fakeCalls) Say(_ context.Context, id, text, voice, to string) (store.Call, error) {
	return f.act("say", id, text, voice, to)
}

func (f *fakeCalls) Transfer(_ context.Context, id, number string, by call.Asker) (store.Call, error) {
	return f.act(append([]string{"transfer", id, number, by.Name}, by.Lines...)...)
}

func (f *fakeCalls) DND(extension string) bool { return f.quiet[extension] }

func (f *fakeCalls) SetDND(_ context.Context, extension string, on bool) error {
	if f.quiet == nil {
		f.quiet = map[string]bool{}
	}
	f.quiet[extension] = on
	return f.err
}

func (f *fakeCalls) Check(context.Context, call.CallbackRequest) []call.Problem { return f.problems }

// fakeRecords keeps calls in a slice, newest first. A cursor is an index.
type fakeRecords struct {
	calls  []store.Call
	events []store.Event
	asked  store.Filter
	err    error
}

func (f *fakeRecords) Call(_ context.Context, id string) (store.Call, error) {
	if f.err != nil {
		return store.Call{}, f.err
	}
	for _, c := range f.calls {
		if c.ID == id {
			return c, nil
		}
	}
	return store.Call{}, fmt.Errorf("read call: %w", store.ErrNotFound)
}

func (f *fakeRecords) Calls(_ context.Context, q store.Filter) ([]store.Call, string, error) {
	f.asked = q
	if f.err != nil {
		return nil, "", f.err
	}
	var matching []store.Call
	for _, c := range f.calls {
		if q.Line == "" || q.Line == c.Line {
			matching = append(matching, c)
		}
	}
	start := 0
	if q.Cursor != "" {
		n, err := strconv.Atoi(q.Cursor)
		if err != nil {
			return nil, "", store.ErrBadCursor
		}
		start = n
	}
	end := min(start+q.Limit, len(matching))
	next := ""
	if end < len(matching) {
		next = strconv.Itoa(end)
	}
	return matching[start:end], next, nil
}

func (f *fakeRecords) Events(_ context.Context, q store.EventFilter) ([]store.Event, string, error) {
	if q.After == "bad" {
		return nil, "", store.ErrBadCursor
	}
	var out []store.Event
	for _, e := range f.events {
		if (q.CallID == "" || e.CallID == q.CallID) && e.ID > q.After {
			out = append(out, e)
		}
	}
	if len(out) > q.Limit {
		return out[:q.Limit], out[q.Limit-1].ID, nil
	}
	return out, "", f.err
}

func (f *fakeRecords) LastEvent(context.Context) (string, error) {
	if len(f.events) == 0 {
		return "0", f.err
	}
	return f.events[len(f.events)-1].ID, f.err
}

func (f *fakeRecords) EventsChanged() <-chan struct{} { return make(chan struct{}) } // they never do

type fakeHealth struct {
	reasons  []Reason
	degraded []Reason
	draining bool
	ended    int // calls that are over and not gone yet
}

func (f *fakeHealth) Status(context.Context) Status {
	open := map[string]int{"talking": 2}
	if f.ended > 0 {
		open["ended"] = f.ended
	}
	return Status{
		StartedAt: time.Date(2027, 1, 11, 6, 0, 0, 0, time.UTC),
		Open:      open, Ended: map[string]int{"completed": 5}, Ports: Ports{4, 100},
	}
}
func (f *fakeHealth) Unready(context.Context) []Reason  { return f.reasons }
func (f *fakeHealth) Degraded(context.Context) []Reason { return f.degraded }
func (f *fakeHealth) Draining() (time.Duration, bool)   { return 1500 * time.Millisecond, f.draining }
func testZone() *time.Location                          { return time.FixedZone("", 3*60*60) }
func (f *fakeCalls) last() (req call.CallbackRequest, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.asked) == 0 {
		return call.CallbackRequest{}, 0
	}
	return f.asked[len(f.asked)-1], len(f.asked)
}

// fakeTrunks are the states of trunks by name.
type fakeTrunks map[string]TrunkState

func (f fakeTrunks) Trunks() map[string]TrunkState { return f }

// fakeSpeech speaks a text by writing it down.
type fakeSpeech func(ctx context.Context, text, voice string) ([]byte, error)

func (f fakeSpeech) Speak(ctx context.Context, text, voice string) ([]byte, error) {
	return f(ctx, text, voice)
}

const (
	idMain  = "0199a1b2c3d47e5f8091a2b3c4d5e6f7"
	idOther = "0199a1b2c3d57e5f8091a2b3c4d5e6f8"
)

// fixture is an API with fakes behind it.
type fixture struct {
	*API
	calls   *fakeCalls
	records *fakeRecords
	health  *fakeHealth
}

// keys with every scope; the values are never to be seen in an answer.
func testKeys() []configs.APIKey {
	key := func(name string, lines []string, scopes ...string) configs.APIKey {
		return configs.APIKey{Name: name, Key: configs.NewSecret("sekret-" + name), Scopes: scopes, Lines: lines}
	}
	return []configs.APIKey{
		key("site", nil, ScopeCallback),
		key("phone", nil, ScopeCallback, ScopeCalls),
		key("calls", nil, ScopeCalls),
		key("reader", nil, ScopeRead),
		key("ops", nil, ScopeAdmin),
		key("branch", []string{"main"}, ScopeAdmin),
		key("two", []string{"main", "third"}, ScopeRead),
		key("nothing", nil),
	}
}

func newFixture(t testing.TB, keys []configs.APIKey, change ...func(*Options)) *fixture {
	t.Helper()
	created := time.Date(2027, 1, 11, 6, 30, 0, 123456789, time.UTC)
	f := &fixture{
		calls: &fakeCalls{answer: store.Call{ID: idMain, Kind: store.KindCallback, State: store.StateQueued, Line: "main", Number: "+74950000001", CreatedAt: created}},
		records: &fakeRecords{calls: []store.Call{
			{ID: idOther, Kind: store.KindCallback, State: store.StateTalking, Line: "other", Number: "+74950000002", CreatedAt: created},
			{ID: idMain, Kind: store.KindCallback, State: store.StateEnded, Result: store.ResultCompleted, Code: "200", Line: "main", Number: "+74950000001", CreatedAt: created},
		}},
		health: &fakeHealth{},
	}
	o := Options{
		Config: &configs.Config{
			HTTP:       configs.HTTP{Keys: keys},
			Lines:      []configs.Line{{ID: "main", Name: "Main", Number: "+74950000000", Trunks: []string{"provider"}, Record: true}, {ID: "other", Number: "+74950000009"}},
			Trunks:     []configs.Trunk{{Name: "provider", Host: "sip.example.net", Transport: "udp", Register: true, MaxCalls: 3, Password: configs.NewSecret("sekret-trunk")}, {Name: "spare", Host: "192.0.2.1"}},
			Extensions: []configs.Extension{{Number: "101", Name: "Anna", Contact: "sip:101@127.0.0.1:5091"}},
			TTS:        configs.TTS{Voice: "b", Voices: map[string]configs.Voice{"b": {Engine: "local", Language: "ru", Name: "B"}, "a": {Engine: "local"}}},
		},
		Trunks: fakeTrunks{}, Speech: fakeSpeech(func(_ context.Context, text, voice string) ([]byte, error) {
			return []byte("RIFF " + voice + ": " + text), nil
		}),
		Calls: f.calls, Controls: f.calls, Office: f.calls, Records: f.records, Health: f.health, Recordings: t.TempDir(), Version: "1.2.3", Zone: testZone(),
	}
	for _, c := range change {
		c(&o)
	}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	f.API = a
	return f
}

// answer is a response that has been read.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request as a program on this machine. Options are "Name: value"
// headers.
func (f *fixture) do(t testing.TB, method, target, body string, headers ...string) answer {
	t.Helper()
	return f.from(t, "127.0.0.1:40000", method, target, body, headers...)
}

func (f *fixture) from(t testing.TB, remote, method, target, body string, headers ...string) answer {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req := httptest.NewRequestWithContext(t.Context(), method, target, r)
	req.RemoteAddr, req.Host = remote, "127.0.0.1:8080"
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			req.Host = value
			continue
		}
		req.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	f.Handler().ServeHTTP(w, req)
	a := answer{w.Code, w.Header(), w.Body.String()}
	if strings.Contains(a.body, "sekret") || strings.Contains(fmt.Sprint(a.header), "sekret") {
		t.Errorf("a secret is in the answer: %s", a.body)
	}
	return a
}

func (f *fixture) post(t testing.TB, body string, headers ...string) answer {
	t.Helper()
	return f.do(t, http.MethodPost, "/api/v1/callbacks", body, append(headers, "Content-Type: application/json")...)
}

func decode[T any](t testing.TB, a answer) T {
	t.Helper()
	var v T
	dec := json.NewDecoder(strings.NewReader(a.body))
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("status %d, body %q: %v", a.status, a.body, err)
	}
	return v
}

// wantProblem checks an answer to be a problem and returns it.
func wantProblem(t testing.TB, a answer, status int, code string, fields ...string) Problem {
	t.Helper()
	if ct := a.header.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("status %d has content type %q, want a problem: %s", a.status, ct, a.body)
	}
	p := decode[Problem](t, a)
	if a.status != status || p.Status != status || p.Code != code || p.Detail == "" || p.Title == "" {
		t.Errorf("status %d, problem %+v; want status %d, code %s", a.status, p, status, code)
	}
	var got []string
	for _, e := range p.Errors {
		got = append(got, e.Field)
		if e.Detail == "" {
			t.Errorf("field %s has no detail", e.Field)
		}
	}
	if !slices.Equal(got, fields) {
		t.Errorf("bad fields %q, want %q: %s", got, fields, a.body)
	}
	return p
}

func bearer(name string) string { return "Authorization: Bearer sekret-" + name }
