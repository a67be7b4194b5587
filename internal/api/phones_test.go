package api

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"perezvon/configs"
)

type fakePhones map[string][]PhoneState

func (f fakePhones) Phones(extension string) []PhoneState { return f[extension] }

func (f fakePhones) LastFailure(extension string) *LoginFailure {
	if f[extension] != nil {
		return nil
	}
	return &LoginFailure{At: time.Date(2027, 1, 11, 9, 0, 0, 0, time.UTC), Address: "198.51.100.7:41022", UserAgent: "Desk", Reason: "wrong password for extension " + extension}
}

func TestExtensionsShowTheirPhones(t *testing.T) {
	at := time.Date(2027, 1, 11, 9, 0, 0, 0, time.UTC)
	rtt := 12500 * time.Microsecond
	f := newFixture(t, nil, func(o *Options) {
		o.Config.Extensions = []configs.Extension{{Number: "101", Password: configs.NewSecret("sekret-phone")}, {Number: "102", Password: configs.NewSecret("other-phone")}}
		o.Phones = fakePhones{"101": {
			{Contact: "sip:101@192.168.1.20", Address: netip.MustParseAddrPort("198.51.100.7:41022"), Transport: "udp", UserAgent: "Desk", Since: at, Expires: at.Add(time.Hour), RoundTrip: &rtt, Reachable: true, Connected: true},
			{Contact: "sip:101@192.168.1.21", Address: netip.MustParseAddrPort("198.51.100.7:41023"), Transport: "tcp", Since: at, Expires: at.Add(time.Hour)},
		}}
	})
	a := f.do(t, "GET", "/api/v1/extensions", "")
	list := decode[ExtensionList](t, a).Extensions
	if len(list) != 2 || !list[0].Registers || len(list[0].Phones) != 2 || !list[1].Registers || len(list[1].Phones) != 0 {
		t.Fatal(a.body)
	}
	one, two := list[0].Phones[0], list[0].Phones[1]
	if one.Contact != "sip:101@192.168.1.20" || one.Address != "198.51.100.7:41022" || one.Transport != "udp" || one.UserAgent != "Desk" || !one.Reachable || !one.Connected ||
		!one.Since.Equal(at) || !one.ExpiresAt.Equal(at.Add(time.Hour)) || one.RoundTripMS == nil || *one.RoundTripMS != 12.5 {
		t.Errorf("%+v", one)
	}
	if two.Reachable || two.Connected || two.RoundTripMS != nil {
		t.Errorf("%+v", two)
	}
	if list[0].LastFailure != nil {
		t.Errorf("%+v", list[0].LastFailure)
	}
	if f := list[1].LastFailure; f == nil || !f.At.Equal(at) || f.Address != "198.51.100.7:41022" || f.UserAgent != "Desk" || f.Reason != "wrong password for extension 102" {
		t.Errorf("%+v", f)
	}
	if strings.Contains(a.body, "sekret-phone") {
		t.Error("shows a password")
	}
}
