package selftest

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/api"
	"perezvon/internal/client"
	"perezvon/internal/lab"
)

func TestEveryBranchIsPlayed(t *testing.T) {
	for n := 1; n <= 33; n++ {
		if n == 18 || n == 25 { // nothing tells voicemails, there is no CRM
			continue
		}
		if !slices.Contains(Branches(), strconv.Itoa(n)) {
			t.Errorf("branch %d has no scenario", n)
		}
	}
}

func TestEveryScenarioExpectsAResultOrNoCall(t *testing.T) {
	for _, sc := range scenarios() {
		if !sc.want.has(factResult) && !sc.want.has("call") {
			t.Errorf("%s: %s: expects nothing of the call", sc.branch, sc.what)
		}
		seen := make(map[string]bool)
		for _, f := range sc.want.whole() {
			if seen[f.Name] {
				t.Errorf("%s: %s: expects %q twice", sc.branch, sc.what, f.Name)
			}
			seen[f.Name] = true
		}
	}
}

func TestFactsThatDifferOrAreMissingAreNamed(t *testing.T) {
	want := completed().rung(anna)
	for name, c := range map[string]struct {
		got  Facts
		want string
	}{
		"as expected": {completed().rung(anna), ""},
		"another":     {ended("expired", "304", "us").rung(anna), "result code owner"},
		"missing":     {completed(), "rung"},
		"nothing":     {nil, "result code owner rung"},
	} {
		if got := strings.Join(differing(want, c.got), " "); got != c.want {
			t.Errorf("%s: %q differ, want %q", name, got, c.want)
		}
	}
}

func TestBranchesAreChosenByNameAndByGroup(t *testing.T) {
	for only, want := range map[string]string{"11": "11 11 11", "idle,27": "27 27 idle", "1": "1 1 1", "IN2": "in2"} {
		chosen, err := choose(scenarios(), strings.Split(only, ","))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, sc := range chosen {
			got = append(got, sc.branch)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s chooses %v, want %s", only, got, want)
		}
	}
	if chosen, err := choose(scenarios(), []string{"in"}); err != nil || len(chosen) < 13 {
		t.Errorf("in chooses %d scenarios, %v", len(chosen), err)
	}
	if _, err := choose(scenarios(), []string{"1", "18"}); !errors.Is(err, ErrNoBranch) || !strings.Contains(err.Error(), `"18"`) {
		t.Errorf("branch 18 gave %v", err)
	}
}

func TestFactsAreAnObjectInTheirOrder(t *testing.T) {
	raw, err := json.Marshal(Facts{{"z", `a "b"`}, {"a", "–"}})
	if err != nil || string(raw) != `{"z":"a \"b\"","a":"–"}` {
		t.Errorf("%s, %v", raw, err)
	}
}

// aStage is a scenario whose people call each other without any server: an API
// with the given calls stands in for it.
func aStage(t *testing.T, calls ...api.Call) *stage {
	t.Helper()
	s, err := newStage(t.Context(), &scenario{branch: "1", what: "a test"}, 3, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	stored := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/events") {
			_ = json.NewEncoder(w).Encode(api.EventList{Events: []api.Event{}})
			return
		}
		_ = json.NewEncoder(w).Encode(api.CallList{Calls: calls})
	}))
	t.Cleanup(stored.Close)
	s.house = &house{}
	if s.house.client, err = client.New(stored.URL, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.house.client.Close)
	return s
}

// speak lets Anna call the customer, past any server.
func (s *stage) speak(t *testing.T, tone float64, script lab.Script) *lab.Party {
	t.Helper()
	p, err := s.office.Call(t.Context(), lab.CallOptions{
		To: s.provider.Addr(), User: s.number(customer), From: s.number(anna), Script: append(lab.Script{lab.Tone(tone)}, script...),
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWhoWasRungAndHeardWhomIsMeasured(t *testing.T) {
	for name, c := range map[string]struct {
		tone float64
		long time.Duration
		want string
	}{
		"both speak":                    {pitch(anna, 3), talk, "Anna and customer each other"},
		"Anna is silent":                {0, talk, "Anna hears customer"},
		"somebody of another scenario":  {pitch(boris, 4), talk, "Anna hears customer, customer hears a stranger"},
		"the customer is heard by echo": {pitch(customer, 3), talk, "Anna hears customer, customer hears himself"},
		"too short to count":            {pitch(anna, 3), 600 * time.Millisecond, "briefly"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := aStage(t)
			s.person(customer, answers())
			<-s.speak(t, c.tone, lab.Script{lab.Talk(c.long), lab.Bye()}).Ended()
			if got := s.fact(t.Context(), factHeard); got != c.want && (c.want != "briefly" || !strings.Contains(got, c.want)) {
				t.Errorf("heard: %s, want %s", got, c.want)
			}
			if got := s.fact(t.Context(), factRung); got != "Anna, customer" {
				t.Errorf("rung: %s", got)
			}
			if got := s.fact(t.Context(), factLeft); got != nothing {
				t.Errorf("left over: %s", got)
			}
		})
	}
}

func TestStrangersWhoAreRungAreSeen(t *testing.T) {
	s := aStage(t)
	p, err := s.office.Call(t.Context(), lab.CallOptions{To: s.backup.Addr(), User: "+79990000000", From: s.number(boris)})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Ended()
	if got := s.fact(t.Context(), factRung); got != "Boris, a stranger at +79990000000" {
		t.Errorf("rung: %s", got)
	}
}

func TestWhatIsLeftUpIsSeen(t *testing.T) {
	t.Parallel()
	s := aStage(t, api.Call{ID: strings.Repeat("0", 32), State: "talking"})
	s.person(customer, answers())
	if _, err := s.speak(t, 0, nil).Until(t.Context(), lab.Acked); err != nil {
		t.Fatal(err)
	}
	s.settles = time.Second
	got := s.fact(t.Context(), factLeft)
	for _, want := range []string{"office: 1 dialogs are up", "provider: 1 dialogs are up", "is talking"} {
		if !strings.Contains(got, want) {
			t.Errorf("left over: %s; want %s", got, want)
		}
	}
}

func TestBrokenRulesAreSeen(t *testing.T) {
	s := aStage(t)
	p, err := s.office.Call(t.Context(), lab.CallOptions{
		To: s.provider.Addr(), User: s.number(customer), From: s.number(anna), Headers: []string{"Call-ID: another"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Hangup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.fact(t.Context(), factLeft); !strings.Contains(got, "2 Call-ID headers") {
		t.Errorf("left over: %s; want the violation", got)
	}
}

func TestScenarioThatFailsTellsWhy(t *testing.T) {
	s := aStage(t)
	s.want = completed().rung(anna)
	s.play = func(context.Context, *stage) error { return errors.New("it rained") }
	row := s.perform(t.Context())
	if row.OK || row.Trouble != "it rained" || strings.Join(row.Wrong, " ") != "result code rung" {
		t.Errorf("%+v", row)
	}
	s.play = func(context.Context, *stage) error { return nil }
	s.want = noCall()
	if row = s.perform(t.Context()); !row.OK {
		t.Errorf("%+v", row)
	}
}

func TestServerThatDoesNotStartIsAnError(t *testing.T) {
	_, err := Run(t.Context(), Options{
		Only: []string{"14"}, Log: slog.New(slog.DiscardHandler),
		Start: func(context.Context, *configs.Config, *slog.Logger) (Server, error) {
			return nil, errors.New("no room")
		},
	})
	if err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("got %v", err)
	}
}

// The file of a process that is killed must say what the scenario means.
func TestConfigurationOfAChildIsRightAndWhole(t *testing.T) {
	dir := t.TempDir()
	for i, sc := range restartScenarios() {
		if !sc.child {
			continue
		}
		s, err := newStage(t.Context(), &sc, i, false)
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		h, err := newHouse(t.Context(), &Options{}, dir, s)
		if err != nil {
			t.Fatal(err)
		}
		h.cfg.HTTP.Listen = netip.MustParseAddrPort("127.0.0.1:8080") // as the child is given one
		raw, err := json.Marshal(asFile(h.cfg))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "perezvon.yaml")
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := configs.Load(path, configs.Sources{})
		if err != nil {
			t.Fatalf("%s: %v", sc.what, err)
		}
		if got.Lines[0].Callback.Retry[0] != s.callback.Retry[0] || got.Lines[0].Callback.Attempts != s.callback.Attempts ||
			got.Lines[0].Route[0].Extension.Number != s.number(anna) || got.Trunks[0].Host != s.provider.Addr().String() {
			t.Errorf("%s: %s", sc.what, raw)
		}
	}
}
