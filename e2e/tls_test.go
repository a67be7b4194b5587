package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/certtest"
	"perezvon/internal/store"
)

// The same as over UDP and TCP: it has to prove its name, and is called by the
// connections that both sides make.
func TestProviderWithARegistrarOverTLS(t *testing.T) {
	for name, listens := range map[string]bool{"both connect": true, "by connections of ours alone": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			throughProvider(t, "tls", listens, habits{digest: "MD5", tls: certtest.NewCA("Provider")})
		})
	}
}

// trustingBaresip is a phone that speaks TLS: it shows a certificate that nobody
// knows, and trusts an authority.
func trustingBaresip(t *testing.T, user string, tone float64, ours *certtest.CA, more ...string) *baresip {
	t.Helper()
	dir := t.TempDir()
	own, trusted := filepath.Join(dir, "own.pem"), filepath.Join(dir, "ca.pem")
	pair := certtest.NewCA("phone").Issue("phone")
	for name, data := range map[string][]byte{own: append(pair.Cert, pair.Key...), trusted: ours.PEM()} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return newBaresip(t, user, "PCMA", tone, append(more, "sip_certificate "+own, "sip_cafile "+trusted)...)
}

// secured is where baresip listens for TLS: the port above that for UDP and TCP.
func (b *baresip) secured() string {
	at := netip.MustParseAddrPort(b.addr)
	return netip.AddrPortFrom(at.Addr(), at.Port()+1).String()
}

// Real phones over TLS: at a fixed contact, and as the trunk.
func TestPhonesOverTLSAreCalledBackAndHearEachOther(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA("Office")
	const number = "+79160000071"
	manager := trustingBaresip(t, managerPort, managerHz, ca)
	customer := trustingBaresip(t, number, customerHz, ca)
	s := serve(t, setup{
		trunk: customer.secured(), trunkMore: ", transport: tls, tls: {verify: false}, options: 5s",
		manager: manager.secured() + ";transport=tls", tls: ca,
	})
	call := s.place(api.CallbackBody{Number: number, Text: announcement})
	s.until(call.ID, store.StateTalking, 30*time.Second)
	talking := time.Now()
	eventually(t, 2*talkTime, "the talk has lasted", func() bool { return time.Since(talking) >= talkTime })
	hangUpByManager(t, s, call, manager, customer) // its BYE comes to our certificate
	call = s.ended(call.ID, 10*time.Second)
	s.clean()
	customer.quit(t)
	wantResult(t, call, store.ResultCompleted, "200")
	if got := value(call.HangupBy); got != string(store.PartyManager) {
		t.Errorf("hung up by %q, want the manager", got)
	}
	wantEars(t, manager.heard(t), customer.heard(t))
}

// A phone that has registered is called by the connection that it has opened.
func TestPhoneRegistersOverTLSAndIsCalledByItsConnection(t *testing.T) {
	t.Parallel()
	ca, network := certtest.NewCA("Office"), newCarrier(t)
	const ext, password = "102", "s3cret-of-102"
	s := serve(t, setup{
		trunk: network.Addr().String(), manager: "127.0.0.1:9", tls: ca,
		extensions: fmt.Sprintf("  - {number: %q, password: %q}\n", ext, password),
		lines:      fmt.Sprintf("  - {id: second, number: \"+74950000002\", trunks: [carrier], route: [{extension: {number: %q}}]}\n", ext),
	})
	phone := trustingBaresip(t, ext, managerHz, ca,
		fmt.Sprintf("<sip:%s@127.0.0.1:%d;transport=tls>;auth_user=%s;auth_pass=%s;regint=60;answermode=auto;audio_codecs=PCMA", ext, s.tls, ext, password))
	eventually(t, 15*time.Second, "the phone is registered", func() bool { return strings.Contains(phone.out.String(), "200 OK") })
	callOutOn(t, s, network, "second", "+79160000072")
	if !strings.Contains(s.get("/metrics"), "\nperezvon_sip_tcp_connections 1\n") {
		t.Error("there is not one connection, that of the phone")
	}
	phone.quit(t)
	s.clean()
	s.stop()
}
