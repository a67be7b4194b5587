package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const secretExtension = "a-password-nobody-guesses"

// SIPVicious, which most scanners of the internet are, finds nothing: svmap no
// server, svwar no extension, and svcrack no password but a ban.
func TestScannersFindNothing(t *testing.T) {
	t.Parallel()
	need(t, "svmap", "svwar", "svcrack")
	s := serve(t, setup{ // whose trunk and phone are not at the address that scanners come from
		trunk: "127.0.0.2:5060", manager: "127.0.0.2:5070",
		extensions: "  - {number: \"201\", password: " + secretExtension + "}\n",
	})
	port, home := strings.TrimPrefix(s.sipAddr(), "127.0.0.1:"), t.TempDir()
	words := filepath.Join(home, "words")
	if err := os.WriteFile(words, []byte("201\n1234\nsecret\npassword\nadmin\nqwerty\n"+secretExtension+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	scan := func(tool string, args ...string) string {
		p := launch(t, tool, home, append(os.Environ(), "HOME="+home), tool, append([]string{"-p", port}, args...)...)
		p.exit(30 * time.Second)
		return p.out.String()
	}

	if out := scan("svmap", "127.0.0.1"); !strings.Contains(out, "found nothing") {
		t.Errorf("svmap found us:\n%s", out)
	}
	for _, args := range [][]string{{"-m", "REGISTER"}, {"-m", "REGISTER", "--force"}, {"-m", "OPTIONS", "--force"}, {"-m", "INVITE", "--force"}} {
		if out := scan("svwar", append(args, "--maximumtime", "3", "-e", "195-205", "127.0.0.1")...); !strings.Contains(out, "found nothing") {
			t.Errorf("svwar %s found extensions:\n%s", args, out)
		}
	}
	if out := scan("svcrack", "--maximumtime", "3", "-u", "201", "-d", words, "127.0.0.1"); strings.Contains(out, secretExtension) {
		t.Errorf("svcrack has got the password:\n%s", out)
	}
	list, err := s.Bans(within(t, 10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Bans) != 1 || list.Bans[0].Address != "127.0.0.1" || !strings.Contains(list.Bans[0].Reason, "wrong passwords") {
		t.Errorf("banned are %+v, want 127.0.0.1 for wrong passwords", list.Bans)
	}
	if _, err := s.Unban(within(t, 10*time.Second), "127.0.0.1"); err != nil {
		t.Error(err)
	}
	if n := s.gauge("perezvon_sip_bans"); n != 0 {
		t.Errorf("%d bans after the only one was lifted", n)
	}
	s.stop()
}
