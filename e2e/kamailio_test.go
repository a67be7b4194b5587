package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"perezvon/internal/certtest"
)

// kamailio is a provider: a registrar with one account, and the proxy between
// it and the telephone network.
type kamailio struct {
	*process
	t         *testing.T
	dir       string
	port      int
	network   netip.AddrPort
	secured   int    // its port for TLS
	cert, key string // files
	habits
}

// habits are in what providers differ.
type habits struct {
	digest      string // how it asks for the password: MD5 or SHA-256
	numberInURI bool   // calls to the account have the number dialled in the Request-URI, not only in To
	// It takes TLS, too, with a certificate of this authority for "localhost".
	tls *certtest.CA
}

const (
	account = "trunk-user"
	// kamailioRealm is also the domain of the account.
	kamailioRealm = "127.0.0.1"
)

// newKamailio starts a provider whose numbers are at network.
func newKamailio(t *testing.T, network netip.AddrPort, h habits) *kamailio {
	t.Helper()
	need(t, "kamailio")
	k := &kamailio{t: t, dir: t.TempDir(), port: freePort(t), network: network, habits: h}
	if h.tls != nil {
		if found, _ := filepath.Glob(kamailioTLS); len(found) == 0 {
			t.Fatalf("%s is not there; scripts/deps test installs it", kamailioTLS)
		}
		k.secured = freePort(t)
		k.certify(h.tls.Issue("localhost"))
	}
	k.start()
	return k
}

const kamailioTLS = "/usr/lib/*/kamailio/modules/tls.so"

// certify puts a certificate where the next start finds it.
func (k *kamailio) certify(p *certtest.Pair) { k.cert, k.key = p.Write(k.dir) }

// authority is the file with the certificate of its authority.
func (k *kamailio) authority() string {
	k.t.Helper()
	file := filepath.Join(k.dir, "ca.pem")
	if err := os.WriteFile(file, k.tls.PEM(), 0o600); err != nil {
		k.t.Fatal(err)
	}
	return file
}

// hostFor is the host of a trunk there.
func (k *kamailio) hostFor(transport string) string {
	if transport == "tls" {
		return fmt.Sprintf("localhost:%d", k.secured)
	}
	return k.addr().String()
}

func (k *kamailio) addr() netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(k.port))
}

// start starts the provider, also again after its end: then without any
// binding.
func (k *kamailio) start() {
	k.t.Helper()
	config, err := filepath.Abs(filepath.Join("testdata", "kamailio.cfg"))
	if err != nil {
		k.t.Fatal(err)
	}
	args := []string{"-f", config, "-DD", "-E", "-m", "32", "-M", "4", "-w", k.dir, "-Y", k.dir, "-A", "SIP=" + k.addr().String()}
	for _, name := range [][2]string{
		{"ACCOUNT", account},
		{"PASSWORD", trunkPassword},
		{"REALM", kamailioRealm},
		{"DIGEST", k.digest},
		{"DID", lineNumber},
		{"NETWORK", k.network.String()},
	} {
		args = append(args, "-A", fmt.Sprintf("%s=%q", name[0], name[1]))
	}
	if k.secured > 0 {
		args = append(args, "-A", fmt.Sprintf("SECURED=127.0.0.1:%d", k.secured), "-A", fmt.Sprintf("CERTIFICATE=%q", k.cert), "-A", fmt.Sprintf("KEY=%q", k.key))
	}
	if k.numberInURI {
		args = append(args, "-A", "NUMBER_IN_URI")
	}
	k.process = launch(k.t, "kamailio", k.dir, os.Environ(), "kamailio", args...)
	eventually(k.t, 20*time.Second, "Kamailio takes requests", func() bool {
		if !k.running() {
			k.t.Fatalf("kamailio ended with status %d", k.cmd.ProcessState.ExitCode())
		}
		_, err := k.ask("core.uptime")
		return err == nil
	})
}

// ask is a question by JSON-RPC.
func (k *kamailio) ask(method string) (json.RawMessage, error) {
	body := fmt.Appendf(nil, `{"jsonrpc":"2.0","method":%q,"id":1}`, method)
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Post(fmt.Sprintf("http://%s/RPC", k.addr()), "application/json", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var answer struct {
		Result json.RawMessage `json:"result"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return nil, err
	}
	return answer.Result, nil
}

// bindings are the contacts of the account.
func (k *kamailio) bindings() []string {
	k.t.Helper()
	raw, err := k.ask("ul.dump")
	if err != nil {
		k.t.Fatalf("read Kamailio's bindings: %v", err)
	}
	var dump struct {
		Domains []struct {
			Domain struct {
				AoRs []struct {
					Info struct {
						AoR      string
						Contacts []struct {
							Contact struct{ Address string }
						}
					}
				}
			}
		}
	}
	if err := json.Unmarshal(raw, &dump); err != nil {
		k.t.Fatalf("%v in Kamailio's answer %s", err, raw)
	}
	var contacts []string
	for _, d := range dump.Domains {
		for _, a := range d.Domain.AoRs {
			for _, c := range a.Info.Contacts {
				contacts = append(contacts, c.Contact.Address)
			}
		}
	}
	return contacts
}

// binds reports whether the account is bound to an address, host:port.
func (k *kamailio) binds(addr string) bool {
	k.t.Helper()
	return slices.ContainsFunc(k.bindings(), func(c string) bool {
		_, host, _ := strings.Cut(c, "@")
		host, _, _ = strings.Cut(host, ";")
		return host == addr
	})
}

// bind registers a contact, host:port, of the account from outside, for an
// hour.
func (k *kamailio) bind(addr string) {
	k.t.Helper()
	newSIPp(k.t, "registers", k.addr().String(), "account", account, "contact", addr).passed(k.t, 20*time.Second)
	if !k.binds(addr) {
		k.t.Fatalf("SIPp has registered %s, Kamailio has %q", addr, k.bindings())
	}
}
