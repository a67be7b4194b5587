package main

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"perezvon/configs"
	"perezvon/sip"
)

func at(transport, addr string) configs.Listen {
	return configs.Listen{Transport: transport, Addr: netip.MustParseAddrPort(addr)}
}

func TestSIPListensWhereItIsTold(t *testing.T) {
	var c sip.Config
	if err := listenSIP(t.Context(), []configs.Listen{at("udp", "127.0.0.1:0"), at("tcp", "127.0.0.1:0")}, &c); err != nil {
		t.Fatal(err)
	}
	if len(c.Listen) != 1 || len(c.ListenTCP) != 1 {
		t.Fatalf("%d UDP and %d TCP", len(c.Listen), len(c.ListenTCP))
	}
	taken := c.ListenTCP[0].Addr().String()

	var again sip.Config
	err := listenSIP(t.Context(), []configs.Listen{at("udp", "127.0.0.1:0"), at("tcp", "127.0.0.1:0"), at("tcp", taken)}, &again)
	if err == nil || !strings.HasPrefix(err.Error(), "sip.listen: ") || !strings.Contains(err.Error(), "in use") {
		t.Errorf("%v", err)
	}
	if l, err := net.Listen("tcp4", again.ListenTCP[0].Addr().String()); err != nil {
		t.Errorf("still in use: %v", err)
	} else {
		_ = l.Close()
	}
	if l, err := net.ListenPacket("udp4", again.Listen[0].LocalAddr().String()); err != nil {
		t.Errorf("still in use: %v", err)
	} else {
		_ = l.Close()
	}
	_ = c.Listen[0].Close()
	_ = c.ListenTCP[0].Close()
}

func TestEveryKeyOfATrunkReachesSignalling(t *testing.T) {
	cfg, err := configs.Parse("p.yaml", []byte(`
trunks:
  - name: a
    host: sip.example.net
    transport: tcp
    register: true
    expires: 10m
    username: u
    auth_user: au
    password: pw
    domain: d.example.net
    proxy: p.example.net
    peers: [192.0.2.0/28]
    options: 1m
    try: 2s
`), configs.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	got := sipTrunk(&cfg.Trunks[0])
	if got.Name != "a" || got.Host != "sip.example.net" || got.Transport != "tcp" || !got.Register || got.Expires.Minutes() != 10 ||
		got.Username != "u" || got.AuthUser != "au" || got.Password != "pw" || got.Domain != "d.example.net" ||
		got.Proxy != "p.example.net" || len(got.Peers) != 1 || got.Options.Minutes() != 1 || got.Try.Seconds() != 2 {
		t.Errorf("%+v", got)
	}
}
