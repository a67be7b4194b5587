package api

import (
	"net/netip"
	"time"

	"perezvon/configs"
)

// Phones tells which phones are registered.
type Phones interface {
	// Phones returns those that are registered as an extension, the newest
	// first.
	Phones(extension string) []PhoneState
	// LastFailure returns the last phone that was not let in as an extension;
	// nil: there was none.
	LastFailure(extension string) *LoginFailure
}

// PhoneState is what is known of a registered phone at one moment.
type PhoneState struct {
	Contact   string
	Address   netip.AddrPort
	Transport string
	UserAgent string
	Since     time.Time
	Expires   time.Time
	RoundTrip *time.Duration // of the last OPTIONS that was answered; nil: none was
	Reachable bool
	Connected bool // false: the connection that it registered by has ended
}

// LoginFailure is a phone that was not let in.
type LoginFailure struct {
	At        time.Time `json:"at" example:"2027-01-11T09:00:00+03:00"`
	Address   string    `json:"address" doc:"Where it came from" example:"198.51.100.7:41022"`
	UserAgent string    `json:"user_agent,omitempty" doc:"What it says of itself" example:"Yealink SIP-T46U"`
	Reason    string    `json:"reason" doc:"What is wrong, and what to do" example:"wrong password for extension 101; enter that of extensions[].password at the phone"`
}

// Phone is a phone that is registered.
type Phone struct {
	Contact     string    `json:"contact" doc:"What the phone registered" example:"sip:101@192.168.1.20:5060"`
	Address     string    `json:"address" doc:"Where it registered from, and where it is called" example:"198.51.100.7:41022"`
	Transport   string    `json:"transport" doc:"udp, tcp or tls" example:"udp"`
	UserAgent   string    `json:"user_agent,omitempty" doc:"What it says of itself" example:"Yealink SIP-T46U"`
	Since       time.Time `json:"since" doc:"Since when it is registered" example:"2027-01-11T09:00:00+03:00"`
	ExpiresAt   time.Time `json:"expires_at" doc:"When its registration ends unless it is refreshed" example:"2027-01-11T10:00:00+03:00"`
	RoundTripMS *float64  `json:"round_trip_ms" doc:"How long the last answered OPTIONS took, milliseconds" example:"12.5"`
	Connected   bool      `json:"connected" doc:"Whether the connection is open that it registered by; always true over UDP" example:"true"`
	Reachable   bool      `json:"reachable" doc:"Whether it can be called, as far as is known: it answers OPTIONS, and there is a way to it" example:"true"`
}

func (a *API) extension(e *configs.Extension) Extension {
	out := Extension{
		Number: e.Number, Name: e.Name, Contact: e.Contact, Mobile: e.Mobile,
		DND:       a.Office.DND(e.Number),
		Registers: !e.Password.IsZero(), Phones: []Phone{},
	}
	if a.Phones == nil {
		return out
	}
	v := a.view()
	for _, p := range a.Phones.Phones(e.Number) {
		one := Phone{
			Contact: p.Contact, Address: p.Address.String(), Transport: p.Transport, UserAgent: p.UserAgent,
			Since: v.time(p.Since), ExpiresAt: v.time(p.Expires), Reachable: p.Reachable, Connected: p.Connected,
		}
		if p.RoundTrip != nil {
			one.RoundTripMS = new(float64(p.RoundTrip.Microseconds()) / 1000)
		}
		out.Phones = append(out.Phones, one)
	}
	if f := a.Phones.LastFailure(e.Number); f != nil {
		one := *f
		one.At = v.time(one.At)
		out.LastFailure = &one
	}
	return out
}
