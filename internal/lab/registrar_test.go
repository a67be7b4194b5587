package lab_test

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"perezvon/internal/lab"
	"perezvon/internal/memnet"
)

// subscriber is a device that registers by hand.
type subscriber struct {
	*peer
	cseq  int
	nonce string
}

// register sends a REGISTER, with credentials where a nonce was given out.
func (s *subscriber) register(password string, nc int, lines ...string) {
	s.t.Helper()
	s.cseq, s.tag = s.cseq+1, ""
	uri := "sip:10.0.0.2"
	all := []string{"URI: " + uri, "From: <sip:100@10.0.0.2>;tag=me", "To: <sip:100@10.0.0.2>", "Contact: <sip:100@10.0.0.9:5060>", "Expires: 600"}
	if s.nonce != "" {
		count := fmt.Sprintf("%08x", nc)
		response := md5Hex(strings.Join([]string{md5Hex("100:lab:" + password), s.nonce, count, "c", "auth", md5Hex("REGISTER:" + uri)}, ":"))
		all = append(all, fmt.Sprintf(`Authorization: Digest username="100", realm="lab", nonce=%q, uri=%q, qop=auth, nc=%s, cnonce="c", response=%q`, s.nonce, uri, count, response))
	}
	for _, line := range lines {
		name, _, _ := strings.Cut(line, ":")
		all = slices.DeleteFunc(all, func(l string) bool { return strings.HasPrefix(l, name+":") })
		all = append(all, line)
	}
	s.send(s.message("REGISTER", s.cseq, fmt.Sprintf("z9hG4bKr%d", s.cseq), all...))
}

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

// challenged receives a challenge, keeps its nonce, and says whether it is
// called stale.
func (s *subscriber) challenged() (stale bool) {
	s.t.Helper()
	text := s.receive("SIP/2.0 401")
	_, rest, _ := strings.Cut(text, `nonce="`)
	s.nonce, _, _ = strings.Cut(rest, `"`)
	return strings.Contains(text, "stale=true")
}

func inRegistrar(t *testing.T, o lab.RegistrarOptions, f func(w *world, r *lab.Registrar, s *subscriber)) {
	t.Helper()
	inWorld(t, nil, func(w *world) {
		o.Username, o.Password = "100", "secret"
		s := &subscriber{peer: w.peer()}
		f(w, w.b.NewRegistrar(o), s)
		_ = s.conn.Close()
	})
}

func TestRegistrarGrantsAndForgets(t *testing.T) {
	inRegistrar(t, lab.RegistrarOptions{Granted: time.Minute}, func(w *world, r *lab.Registrar, s *subscriber) {
		s.register("secret", 1)
		if s.challenged() {
			t.Error("nothing was stale yet")
		}
		s.register("secret", 1)
		if res := s.receive("SIP/2.0 200"); !strings.Contains(res, "Contact: <sip:100@10.0.0.9:5060>;expires=60") {
			t.Errorf("response:\n%s", res)
		}
		all, err := r.Wait(w.ctx, 1)
		if err != nil || all[0].Contact != "sip:100@10.0.0.9:5060" || all[0].Source.String() != "10.0.0.9:5060" {
			t.Errorf("bindings %v, %v", all, err)
		}
		time.Sleep(time.Minute)
		if all := r.Bindings(); len(all) != 0 {
			t.Errorf("after their time: %v", all)
		}
		s.register("secret", 2)
		s.receive("SIP/2.0 200")
		s.register("secret", 3, "Expires: 0")
		s.receive("SIP/2.0 200")
		if all := r.Bindings(); len(all) != 0 || r.Granted() != 3 || len(r.Requests()) != 4 {
			t.Errorf("bindings %v, %d granted of %d", all, r.Granted(), len(r.Requests()))
		}
		s.register("secret", 4)
		s.receive("SIP/2.0 200")
		r.Restart()
		s.register("secret", 5)
		if stale := s.challenged(); !stale || len(r.Bindings()) != 0 {
			t.Error("after a restart all is forgotten")
		}
		if v := w.b.Violations(); len(v) != 0 {
			t.Errorf("violations: %q", v)
		}
	})
}

func TestRegistrarRefusesWhatItIsToldTo(t *testing.T) {
	inRegistrar(t, lab.RegistrarOptions{Least: time.Hour, NonceUses: 1}, func(_ *world, r *lab.Registrar, s *subscriber) {
		s.register("secret", 1)
		s.challenged()
		s.register("secret", 1)
		if res := s.receive("SIP/2.0 423"); !strings.Contains(res, "Min-Expires: 3600") {
			t.Errorf("response:\n%s", res)
		}
		s.register("secret", 2, "Expires: 3600")
		if !s.challenged() {
			t.Error("the nonce was used up")
		}
		r.Expire()
		s.register("secret", 1, "Expires: 3600")
		if !s.challenged() {
			t.Error("the nonce was too old")
		}
		s.register("wrong", 1, "Expires: 3600")
		if s.challenged() || r.Wrong() != 1 {
			t.Errorf("%d wrong passwords", r.Wrong())
		}
		r.Answer(503, "Service Unavailable", "Retry-After: 60")
		s.register("secret", 1)
		if res := s.receive("SIP/2.0 503"); !strings.Contains(res, "Retry-After: 60") {
			t.Errorf("response:\n%s", res)
		}
		r.Answer(0, "")
		s.register("secret", 1, "Expires: 3600")
		s.receive("SIP/2.0 200")
	})
}

func TestRegistrarNotesWhatIsAgainstTheRules(t *testing.T) {
	for name, tc := range map[string]struct {
		nc    int
		lines []string
		want  string
	}{
		"nc again":       {1, nil, `nc "00000001" after 00000001 of the same nonce`},
		"star":           {2, []string{"Contact: *"}, "Contact * removes the registrations of other devices"},
		"user":           {2, []string{"URI: sip:100@10.0.0.2"}, `Request-URI "sip:100@10.0.0.2" has a user`},
		"somebody else":  {2, []string{"To: <sip:200@10.0.0.2>"}, `registers somebody else`},
		"two contacts":   {2, []string{"Contact: <sip:100@10.0.0.9>, <sip:100@10.0.0.8>"}, "takes nothing back"},
		"useless":        {2, []string{"Contact: <sip:100@nowhere>"}, "leads nowhere"},
		"CSeq not above": {2, []string{"CSeq: 1 REGISTER"}, "CSeq 1 is not above 2 of the same Call-ID"},
	} {
		t.Run(name, func(t *testing.T) {
			inRegistrar(t, lab.RegistrarOptions{}, func(w *world, _ *lab.Registrar, s *subscriber) {
				s.register("secret", 1)
				s.challenged()
				s.register("secret", 1)
				s.receive("SIP/2.0 200")
				if v := w.b.Violations(); len(v) != 0 {
					t.Fatalf("too early: %q", v)
				}
				s.register("secret", tc.nc, tc.lines...)
				s.receive("SIP/2.0")
				if v := w.b.Violations(); !slices.ContainsFunc(v, func(s string) bool { return strings.Contains(s, tc.want) }) {
					t.Errorf("violations %q, want %q", v, tc.want)
				}
			})
		})
	}
}

func TestOptionsGetWhatIsSaid(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		p := w.peer()
		p.send(p.message("OPTIONS", 1, "z9hG4bK1"))
		p.receive("SIP/2.0 200")
		w.b.OPTIONS(503)
		p.tag = ""
		p.send(p.message("OPTIONS", 2, "z9hG4bK2"))
		p.receive("SIP/2.0 503")
		_ = p.conn.Close()
	})
}

func TestPhoneThatIsRegisteredTooLateForWhoAskedTakesItBack(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		r := w.b.NewRegistrar(lab.RegistrarOptions{Credentials: lab.Credentials{Username: "100", Password: "secret"}})
		w.net.SetFilter(func(memnet.Packet) memnet.Fate { return memnet.Fate{Delay: time.Second} })
		ctx, cancel := context.WithTimeout(w.ctx, time.Second)
		defer cancel()
		account := lab.Account{At: w.b.Addr(), Username: "100", Password: "secret"}
		if _, err := w.a.RegisterPhone(ctx, account); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("registered: %v", err)
		}
		time.Sleep(20 * time.Minute)
		if n := len(r.Bindings()); n != 0 || r.Granted() == 0 {
			t.Errorf("%d phones are registered after %d REGISTER", n, r.Granted())
		}
	})
}
