package e2e

import (
	"bytes"
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the store's driver

	"perezvon/internal/api"
	"perezvon/internal/client"
	"perezvon/internal/lab"
	"perezvon/internal/store"
	"perezvon/internal/trace"
)

// traceOf returns the trace of a call that has one.
func (s *server) traceOf(id string) api.Trace {
	s.t.Helper()
	tr, err := s.Trace(within(s.t, 10*time.Second), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return tr
}

// tshark reads a capture of a call as Wireshark does. Each line has the fields
// that are asked for, separated by a bar.
func (s *server) tshark(id string, fields ...string) []string {
	s.t.Helper()
	need(s.t, "tshark")
	data, err := s.TraceFile(within(s.t, 10*time.Second), id, client.TracePcap)
	if err != nil {
		s.t.Fatal(err)
	}
	file := filepath.Join(s.t.TempDir(), "call.pcap")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		s.t.Fatal(err)
	}
	args := []string{"-r", file, "-T", "fields", "-E", "separator=|", "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"}
	args = append(args, "-d", "udp.port==1-65535,sip") // a port by chance may be another protocol's
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	var complaints bytes.Buffer
	cmd := exec.CommandContext(within(s.t, time.Minute), "tshark", args...)
	cmd.Stderr = &complaints
	cmd.Env = append(os.Environ(), "HOME="+s.t.TempDir()) // it wants a place for its settings
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("tshark: %v\n%s", err, complaints.String())
	}
	return strings.Split(strings.TrimRight(string(out), "\n"), "\n")
}

// summaries are the messages as the API tells them: an arrow that shows who
// sent it, and what it is.
func summaries(tr api.Trace) (all []string) {
	for _, m := range tr.Messages {
		arrow := "<"
		if m.Sent {
			arrow = ">"
		}
		all = append(all, arrow+tr.Parties[m.Party].Name+" "+m.Summary)
	}
	return all
}

// A call through a provider that wants a password: everything is told, the
// capture is one that Wireshark reads, and nothing in either is secret.
func TestTraceOfACall(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			network, manager := newCarrier(t), newPhone(t, 200*time.Millisecond)
			k := newKamailio(t, network.Addr(), habits{digest: "MD5"})
			s := serve(t, setup{
				trunk: k.addr().String(), manager: manager.Addr().String(), callback: quick,
				trunkMore: ", transport: " + transport + ", register: true, options: 5s, username: " + account + ", password: \"" + trunkPassword + "\"",
			})
			s.awaitTrunk("up")
			const number = "+79160000050"
			network.Number(number, append(lab.Customer(300*time.Millisecond), lab.Talk(time.Second), lab.Press("5", 0), lab.Talk(time.Second), lab.Bye()))
			call := s.ended(s.place(api.CallbackBody{Number: number}).ID, 20*time.Second)
			wantResult(t, call, store.ResultCompleted, "200")
			atRest(t, network, manager)

			tr := s.traceOf(call.ID)
			got := summaries(tr)
			for _, want := range []string{
				">101 INVITE (SDP)", "<101 200 OK (SDP)", ">carrier INVITE (SDP)", "<carrier 407 Proxy Authentication Required",
				"<carrier 200 OK (SDP)", ">carrier ACK", "<carrier BYE", ">carrier 200 OK to BYE", ">101 BYE", "<101 200 OK to BYE",
			} {
				if !slices.Contains(got, want) {
					t.Errorf("%q is not among %q", want, got)
				}
			}
			kinds := map[string]int{}
			for _, m := range tr.Milestones {
				kinds[m.Kind]++
			}
			if kinds[trace.KindAgreed] < 2 || kinds[trace.KindLocked] < 2 || kinds[trace.KindFirstOut] < 2 || kinds[trace.KindDigit] != 1 || kinds[trace.KindSilence] != 0 {
				t.Errorf("milestones %v", kinds)
			}
			for _, l := range tr.Story {
				if l.Kind != trace.Fact {
					t.Errorf("a call in which all went well has a %s: %s", l.Kind, l.Text)
				}
			}
			wantNoSecrets(t, s, call.ID, tr)
			wantCapture(t, s, call.ID, tr)
			s.clean()
			s.stop()
		})
	}
}

// wantCapture checks that a capture of a call has its messages as Wireshark reads
// them: whole, between the right addresses.
func wantCapture(t *testing.T, s *server, id string, tr api.Trace) {
	t.Helper()
	lines := s.tshark(id, "sip.Method", "sip.Status-Code", "sip.Call-ID", "sdp.media", "ip.dst", "udp.dstport", "_ws.malformed", "ip.checksum.status", "udp.checksum.status")
	if len(lines) != len(tr.Messages) {
		t.Fatalf("tshark reads %d packets, there are %d messages:\n%s", len(lines), len(tr.Messages), strings.Join(lines, "\n"))
	}
	for i, line := range lines {
		f, m := strings.Split(line, "|"), tr.Messages[i]
		status, _, _ := strings.Cut(m.Summary, " ")
		if f[0] == "" && f[1] != status || f[0] != "" && !strings.HasPrefix(m.Summary, f[0]) || f[2] != m.SIPCallID {
			t.Errorf("packet %d is %q, want %s of %s", i+1, line, m.Summary, m.SIPCallID)
		}
		if sdp := strings.Contains(m.Summary, "(SDP)"); sdp != strings.Contains(f[3], "audio") {
			t.Errorf("packet %d: session description %q of %s", i+1, f[3], m.Summary)
		}
		to := m.Local
		if m.Sent {
			to = m.Remote
		}
		if f[4]+":"+f[5] != to || f[6] != "" || f[7] != "1" || f[8] != "1" { // 1: the checksum is good
			t.Errorf("packet %d: %q, want one to %s", i+1, line, to)
		}
	}
}

// wantNoSecrets looks for the password, and what is made of it, in everything
// that is told and stored of a call.
func wantNoSecrets(t *testing.T, s *server, id string, tr api.Trace) {
	t.Helper()
	text, err := s.TraceFile(within(t, 10*time.Second), id, client.TraceText)
	if err != nil {
		t.Fatal(err)
	}
	told := string(text)
	for _, m := range tr.Messages {
		told += m.Text
	}
	if !strings.Contains(told, "Proxy-Authorization: Digest username=\""+account+"\"") {
		t.Errorf("credentials are not told at all:\n%s", text)
	}
	for _, secret := range []string{trunkPassword, "response=", "nonce="} {
		if strings.Contains(told, secret) {
			t.Errorf("%s is in the trace", secret)
		}
	}
}

// What the provider answered is told in words, and by the command line, too.
func TestExplainSaysWhyACallFailed(t *testing.T) {
	t.Parallel()
	network, manager := newCarrier(t), newPhone(t, 0)
	s := serve(t, setup{trunk: network.Addr().String(), manager: manager.Addr().String(), callback: quick})
	const number = "+79160000051"
	network.Number(number, lab.Script{lab.Reject(403, "Forbidden")})
	call := s.ended(s.place(api.CallbackBody{Number: number}).ID, 20*time.Second)

	pcap, text := filepath.Join(s.dir, "a.pcap"), filepath.Join(s.dir, "a.txt")
	cmd := exec.CommandContext(within(t, 20*time.Second), program, "call", call.ID, "--server", s.url(""), "--explain", "--pcap", pcap, "--text", text)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"✗ Trunk carrier answered 403 Forbidden to our INVITE: the provider knows us and does not let us call.",
		"→ Ask the provider:", "403 Forbidden ─", "Result     the provider could not place the call",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not told:\n%s", want, out)
		}
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
	for _, file := range []string{pcap, text} {
		if info, err := os.Stat(file); err != nil || info.Size() < 1000 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
	s.stop()
}

// storesTrace waits until the trace of a call that is over is in the store.
func (s *server) storesTrace(id string) {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.data, "perezvon.db")+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	eventually(s.t, 20*time.Second, "the trace of call "+id+" is stored", func() bool {
		var parts int
		if err := db.QueryRowContext(s.t.Context(), "SELECT count(*) FROM traces WHERE call_id = ?", id).Scan(&parts); err != nil {
			s.t.Fatal(err)
		}
		return parts > 0
	})
}

// A crash loses the trace of the calls in progress; of what was done about them
// there is a trace, and those that were over are kept.
func TestTracesAfterACrash(t *testing.T) {
	t.Parallel()
	network, manager := newCarrier(t), newPhone(t, 0)
	s := serve(t, setup{trunk: network.Addr().String(), manager: manager.Addr().String(), callback: quick})
	const whole, broken = "+79160000052", "+79160000053"
	network.Number(whole, lab.Script{lab.Reject(486, "Busy Here")})
	network.Number(broken, lab.Customer(0))
	over := s.ended(s.place(api.CallbackBody{Number: whole}).ID, 20*time.Second)
	talking := s.until(s.place(api.CallbackBody{Number: broken}).ID, store.StateTalking, 20*time.Second)
	before := s.traceOf(over.ID)
	if during := s.traceOf(talking.ID); len(during.Messages) < 8 {
		t.Errorf("during the call: %q", summaries(during))
	}
	s.storesTrace(over.ID)
	s.kill()
	s.start()
	s.ended(talking.ID, 30*time.Second)
	if after := s.traceOf(over.ID); !slices.Equal(summaries(after), summaries(before)) {
		t.Errorf("of the call that was over: %q, before the crash %q", summaries(after), summaries(before))
	}
	after := s.traceOf(talking.ID)
	if got := summaries(after); !slices.Contains(got, ">101 BYE") || !slices.Contains(got, ">carrier BYE") || slices.Contains(got, ">101 INVITE (SDP)") {
		t.Errorf("of the call that was interrupted: %q", got)
	}
	if len(after.Story) == 0 || !strings.Contains(after.Story[0].Text, "interrupted") {
		t.Errorf("%+v", after.Story)
	}
	atRest(t, network, manager)
	s.stop()
}
