package trace

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"perezvon/internal/store"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestCallsAreTold(t *testing.T) {
	for name, s := range scenes() {
		t.Run(name, func(t *testing.T) {
			got := NewReport(s.t, s.call).Text(time.UTC)
			if name != "talked" { // one shows the messages themselves
				got, _, _ = strings.Cut(got, "\n── 1 ──")
			}
			golden := filepath.Join("testdata", strings.ReplaceAll(name, " ", "-")+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("told otherwise than %s (-want +got):\n%s", golden, diff)
			}
		})
	}
}

// What a stranger writes does not break the report.
func FuzzReport(f *testing.F) {
	for _, s := range scenes() {
		for _, m := range s.t.Messages {
			f.Add(m.Data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := newScene(store.KindCallback)
		for i := range 3 {
			s.t.Messages = append(s.t.Messages, Message{At: s.now, Sent: i == 0, Transport: "udp", Local: ours, Remote: theirs, Size: len(data), Data: data})
		}
		text := NewReport(s.t, s.call).Text(time.UTC)
		if !utf8.ValidString(text) || strings.ContainsAny(text, "\x1b\x00\r") {
			t.Errorf("%q", text)
		}
		Capture(s.t)
	})
}

func TestTwoNumbersThroughOneTrunkHaveTheirOwnColumns(t *testing.T) {
	s := newScene(store.KindInbound)
	caller := s.leg(store.Leg{ID: "a", Role: store.RoleCaller, Trunk: "provider", Number: "+79160000001"})
	mobile := s.leg(store.Leg{ID: "b", Role: store.RoleCallee, Trunk: "provider", Number: "+79160000002"})
	caller.req("<", "INVITE")
	mobile.req(">", "INVITE")
	mobile.res("<", "486 Busy Here", "INVITE")
	caller.res(">", "486 Busy Here", "INVITE")
	r := NewReport(s.end(store.ResultBusy, "486 Busy Here").t, s.call)
	if len(r.Parties) != 2 || r.Parties[0].Name != "provider +79160000001" || r.Parties[1].Name != "provider +79160000002" {
		t.Errorf("parties %+v", r.Parties)
	}
	if text := r.Text(time.UTC); !strings.Contains(text, "+79160000002 through trunk provider answered 486 Busy Here") {
		t.Error(text)
	}
}
