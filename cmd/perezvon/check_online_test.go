package main

import (
	"net"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/lab"
	"perezvon/sip"
)

func TestTrunksAreTriedAsAServerWould(t *testing.T) {
	carrier, err := lab.NewCarrier(t.Context(), lab.Config{Signal: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	defer carrier.Close()
	cfg := configs.Default()
	cfg.SIP.Listen[0].Addr = netip.MustParseAddrPort("127.0.0.1:0")
	cfg.Trunks = []configs.Trunk{
		{Name: "there", Host: carrier.Addr().String(), Transport: "udp", Options: "5s"},
		{Name: "quiet", Host: carrier.Addr().String(), Transport: "udp", Options: "off"},
	}
	tries := tryTrunks(t.Context(), cfg)
	there := regexp.MustCompile("^" + regexp.QuoteMeta(carrier.Addr().String()) + " over udp (answers in [0-9]+ ms|is there)$") // the latter where it was asked twice
	if len(tries) != 2 || !tries[0].OK || !tries[1].OK || failedTries(tries) != nil || !there.MatchString(tries[0].Detail) ||
		tries[1].Detail != carrier.Addr().String()+" over udp was not asked, for options is off" {
		t.Errorf("%+v", tries)
	}
}

func TestTrunksAreNotTriedBesideTheServer(t *testing.T) {
	server, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	cfg := configs.Default()
	cfg.SIP.Listen[0].Addr = netip.MustParseAddrPort(server.LocalAddr().String())
	cfg.Trunks = []configs.Trunk{{Name: "a", Host: "127.0.0.1:9", Transport: "udp", Options: "5s"}}
	tries := tryTrunks(t.Context(), cfg)
	if len(tries) != 1 || tries[0].OK || !strings.Contains(tries[0].Detail, "probably by the running server; ask it how its trunks are with: ") {
		t.Errorf("%+v", tries)
	}
}

func TestStateOfATrunkIsToldInWords(t *testing.T) {
	took := 12 * time.Millisecond
	asked := &configs.Trunk{Options: "30s", Username: "749"}
	for want, s := range map[string]sip.TrunkState{
		"true 192.0.2.1:5060 over udp answers in 12 ms":                       {Up: true, Known: true, RoundTrip: &took},
		"true registered as 749 at 192.0.2.1:5060 over udp, answers in 12 ms": {Up: true, Known: true, Registered: true, RoundTrip: &took},
		"true registered as 749 at 192.0.2.1:5060 over udp":                   {Up: true, Known: true, Registered: true},
		"false the password is wrong":                                         {Known: true, Reason: "the password is wrong"},
		"false 192.0.2.1:5060 over udp has not answered within 15s":           {Up: true},
	} {
		s.Address, s.Transport = "192.0.2.1:5060", "udp"
		got := judgeTrunk(&s, asked)
		ok, words, _ := strings.Cut(want, " ")
		if got.Detail != words || got.OK != (ok == "true") || (failedTries([]try{got}) == nil) != got.OK {
			t.Errorf("%+v, want %s", got, want)
		}
	}
}
