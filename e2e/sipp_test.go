package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// sipp is SIPp with one scenario of testdata, for one call. It speaks SIP of
// its own and ends with a status other than 0 when what comes is not what the
// scenario expects.
type sipp struct {
	*process
	addr string
	errs string // file with what it complains about
}

// newSIPp starts a scenario. With a target it calls there, else it waits to be
// called. Keys are names and values: what a scenario says of [rings], [answer]
// and the like.
func newSIPp(t *testing.T, scenario, target string, keys ...string) *sipp {
	t.Helper()
	need(t, "sipp")
	port, media := freePort(t), freePorts(t, 8)
	dir := t.TempDir()
	xml := filepath.Join(dir, "scenario.xml")
	fillIn(t, filepath.Join("testdata", scenario+".xml"), xml, keys)
	s := &sipp{addr: fmt.Sprintf("127.0.0.1:%d", port), errs: filepath.Join(dir, "errors")}
	args := []string{
		"-sf", xml, "-i", "127.0.0.1", "-p", fmt.Sprint(port), "-mi", "127.0.0.1", "-mp", fmt.Sprint(media),
		"-m", "1", "-nostdin", "-timeout", "60s", "-timeout_error", "-deadcall_wait", "0",
		"-au", account, "-ap", trunkPassword, "-trace_err", "-error_file", s.errs, "-trace_msg", "-message_file", filepath.Join(dir, "messages"),
	}
	if target != "" {
		args = append(args, target)
	}
	s.process = launch(t, "sipp "+scenario, dir, os.Environ(), "sipp", args...)
	t.Cleanup(func() {
		if t.Failed() {
			messages, _ := os.ReadFile(filepath.Join(dir, "messages"))
			t.Logf("SIP of %s:\n%s", scenario, tail(string(messages), 250))
		}
	})
	if target == "" {
		eventually(t, 10*time.Second, scenario+" listens", func() bool { return bound(t, port) })
	}
	return s
}

// fillIn copies a scenario with its keys replaced. SIPp's own ones stand in
// messages alone, these do in times and statuses, too.
func fillIn(t *testing.T, from, to string, keys []string) {
	t.Helper()
	scenario, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	pairs := slices.Clone(keys)
	for i := 0; i < len(pairs); i += 2 {
		pairs[i] = "[" + pairs[i] + "]"
	}
	if err := os.WriteFile(to, []byte(strings.NewReplacer(pairs...).Replace(string(scenario))), 0o600); err != nil {
		t.Fatal(err)
	}
}

// passed waits until the scenario has come to its end and expects that
// everything went as written there.
func (s *sipp) passed(t *testing.T, limit time.Duration) {
	t.Helper()
	if status := s.exit(limit); status != 0 {
		complaints, _ := os.ReadFile(s.errs)
		t.Errorf("%s ended with status %d:\n%s", s.name, status, complaints)
	}
}
