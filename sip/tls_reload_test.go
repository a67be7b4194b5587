package sip

import (
	"crypto/tls"
	"strings"
	"testing"
	"testing/synctest"

	"perezvon/internal/certtest"
)

// with replaces the trunk "stream", nil: by none.
func (b *bed) with(change func(*Trunk)) {
	b.t.Helper()
	var trunks []Trunk
	for _, t := range b.agent.peers.trunks() {
		one := t.Trunk
		if t.Name == "stream" {
			if change == nil {
				continue
			}
			change(&one)
		}
		trunks = append(trunks, one)
	}
	if err := b.agent.Reconfigure(trunks, nil); err != nil {
		b.t.Fatal(err)
	}
}

func TestTrustThatHasNotChangedKeepsItsConnection(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, p := streamBed(t, transportTLS, nil)
		b.answeredTCP(p)
		b.with(func(t *Trunk) { t.TLS = &tls.Config{RootCAs: authority().Pool()} }) // read again, and the same
		b.answeredTCP(p)
		if p.wire.count != 1 {
			t.Errorf("%d connections", p.wire.count)
		}
	})
}

func TestTrustThatHasChangedIsAskedForOnANewConnection(t *testing.T) {
	for want, change := range map[string]func(*Trunk){
		"and not for other.example.net":    func(t *Trunk) { t.TLS = &tls.Config{RootCAs: authority().Pool(), ServerName: "other.example.net"} },
		"whom this machine does not trust": func(t *Trunk) { t.TLS = &tls.Config{RootCAs: certtest.NewCA("Other").Pool()} },
	} {
		inBubble(t, func(t *testing.T) {
			b, p := streamBed(t, transportTLS, nil)
			b.answeredTCP(p)
			b.with(change)
			if f := failure(t, <-b.inviteTCP(t.Context(), Invite{})); !strings.Contains(f.Error(), want) {
				t.Errorf("%s", f)
			}
		})
	}
}

// Nobody else's certificate will do for what is left of its calls.
func TestCallOfATrunkThatIsNoMoreEndsByTheConnectionItHas(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, p := streamBed(t, transportTLS, nil)
		first, _ := b.answeredTCP(p)
		second, _ := b.answeredTCP(p)
		b.with(nil)
		done := make(chan error, 1)
		go func() { done <- first.Bye(t.Context()) }()
		p.reply(p.expect("BYE"), "200 OK")
		if err := <-done; err != nil {
			t.Error(err)
		}
		p.hangUp()
		synctest.Wait()
		if err := second.Bye(t.Context()); err == nil || !strings.Contains(err.Error(), "not configured any more") {
			t.Errorf("%v", err)
		}
	})
}
