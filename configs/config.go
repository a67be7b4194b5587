// Package configs reads Perezvon's configuration: one strict YAML file whose
// every mistake is reported at once with file, line, path and the nearest
// valid choice.
package configs

import (
	"net/netip"
	"time"
)

// Config is a whole, validated configuration with all defaults filled in.
type Config struct {
	DataDir    string        `yaml:"data_dir"`
	Store      string        `yaml:"store"`    // sqlite
	Region     string        `yaml:"region"`   // ISO 3166-1 alpha-2: how national numbers are read
	Language   string        `yaml:"language"` // ru, en
	HTTP       HTTP          `yaml:"http"`
	SIP        SIP           `yaml:"sip"`
	Media      Media         `yaml:"media"`
	Trunks     []Trunk       `yaml:"trunks"`
	Lines      []Line        `yaml:"lines"`
	Extensions []Extension   `yaml:"extensions"`
	TTS        TTS           `yaml:"tts"`
	Callback   Callback      `yaml:"callback"`
	Limits     Limits        `yaml:"limits"`
	Recordings Recordings    `yaml:"recordings"`
	Drain      time.Duration `yaml:"drain"`
}

// HTTP is where the API listens and who may use it.
type HTTP struct {
	Listen    netip.AddrPort `yaml:"listen"`
	PublicURL string         `yaml:"public_url"`
	Keys      []APIKey       `yaml:"keys"`
}

// APIKey is one client of the API.
type APIKey struct {
	Name   string   `yaml:"name"`
	Key    Secret   `yaml:"key"`
	Scopes []string `yaml:"scopes"` // callback, calls, read, admin
	Lines  []string `yaml:"lines"`  // empty: all
}

// SIP is where signalling listens and how it is seen from outside.
type SIP struct {
	Listen   []Listen `yaml:"listen"`
	PublicIP string   `yaml:"public_ip"` // auto or an address
}

// Listen is a listening address such as udp://0.0.0.0:5060.
type Listen struct {
	Transport string // udp
	Addr      netip.AddrPort
}

// Media is where sound flows.
type Media struct {
	Ports  PortRange `yaml:"ports"`
	Codecs []string  `yaml:"codecs"` // PCMA, PCMU, in order of preference
}

// PortRange is an inclusive range of UDP ports, written 20000-39999.
type PortRange struct{ First, Last uint16 }

// Trunk is the SIP connection to a provider that is trusted by address.
type Trunk struct {
	Name      string         `yaml:"name"`
	Host      string         `yaml:"host"` // host or host:port, port 5060 when left out
	Transport string         `yaml:"transport"`
	Register  bool           `yaml:"register"` // only false
	Username  string         `yaml:"username"`
	AuthUser  string         `yaml:"auth_user"` // left out: Username
	Password  Secret         `yaml:"password"`
	Domain    string         `yaml:"domain"`  // of From and To; left out: the host
	Proxy     string         `yaml:"proxy"`   // where requests are sent instead of the host
	Peers     []netip.Prefix `yaml:"peers"`   // left out: what host resolves to
	Format    string         `yaml:"format"`  // plus, digits, national, raw
	Options   string         `yaml:"options"` // only off
	Try       time.Duration  `yaml:"try"`     // how long a silent target is waited for
}

// Line is an external number with its routing rules.
type Line struct {
	ID       string    `yaml:"id"`
	Name     string    `yaml:"name"`
	Number   string    `yaml:"number"` // E.164, or a pattern ending in * on raw trunks
	Trunks   []string  `yaml:"trunks"` // in order of preference
	Route    []Step    `yaml:"route"`
	Record   bool      `yaml:"record"`
	Callback *Callback `yaml:"callback"` // with the file's callback defaults filled in; nil: those
}

// Step is one step of a line's route. Exactly one field is set.
type Step struct {
	Extension *ExtensionStep `yaml:"extension"`
	Group     *GroupStep     `yaml:"group"`
	Mobile    *MobileStep    `yaml:"mobile"`
	Forward   *ForwardStep   `yaml:"forward"`
	Hangup    *HangupStep    `yaml:"hangup"`
}

// ExtensionStep rings one phone.
type ExtensionStep struct {
	Number string        `yaml:"number"`
	Ring   time.Duration `yaml:"ring"` // 0: the callback's
}

// GroupStep rings several phones.
type GroupStep struct {
	Members  []string      `yaml:"members"`
	Strategy string        `yaml:"strategy"` // all, in_order
	Ring     time.Duration `yaml:"ring"`
}

// MobileStep rings a mobile through the line's trunk.
type MobileStep struct {
	Number  string        `yaml:"number"`
	Confirm *bool         `yaml:"confirm"` // nil: true
	Ring    time.Duration `yaml:"ring"`
}

// ForwardStep passes the call to another trunk.
type ForwardStep struct {
	Trunk  string        `yaml:"trunk"`
	Number string        `yaml:"number"` // left out: the dialled one
	Ring   time.Duration `yaml:"ring"`
}

// HangupStep refuses the call.
type HangupStep struct {
	Code int `yaml:"code"` // a SIP status from 400 to 699
}

// Extension is an internal phone at a fixed address.
type Extension struct {
	Number  string `yaml:"number"`
	Name    string `yaml:"name"`
	Contact string `yaml:"contact"` // sip:user@host:port
	Mobile  string `yaml:"mobile"`
}

// TTS is how text becomes speech.
type TTS struct {
	Voice   string           `yaml:"voice"` // the default voice
	Engines []Engine         `yaml:"engines"`
	Voices  map[string]Voice `yaml:"voices"`
}

// Engine is a speech synthesiser.
type Engine struct {
	Name string `yaml:"name"`
	Type string `yaml:"type"` // espeak
	Path string `yaml:"path"` // of the program; left out: espeak-ng from PATH
}

// Voice names a voice of an engine.
type Voice struct {
	Engine   string `yaml:"engine"`
	Voice    string `yaml:"voice"`
	Language string `yaml:"language"`
	Name     string `yaml:"name"`
}

// Callback has the timers and budgets of callbacks.
type Callback struct {
	Ring         time.Duration   `yaml:"ring"`          // a manager's phone
	CustomerRing time.Duration   `yaml:"customer_ring"` // the customer's phone
	Confirm      time.Duration   `yaml:"confirm"`       // wait for the key, twice
	Announcement time.Duration   `yaml:"announcement"`  // longest spoken text
	Attempts     int             `yaml:"attempts"`      // first try and retries
	Retry        []time.Duration `yaml:"retry"`         // the last one repeats
	BusyRetry    time.Duration   `yaml:"busy_retry"`
	TTL          time.Duration   `yaml:"ttl"`
}

// Limits protect the bill.
type Limits struct {
	Destinations []string      `yaml:"destinations"` // regions, +prefixes, ! excludes, * all
	PerNumber    Rate          `yaml:"per_number"`
	MaxCall      time.Duration `yaml:"max_call"`
}

// Rate is so many per period.
type Rate struct {
	Count int           `yaml:"count"`
	Per   time.Duration `yaml:"per"`
}

// Recordings says where the sound of calls is kept.
type Recordings struct {
	Dir string `yaml:"dir"` // left out: data_dir/recordings
}
