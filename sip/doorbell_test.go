package sip

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const ignored = "request ignored: no trunk's host or peers and no extension's contact has this address; see trunks[].peers"

func TestInviteOfAStrangerIsLogged(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, _ := inboundBed(t)
		stranger := newPeer(t, b.net, "192.0.2.9:5060")
		for range 7 { // as often as an INVITE that nobody answers is sent
			stranger.send(stranger.initial("1", "body:"+testSDP))
			time.Sleep(4 * time.Second)
		}
		log := b.log.String()
		if strings.Count(log, ignored) != 1 || !strings.Contains(log, "level=WARN") ||
			!strings.Contains(log, "method=INVITE from=192.0.2.9:5060 suppressed=0") {
			t.Errorf("log:\n%s", log)
		}
		time.Sleep(knockEvery)
		stranger.send(stranger.initial("2", "body:"+testSDP))
		time.Sleep(time.Second)
		if log = b.log.String(); strings.Count(log, ignored) != 2 || !strings.Contains(log, "suppressed=6") {
			t.Errorf("log:\n%s", log)
		}
	})
}

func TestOnlyRequestsThatBeginSomethingRingTheDoorbell(t *testing.T) {
	for packet, want := range map[string]string{
		"INVITE sip:a@b SIP/2.0\r\n\r\n":    "INVITE",
		"REGISTER sip:b SIP/2.0\r\n\r\n":    "REGISTER",
		"OPTIONS sip:b SIP/2.0\r\n\r\n":     "OPTIONS",
		"BYE sip:a@b SIP/2.0\r\n\r\n":       "",
		"INVITED sip:a@b SIP/2.0\r\n\r\n":   "",
		"INVITE":                            "",
		"INVITE sip:a@b HTTP/1.1\r\n\r\n":   "",
		"SIP/2.0 200 OK\r\nINVITE \r\n\r\n": "",
		"":                                  "",
	} {
		if got := sniffKnock([]byte(packet)); string(got) != want {
			t.Errorf("%q: %q, want %q", packet, got, want)
		}
	}
}

func TestFloodOfStrangersIsLoggedSeldomAndNotRemembered(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		for i := range 3000 {
			from := netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)})
			b.agent.guard.admits(netip.AddrPortFrom(from, 5060), []byte("REGISTER sip:x SIP/2.0\r\n\r\n"))
		}
		synctest.Wait()
		if n := strings.Count(b.log.String(), ignored); n != maxKnocks {
			t.Errorf("%d lines, want %d", n, maxKnocks)
		}
		if n := len(b.agent.doorbell.told); n != maxKnocks {
			t.Errorf("%d addresses remembered", n)
		}
		time.Sleep(knockEvery)
		b.agent.guard.admits(netip.MustParseAddrPort("198.51.100.1:5060"), []byte("OPTIONS sip:x SIP/2.0\r\n\r\n"))
		if want := fmt.Sprintf("method=OPTIONS from=198.51.100.1:5060 suppressed=%d", 3000-maxKnocks); !strings.Contains(b.log.String(), want) {
			t.Errorf("no %q in the log", want)
		}
	})
}

func TestInviteThatOnlyAnotherDialogLetsInIsLogged(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		far := newPeer(t, b.net, "192.0.2.9:5060")
		b.agent.peers.hold(netip.MustParseAddr("192.0.2.9"))
		far.send(far.initial("1", "body:"+testSDP))
		synctest.Wait()
		time.Sleep(time.Second)
		if !strings.Contains(b.log.String(), ignored) || len(calls) != 0 {
			t.Errorf("%d calls, log:\n%s", len(calls), b.log)
		}
	})
}
