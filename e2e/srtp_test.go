package e2e

import (
	"bytes"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/audiotest"
	"perezvon/internal/store"
)

const (
	aesCM  = "AES_CM_128_HMAC_SHA1_80"
	aesGCM = "AEAD_AES_128_GCM"
)

// Two real phones are called back, one of which or both encrypt, with an SRTP
// that is not ours.
func TestEncryptedPhonesAreCalledBackAndHearTheOther(t *testing.T) {
	tests := []struct {
		name              string
		manager, customer string // mediaenc of the phones, empty: none
		phone, trunk      string // srtp of the configuration
		gcm               bool   // the customer's phone is offered GCM alone
		suites            [2]string
	}{
		{"the phone must, the provider cannot", "srtp-mand", "", "mandatory", "off", false, [2]string{aesCM, ""}},
		{"the provider must, the phone is asked in vain", "", "srtp-mand", "preferred", "mandatory", false, [2]string{"", aesCM}},
		{"both may, with two suites", "srtp", "srtp", "preferred", "preferred", true, [2]string{aesCM, aesGCM}},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			number := fmt.Sprintf("+7916000010%d", i)
			manager := newBaresip(t, managerPort, "PCMA", managerHz, encrypts(tt.manager)...)
			customer := newBaresip(t, number, "PCMU", customerHz, encrypts(tt.customer)...)
			trunk := customer.addr
			if tt.gcm {
				trunk = offeringGCM(t, customer.addr)
			}
			s := serve(t, setup{
				trunk: trunk, trunkMore: ", srtp: " + tt.trunk, manager: manager.addr, phoneMore: ", srtp: " + tt.phone,
			})
			call := s.place(api.CallbackBody{Number: number, Text: announcement})
			s.until(call.ID, store.StateTalking, 30*time.Second)
			talking := time.Now()
			eventually(t, 2*talkTime, "the talk has lasted", func() bool { return time.Since(talking) >= talkTime })
			hangUpByAPI(t, s, call, manager, customer)
			call = s.ended(call.ID, 10*time.Second)
			s.clean()
			manager.quit(t)
			customer.quit(t)
			wantResult(t, call, store.ResultCompleted, "200")
			wantEars(t, manager.heard(t), customer.heard(t))
			wantRecording(t, s, call)
			for i, p := range []*baresip{manager, customer} {
				p.wantSuite(t, tt.suites[i])
			}
			wantNoKeys(t, s)
		})
	}
}

// A real phone calls in and offers keys.
func TestEncryptedCallerIsHeard(t *testing.T) {
	t.Parallel()
	manager := newBaresip(t, managerPort, "PCMA", managerHz)
	customer := newBaresip(t, "+79160000110", "PCMU", customerHz, encrypts("srtp-mand")...)
	s := serve(t, setup{trunk: customer.addr, trunkMore: ", srtp: preferred", manager: manager.addr})
	customer.do(t, "dial", "sip:"+lineNumber+"@"+s.sipAddr())
	var calls []api.Call
	eventually(t, 20*time.Second, "the caller talks", func() bool {
		calls = s.inbound()
		return len(calls) == 1 && calls[0].State == string(store.StateTalking)
	})
	talking := time.Now()
	eventually(t, 2*talkTime, "the talk has lasted", func() bool { return time.Since(talking) >= talkTime })
	customer.quit(t)
	call := s.ended(calls[0].ID, 10*time.Second)
	s.clean()
	manager.quit(t)
	wantResult(t, call, store.ResultCompleted, "200")
	if d := audiotest.Heard(manager.heard(t), customerHz); d < heardFor {
		t.Errorf("the manager heard the caller for %s, want %s", d, heardFor)
	}
	if d := audiotest.Heard(customer.heard(t), managerHz); d < heardFor {
		t.Errorf("the caller heard the manager for %s, want %s", d, heardFor)
	}
	customer.wantSuite(t, aesCM)
	manager.wantSuite(t, "")
	wantNoKeys(t, s)
}

// encrypts are the settings of a phone that encrypts, none for one that does
// not.
func encrypts(mediaenc string) []string {
	if mediaenc == "" {
		return nil
	}
	return []string{"mediaenc=" + mediaenc, "module srtp.so"}
}

// wantSuite checks with what the phone says that it encrypts; empty: nothing.
func (b *baresip) wantSuite(t *testing.T, suite string) {
	t.Helper()
	said := regexp.MustCompile(`cryptosuite=(\w+)`).FindStringSubmatch(b.out.String())
	switch {
	case suite == "" && said != nil:
		t.Errorf("%s encrypts with %s", b.name, said[1])
	case suite != "" && (said == nil || said[1] != suite):
		t.Errorf("%s encrypts with %v, want %s", b.name, said, suite)
	}
	if suite != "" && strings.Contains(b.out.String(), "failed to decrypt") {
		t.Errorf("%s could not decrypt what it was sent", b.name)
	}
}

// wantNoKeys checks that the server, which logs everything, logs no keys.
func wantNoKeys(t *testing.T, s *server) {
	t.Helper()
	if log := s.out.String(); strings.Contains(log, "inline:") {
		t.Error("there is a key in the server's log")
	}
}

// offeringGCM passes UDP between a server and a phone and takes the first
// a=crypto out of each offer: phones take the first that they know, and
// nothing makes baresip prefer another one.
func offeringGCM(t *testing.T, phone string) (addr string) {
	t.Helper()
	front, err := net.ListenPacket("udp4", fmt.Sprintf("127.0.0.1:%d", freePort(t)))
	if err != nil {
		t.Fatal(err)
	}
	to, err := net.ResolveUDPAddr("udp4", phone)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		var server net.Addr
		buf := make([]byte, 65536)
		for {
			n, from, err := front.ReadFrom(buf)
			if err != nil {
				return
			}
			if from.String() == phone {
				_, _ = front.WriteTo(buf[:n], server)
				continue
			}
			server = from
			_, _ = front.WriteTo(withoutFirstKey(buf[:n]), to)
		}
	})
	t.Cleanup(func() {
		_ = front.Close()
		wg.Wait()
	})
	return front.LocalAddr().String()
}

var (
	firstKey      = regexp.MustCompile(`a=crypto:1 [^\r\n]*\r\n`)
	contentLength = regexp.MustCompile(`(?i)(\r\nContent-Length: *)\d+`)
)

func withoutFirstKey(message []byte) []byte {
	head, body, ok := bytes.Cut(message, []byte("\r\n\r\n"))
	if !ok || !firstKey.Match(body) {
		return message
	}
	body = firstKey.ReplaceAll(body, nil)
	head = contentLength.ReplaceAll(head, []byte("${1}"+strconv.Itoa(len(body))))
	return append(append(bytes.Clone(head), "\r\n\r\n"...), body...)
}
