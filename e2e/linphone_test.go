package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perezvon/internal/audiotest"
	"perezvon/internal/lab"
	"perezvon/internal/store"
	"perezvon/media/wav"
)

// linphone is a softphone that does what it is told, line by line. It registers
// and sends what a file holds; what it hears nobody keeps, but it
// can pass it on: see TestSoftphoneJoinsTwoCallsByItself.
type linphone struct {
	*process
	in   *os.File // what it shall do
	rung int      // how often it has been called
}

// newLinphone starts the phone of an extension and registers it, over udp or
// tcp. It takes no connections; where it cannot make one it tries again every
// 3 seconds, not every minute as its users have it.
func newLinphone(t *testing.T, s *server, ext, password, transport string) *linphone {
	t.Helper()
	need(t, "linphone-daemon")
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, ".local/share/linphone"), 0o700); err != nil {
		t.Fatal(err)
	}
	settings := fmt.Sprintf("[sip]\nsip_port=%d\nsip_tcp_port=-2\nsip_tls_port=-2\nuse_ipv6=0\nrefresher_retry_after=3000\n[rtp]\naudio_rtp_port=%d\n", freePort(t), freePorts(t, 4))
	rc := filepath.Join(dir, "linphonerc")
	if err := os.WriteFile(rc, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close() })
	l := &linphone{in: in}
	l.process = launchFed(t, out, "linphone "+ext, dir, append(os.Environ(), "HOME="+dir), "linphone-daemon", "--config", rc, "--disable-stats-events")
	_ = out.Close() // it has a copy
	l.do(fmt.Sprintf("register sip:%s@127.0.0.1 sip:%s;transport=%s %s", ext, s.sipAddr(), transport, password))
	s.registered(ext, 1)
	return l
}

// do gives the phone a command.
func (l *linphone) do(command string) {
	l.t.Helper()
	if _, err := fmt.Fprintln(l.in, command); err != nil {
		l.t.Fatalf("%s: %v", l.name, err)
	}
}

// says waits until the phone has told of something, n times in all.
func (l *linphone) says(what string, n int) {
	l.t.Helper()
	eventually(l.t, 15*time.Second, l.name+" says "+what, func() bool { return strings.Count(l.out.String(), what) >= n })
}

// plays sends a tone in a call.
func (l *linphone) plays(t *testing.T, hz float64) {
	t.Helper()
	l.do("incall-player-start " + sound(t, hz))
}

// rings waits until the phone is called once more.
func (l *linphone) rings() {
	l.t.Helper()
	l.rung++
	l.says("LinphoneCallIncomingReceived", l.rung)
}

// sound writes a tone for a phone to send.
func sound(t *testing.T, hz float64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tone.wav")
	if err := os.WriteFile(path, wav.Mono(audiotest.Tone(hz, 30*time.Second), audiotest.Rate), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A call comes in to one softphone, which asks a colleague and joins the two.
func TestSoftphoneTransfersACallAfterAskingAColleague(t *testing.T) {
	t.Parallel()
	const password, colleague, colleagueHz = "secret-of-104x", "105", 1800.0
	customers, colleagues := newCarrier(t), newCarrier(t)
	colleagues.Number(colleague, lab.Script{lab.Tone(colleagueHz), lab.Ring(0), lab.Answer(200 * time.Millisecond)})
	s := serve(t, setup{
		trunk: customers.Addr().String(), trunkMore: ", peers: [127.0.0.1/32]", manager: colleagues.Addr().String(),
		extensions: fmt.Sprintf("  - {number: \"104\", name: Vera, password: %q}\n  - {number: %q, contact: \"sip:%s@%s\"}\n",
			password, colleague, colleague, colleagues.Addr()),
		lines: "  - {id: vera, number: \"+74950000104\", trunks: [carrier], route: [{extension: {number: \"104\"}}]}\n",
	})
	vera := newLinphone(t, s, "104", password, "udp")
	customer, err := customers.Call(within(t, 10*time.Second), lab.CallOptions{
		To: netip.MustParseAddrPort(s.sipAddr()), User: "+74950000104", From: "+79160000042", Script: lab.Script{lab.Tone(customerHz)},
	})
	if err != nil {
		t.Fatal(err)
	}
	vera.rings()
	vera.do("answer 1")
	vera.says("LinphoneCallStreamsRunning", 1)
	vera.do("incall-player-start " + sound(t, managerHz) + " 1")
	eventually(t, 10*time.Second, "the customer hears the softphone", func() bool { return customer.Heard(managerHz, time.Second) })

	vera.do("call-pause 1")
	vera.says("LinphoneCallPaused", 1)
	vera.do("call sip:" + colleague + "@" + s.sipAddr())
	vera.says("LinphoneCallStreamsRunning", 2)
	vera.do("call-transfer 1 2")
	eventually(t, 15*time.Second, "the two hear each other", func() bool {
		asked := colleagues.Calls(colleague)
		return len(asked) == 1 && customer.Heard(colleagueHz, 2*time.Second) && asked[0].Heard(customerHz, 2*time.Second)
	})
	if err := customer.Hangup(within(t, 10*time.Second)); err != nil {
		t.Error(err)
	}
	atRest(t, customers, colleagues)
	s.clean()
	calls := s.inbound()
	if len(calls) != 1 {
		t.Fatalf("%d calls came in, want one", len(calls))
	}
	call := s.ended(calls[0].ID, 10*time.Second)
	wantResult(t, call, store.ResultCompleted, "200")
	if call.Manager == nil || call.Manager.Extension != colleague {
		t.Errorf("at last the customer talked with %+v, want %s", call.Manager, colleague)
	}
	vera.do("quit")
	vera.exit(10 * time.Second)
	s.stop()
}
