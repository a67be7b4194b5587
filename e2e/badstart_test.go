package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// A server that cannot start says why, and what to do, and ends with status 1.
func TestServeThatCannotStartSaysWhy(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(*testing.T, *server)
		says    []string
	}{
		{"a key that does not exist", func(_ *testing.T, s *server) {
			s.rewrite("data_dir:", "dat_dir:")
		}, []string{"perezvon.yaml:1", "dat_dir", "data_dir"}},
		{"no YAML", func(_ *testing.T, s *server) {
			s.write("lines: [\n\t- nothing")
		}, []string{"perezvon.yaml"}},
		{"several mistakes at once", func(_ *testing.T, s *server) {
			s.rewrite("extension: {number: \"101\"}", "extension: {number: \"110\"}")
			s.rewrite("trunks: [carrier]", "trunks: [carier]")
		}, []string{"110", "carier", "carrier"}},
		{"no configuration", func(t *testing.T, s *server) {
			if err := os.Remove(s.config); err != nil {
				t.Fatal(err)
			}
		}, []string{"perezvon.yaml"}},
		{"SIP port in use", func(t *testing.T, s *server) {
			c, err := net.ListenPacket("udp4", s.sipAddr())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
		}, []string{"sip.listen", "in use"}},
		{"HTTP port in use", func(t *testing.T, s *server) {
			l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", s.http))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
		}, []string{"http.listen", "in use"}},
		{"an address of another machine", func(_ *testing.T, s *server) {
			s.rewrite("udp://127.0.0.1", "udp://192.0.2.77")
		}, []string{"sip.listen", "192.0.2.77"}},
		{"a file where the data folder should be", func(t *testing.T, s *server) {
			if err := os.WriteFile(s.data, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, []string{"data_dir", "not a directory"}},
		{"a data folder that cannot be made", func(_ *testing.T, s *server) {
			s.rewrite(s.data, "/proc/perezvon")
		}, []string{"data_dir", "/proc/perezvon"}},
		{"a database that is none", func(t *testing.T, s *server) {
			if err := os.MkdirAll(s.data, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(s.data, "perezvon.db"), []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, []string{"perezvon.db"}},
		{"a secret that is not set", func(_ *testing.T, s *server) {
			s.rewrite("name: carrier,", "name: carrier, username: a, password: env:NOBODY_HAS_SET_THIS,")
		}, []string{"NOBODY_HAS_SET_THIS"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, setup{trunk: "127.0.0.1:9", manager: "127.0.0.1:9"})
			tt.prepare(t, s)
			s.launch()
			if status := s.exit(10 * time.Second); status != 1 {
				t.Errorf("the exit status is %d, want 1", status)
			}
			wantWords(t, s.out.String(), tt.says...)
		})
	}
}

// rewrite replaces a part of the configuration.
func (s *server) rewrite(from, to string) {
	s.t.Helper()
	config, err := os.ReadFile(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	if !strings.Contains(string(config), from) {
		s.t.Fatalf("%q is not in the configuration", from)
	}
	s.write(strings.Replace(string(config), from, to, 1))
}

// wantWords expects an output for people: with these words, without what only
// programmers read.
func wantWords(t *testing.T, out string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(out, w) {
			t.Errorf("the output does not speak of %s:\n%s", w, out)
		}
	}
	for _, w := range []string{"panic", "goroutine ", "%!", "<nil>"} {
		if strings.Contains(out, w) {
			t.Errorf("the output has %q in it:\n%s", w, out)
		}
	}
	if len(out) > 3000 {
		t.Errorf("the output has %d bytes, nobody reads that:\n%.3000s…", len(out), out)
	}
}

// Wrong usage of the command line has a status of its own.
func TestWrongUsageEndsWithStatus2(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{},
		{"serv"},
		{"serve", "--prot", "8080"},
		{"serve", "--log-level", "loud"},
		{"callback"},
		{"call"},
		{"hangup", "no-id"},
		{"status", "--server", "nonsense://"},
	} {
		p := launch(t, "perezvon", t.TempDir(), os.Environ(), program, args...)
		if status := p.exit(10 * time.Second); status != 2 {
			t.Errorf("perezvon %s ends with status %d, want 2:\n%s", strings.Join(args, " "), status, p.out.String())
		}
		wantWords(t, p.out.String(), "--help")
	}
}

// A client without a server says so.
func TestClientWithoutServer(t *testing.T) {
	t.Parallel()
	server := fmt.Sprintf("http://127.0.0.1:%d", freePort(t))
	p := launch(t, "perezvon status", t.TempDir(), os.Environ(), program, "status", "--server", server)
	if status := p.exit(10 * time.Second); status != 1 {
		t.Errorf("the exit status is %d, want 1", status)
	}
	wantWords(t, p.out.String(), server)
}

// A trunk whose name nobody knows fails its calls, not the server: they wait for
// it without ringing anybody, and say in the end whose trouble it was.
func TestTrunkThatDoesNotResolve(t *testing.T) {
	t.Parallel()
	manager := newPhone(t, 0)
	s := serve(t, setup{trunk: "nowhere.invalid", manager: manager.Addr().String(), callback: ", ttl: 2s"})
	call := s.ended(s.place(api.CallbackBody{Number: "+79160000050"}).ID, 30*time.Second)
	wantResult(t, call, store.ResultTrunkFailed, "503")
	if got := value(call.ReasonOwner); got != string(store.PartyTrunk) {
		t.Errorf("the reason is of %q, want the trunk", got)
	}
	if !strings.Contains(value(call.Reason), "nowhere.invalid") {
		t.Errorf("the reason is %q, want it to name nowhere.invalid", value(call.Reason))
	}
	if n := len(manager.Parties()); n != 0 {
		t.Errorf("the manager was rung %d times in vain", n)
	}
	atRest(t, manager)
	s.clean()
	s.stop()
}

// With all media ports in use a call waits for its turn, and nobody is rung in
// vain.
func TestCallsWaitForMediaPorts(t *testing.T) {
	t.Parallel()
	customers, manager := newCarrier(t), newPhone(t, 0)
	customers.Number("*", append(lab.Customer(0), lab.Talk(2*time.Second), lab.Bye()))
	// One talk needs two pairs.
	s := serve(t, setup{trunk: customers.Addr().String(), manager: manager.Addr().String(), callback: quick, ports: 4})
	first := s.place(api.CallbackBody{Number: "+79160000060"})
	s.until(first.ID, store.StateTalking, 10*time.Second)
	second := s.ended(s.place(api.CallbackBody{Number: "+79160000061"}).ID, 30*time.Second)
	wantResult(t, second, store.ResultCompleted, "200")
	if len(second.Attempts) != 1 {
		t.Errorf("the second call took %d attempts, want 1", len(second.Attempts))
	}
	wantResult(t, s.ended(first.ID, 20*time.Second), store.ResultCompleted, "200")
	s.clean()
	third := s.ended(s.place(api.CallbackBody{Number: "+79160000062"}).ID, 20*time.Second)
	wantResult(t, third, store.ResultCompleted, "200")
	atRest(t, customers, manager)
	s.clean()
	s.stop()
}

// Without a speech engine the server says what to install, and callbacks run
// all the same: the manager hears beeps instead of the text.
func TestWithoutSpeechEngine(t *testing.T) {
	t.Parallel()
	customers, manager := newCarrier(t), newPhone(t, 0)
	const number = "+79160000070"
	customers.Number(number, append(lab.Customer(0), lab.Talk(2*time.Second), lab.Bye()))
	s := serve(t, setup{
		trunk: customers.Addr().String(), manager: manager.Addr().String(), env: []string{"PATH=" + t.TempDir()},
	})
	wantWords(t, s.out.String(), "espeak-ng", "install")
	call := s.ended(s.place(api.CallbackBody{Number: number, Text: announcement}).ID, 30*time.Second)
	wantResult(t, call, store.ResultCompleted, "200")
	atRest(t, customers, manager)

	heard := manager.Calls(managerPort)[0]
	answered, _ := heard.Event(lab.Answered)
	customer, ok := heard.FirstHeard(lab.CustomerTone)
	if !ok {
		t.Fatal("the manager did not hear the customer")
	}
	if d := heard.HeardSpeech(time.Time{}, time.Time{}); d > 0 {
		t.Errorf("the manager heard speech for %s, there was no engine", d)
	}
	if heard.Silent(answered.At, customer) {
		t.Error("the manager heard nothing before the customer, want beeps")
	}
	if d := heard.HeardFor(lab.CustomerTone); d < 1500*time.Millisecond {
		t.Errorf("the manager heard the customer for %s, want 1.5 s", d)
	}
	s.clean()
	s.stop()
}
