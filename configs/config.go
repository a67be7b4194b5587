// Package configs reads Perezvon's configuration: one strict YAML file whose
// every mistake is reported at once with file, line, path and the nearest
// valid choice.
package configs

import (
	"net/netip"
	"time"
)

// Config is a whole, validated configuration with all defaults filled in.
//
// Tags say what one value may be: need (it may not be left out or empty),
// oneof (words to choose from), range (least and most, inclusive), list (the
// least number of entries). What concerns several values is in check.go.
type Config struct {
	DataDir    string        `yaml:"data_dir" need:"yes"`
	Store      Store         `yaml:"store"`
	Region     string        `yaml:"region" need:"yes"` // ISO 3166-1 alpha-2: how national numbers are read
	Language   string        `yaml:"language" oneof:"ru,en"`
	HTTP       HTTP          `yaml:"http"`
	SIP        SIP           `yaml:"sip"`
	Media      Media         `yaml:"media"`
	Trunks     []Trunk       `yaml:"trunks"`
	Lines      []Line        `yaml:"lines"`
	Outgoing   []Outgoing    `yaml:"outgoing"` // what phones may dial; the first that fits
	Extensions []Extension   `yaml:"extensions"`
	TTS        TTS           `yaml:"tts"`
	Callback   Callback      `yaml:"callback"`
	Infocall   Infocall      `yaml:"infocall"`
	Limits     Limits        `yaml:"limits"`
	Perimeter  Perimeter     `yaml:"perimeter"`
	Recordings Recordings    `yaml:"recordings"`
	Calls      Kept          `yaml:"calls"`  // with their events and traces
	Events     Kept          `yaml:"events"` // of no call
	Trace      Trace         `yaml:"trace"`
	Music      string        `yaml:"music"`                 // a WAV file for who is on hold, with the folder of the configuration before it; empty: silence
	Drain      time.Duration `yaml:"drain" range:"0s..24h"` // how long calls may go on after a stop was asked
}

// HTTP is where the API listens and who may use it.
type HTTP struct {
	Listen    netip.AddrPort `yaml:"listen"`
	PublicURL string         `yaml:"public_url"`
	Keys      []APIKey       `yaml:"keys"`
}

// APIKey is one client of the API.
type APIKey struct {
	Name   string   `yaml:"name" need:"yes"`
	Key    Secret   `yaml:"key" need:"yes"`
	Scopes []string `yaml:"scopes" need:"yes" list:"1" oneof:"callback,infocall,calls,read,admin"`
	Lines  []string `yaml:"lines"` // empty: all
}

// SIP is where signalling listens and how it is seen from outside.
type SIP struct {
	Listen   []Listen `yaml:"listen" list:"1"`
	PublicIP string   `yaml:"public_ip"` // auto, stun:host[:port] or an address
	TLS      SIPTLS   `yaml:"tls"`
}

// SIPTLS is the certificate that whoever connects over TLS is shown, and its
// private key: files in PEM.
type SIPTLS struct {
	Cert string `yaml:"cert"` // with those between it and its authority behind it
	Key  string `yaml:"key"`
}

// Listen is a listening address such as udp://0.0.0.0:5060.
type Listen struct {
	Transport string // udp, tcp or tls
	Addr      netip.AddrPort
}

// Media is where sound flows.
type Media struct {
	Ports  PortRange `yaml:"ports"`
	Codecs []string  `yaml:"codecs" list:"1" oneof:"PCMA,PCMU"` // in order of preference
}

// PortRange is an inclusive range of UDP ports, written 20000-39999.
type PortRange struct{ First, Last uint16 }

// Trunk is the SIP connection to a provider: registered there or trusted by
// address.
type Trunk struct {
	Name      string         `yaml:"name" need:"yes"`
	Host      string         `yaml:"host" need:"yes"` // host or host:port, port 5060 when left out, 5061 over TLS
	Transport string         `yaml:"transport" oneof:"udp,tcp,tls"`
	TLS       TrunkTLS       `yaml:"tls"`
	Register  bool           `yaml:"register"`
	Expires   time.Duration  `yaml:"expires" range:"1m..24h"` // of the registration, as asked for
	Username  string         `yaml:"username"`
	AuthUser  string         `yaml:"auth_user"` // left out: Username
	Password  Secret         `yaml:"password"`
	Domain    string         `yaml:"domain"` // of From and To; left out: the host
	Proxy     string         `yaml:"proxy"`  // where requests are sent instead of the host
	Peers     []netip.Prefix `yaml:"peers"`  // left out: what host resolves to
	Format    string         `yaml:"format" oneof:"plus,digits,national,raw"`
	Options   string         `yaml:"options"`                // how often it is asked whether it is there, or off
	Try       time.Duration  `yaml:"try" range:"100ms..32s"` // how long a silent target is waited for
	SRTP      string         `yaml:"srtp" oneof:"off,preferred,mandatory"`
	MaxCalls  int            `yaml:"max_calls" range:"0..100000"` // at one time, both directions; 0: no limit
	CPS       int            `yaml:"cps" range:"0..1000"`         // calls that are begun in a second; 0: no limit
	// Where the called number stands; left out: in the Request-URI, and in To
	// where that names the registered account.
	NumberIn    string   `yaml:"number_in" oneof:"request_uri,to,diversion"`
	CallerIDIn  string   `yaml:"caller_id_in" oneof:"from,p-asserted-identity,remote-party-id"`
	CallerIDOut []string `yaml:"caller_id_out" list:"1" oneof:"from,p-asserted-identity,remote-party-id,diversion"`
}

// TrunkTLS is how a trunk over TLS is verified.
type TrunkTLS struct {
	CA         string `yaml:"ca"`          // file of the authority's certificate; left out: this machine's authorities
	Verify     *bool  `yaml:"verify"`      // nil: true
	ServerName string `yaml:"server_name"` // in its certificate; left out: host, or proxy where there is one
}

// Verified reports whether the trunk's certificate is verified.
func (t *TrunkTLS) Verified() bool { return t.Verify == nil || *t.Verify }

// Line is an external number with its routing rules.
type Line struct {
	ID        string    `yaml:"id" need:"yes"`
	Name      string    `yaml:"name"`                       // left out: the id
	Number    string    `yaml:"number" need:"yes"`          // E.164, or a pattern ending in * on raw trunks
	Trunks    []string  `yaml:"trunks" need:"yes" list:"1"` // in order of preference
	Route     []Step    `yaml:"route" need:"yes" list:"1"`
	Record    bool      `yaml:"record"`
	Hours     *Hours    `yaml:"hours"`     // nil: always open
	Otherwise []Step    `yaml:"otherwise"` // the route of calls that come in while the line is closed
	Callback  *Callback `yaml:"callback"`  // with the file's callback defaults filled in; nil: those
}

// Hours are the working hours of a line.
type Hours struct {
	Zone     string   `yaml:"zone" need:"yes"`          // IANA time zone, such as Europe/Moscow
	Open     []string `yaml:"open" need:"yes" list:"1"` // such as "Mon-Fri 09:00-18:00"
	Holidays []string `yaml:"holidays"`                 // closed dates, such as "2027-01-01"
}

// Step is one step of a line's route. Exactly one field is set.
type Step struct {
	Responsible *ResponsibleStep `yaml:"responsible"`
	Extension   *ExtensionStep   `yaml:"extension"`
	Group       *GroupStep       `yaml:"group"`
	Mobile      *MobileStep      `yaml:"mobile"`
	Forward     *ForwardStep     `yaml:"forward"`
	Announce    *AnnounceStep    `yaml:"announce"`
	Voicemail   *VoicemailStep   `yaml:"voicemail"`
	Hangup      *HangupStep      `yaml:"hangup"`
}

// ResponsibleStep rings whoever is responsible for the caller in the CRM.
type ResponsibleStep struct {
	Ring time.Duration `yaml:"ring" range:"1s..10m"` // 0: the callback's
}

// ExtensionStep rings one phone.
type ExtensionStep struct {
	Number string        `yaml:"number" need:"yes"`
	Ring   time.Duration `yaml:"ring" range:"1s..10m"` // 0: the callback's
}

// GroupStep rings several phones.
type GroupStep struct {
	Members  []string      `yaml:"members" need:"yes" list:"1"`
	Strategy string        `yaml:"strategy" oneof:"all,in_order,longest_idle"`
	Ring     time.Duration `yaml:"ring" range:"1s..10m"`
}

// MobileStep rings a mobile through the line's trunk.
type MobileStep struct {
	Number  string        `yaml:"number" need:"yes"`
	Confirm *bool         `yaml:"confirm"` // nil: true
	Ring    time.Duration `yaml:"ring" range:"1s..10m"`
}

// ForwardStep passes the call to another trunk.
type ForwardStep struct {
	Trunk  string        `yaml:"trunk" need:"yes"`
	Number string        `yaml:"number"` // left out: the dialled one
	Ring   time.Duration `yaml:"ring" range:"1s..10m"`
}

// AnnounceStep answers the call and plays something: a text or a file.
type AnnounceStep struct {
	Text  string `yaml:"text"`
	Sound string `yaml:"sound"` // path of a WAV file, with the folder of the configuration before it
	Voice string `yaml:"voice"` // of the text; left out: the default voice
}

// VoicemailStep answers the call and records a message.
type VoicemailStep struct {
	Text  string        `yaml:"text"` // the greeting; left out: a stock sentence
	Voice string        `yaml:"voice"`
	Max   time.Duration `yaml:"max" range:"5s..30m"` // longest message
}

// HangupStep refuses the call.
type HangupStep struct {
	Code int `yaml:"code" need:"yes" range:"400..699"` // a SIP status
}

// Extension is an internal number: phones that register, with a password, or one
// at a fixed contact.
type Extension struct {
	Number  string `yaml:"number" need:"yes"`
	Name    string `yaml:"name"`
	Contact string `yaml:"contact"` // sip:user@host:port of a phone at a fixed address; left out: phones register
	// Password is what phones register with, as the user Number.
	Password Secret `yaml:"password"`
	Digest   string `yaml:"digest" oneof:"md5,sha256,both"` // how they are asked for it
	Mobile   string `yaml:"mobile"`                         // rung after the phone where a request names this extension
	Line     string `yaml:"line"`                           // for calls to numbers outside; empty: the first line
	DND      bool   `yaml:"dnd"`                            // do not disturb: is not rung, until the API says otherwise
	SRTP     string `yaml:"srtp" oneof:"off,preferred,mandatory"`
}

// Outgoing says which line the numbers that phones dial go out through.
type Outgoing struct {
	Prefix     string   `yaml:"prefix"`              // what the number begins with; empty: any
	Strip      int      `yaml:"strip" range:"0..32"` // how many characters are taken off
	Line       string   `yaml:"line"`                // empty: the line of the extension, else the first
	Extensions []string `yaml:"extensions"`          // who may; empty: all
}

// TTS is how text becomes speech.
type TTS struct {
	Voice   string           `yaml:"voice"` // the default voice
	Engines []Engine         `yaml:"engines" list:"1"`
	Voices  map[string]Voice `yaml:"voices" list:"1"`
}

// Engine is a speech synthesiser. Which keys belong to which type is in
// check_speech.go.
type Engine struct {
	Name      string        `yaml:"name" need:"yes"`
	Type      string        `yaml:"type" need:"yes" oneof:"espeak,piper,openai,yandex,command"`
	Path      string        `yaml:"path"`             // of espeak-ng; left out: from PATH
	Command   []string      `yaml:"command" list:"1"` // program and arguments
	URL       string        `yaml:"url"`
	Key       Secret        `yaml:"key"`
	TokenFile string        `yaml:"token_file"` // of an IAM token, with the folder of the configuration before it; read for every request
	Folder    string        `yaml:"folder"`     // of the cloud
	Model     string        `yaml:"model"`
	Format    string        `yaml:"format" oneof:"wav,pcm"`    // of the sound that is asked for; left out: the type's usual one
	Rate      int           `yaml:"rate" range:"8000..48000"`  // of pcm, in Hz; 0: the type's usual one
	Request   string        `yaml:"request" oneof:"json,text"` // how Piper is asked; left out: json
	Timeout   time.Duration `yaml:"timeout" range:"1s..2m"`    // of one request
	Parallel  int           `yaml:"parallel" range:"1..64"`    // requests at one time; 0: the number of processors for programs, 4 for others
}

// Voice names a voice of an engine.
type Voice struct {
	Engine   string   `yaml:"engine" need:"yes"`
	Voice    string   `yaml:"voice" need:"yes"`      // the engine's own name for it, such as ru+f3
	Language string   `yaml:"language"`              // such as ru; left out: what the engine's voice begins with
	Name     string   `yaml:"name"`                  // for people; left out: its key
	Role     string   `yaml:"role"`                  // manner, speaker or instructions, as the engine has them
	Speed    float64  `yaml:"speed" range:"0.25..3"` // 0: the voice's own, which is 1
	Fallback []string `yaml:"fallback"`              // voices that stand in, in their order; nil: of every other engine one of the same language
}

// Callback has the timers and budgets of callbacks.
type Callback struct {
	Mode         string          `yaml:"mode" oneof:"manager_first,customer_first"` // who is called first
	Ring         time.Duration   `yaml:"ring" range:"1s..10m"`                      // a manager's phone
	CustomerRing time.Duration   `yaml:"customer_ring" range:"1s..10m"`             // the customer's phone
	Confirm      time.Duration   `yaml:"confirm" range:"1s..1m"`                    // wait for the key, twice
	Announcement time.Duration   `yaml:"announcement" range:"1s..5m"`               // longest spoken text
	Attempts     int             `yaml:"attempts" range:"1..20"`                    // first try and retries
	Retry        []time.Duration `yaml:"retry" list:"1" range:"1s..24h"`            // the last one repeats
	BusyRetry    time.Duration   `yaml:"busy_retry" range:"1s..24h"`
	TTL          time.Duration   `yaml:"ttl" range:"1s..168h"`
}

// Infocall has what holds for informational calls alone. When they are tried
// again, and how long they live, is as with callbacks of their line.
type Infocall struct {
	Ring       time.Duration  `yaml:"ring" range:"1s..10m"`
	Attempts   int            `yaml:"attempts" range:"1..20"`      // first try and retries
	SoundsFrom []netip.Prefix `yaml:"sounds_from"`                 // addresses that sounds may be fetched from beside the public ones
	MinHeard   Percent        `yaml:"min_heard"`                   // of the message, for the call to count as delivered
	BlockAfter int            `yaml:"block_after" range:"0..1000"` // attempts in a row that were not answered, for the number to be blocked; 0: any number

	AnsweringMachine string `yaml:"answering_machine" oneof:"play,hang_up,after_beep"` // what is done where one answers

	LoopLimit int `yaml:"loop_limit" range:"0..1000"` // calls with the same message to one number in an hour; 0: any number
}

// Percent is a share in whole percent, 0 to 100, written 60%.
type Percent int

// Limits protect the bill.
type Limits struct {
	Destinations []string      `yaml:"destinations" list:"1"` // regions, +prefixes, ! excludes, * all; left out: the region's own
	PerNumber    Rate          `yaml:"per_number"`
	MaxCall      time.Duration `yaml:"max_call" range:"1s..24h"`
}

// Rate is so many per period.
type Rate struct {
	Count int           `yaml:"count" range:"1..1000000000"`
	Per   time.Duration `yaml:"per" range:"1s..720h"`
}

// Trace says how long it is kept what went over the wire in calls.
type Trace struct {
	Keep time.Duration `yaml:"keep" range:"0s..365d"` // 0: it is not kept at all
}

// Perimeter says when an address is banned from SIP: one that guesses
// passwords, or that nobody knows and that does not stop.
type Perimeter struct {
	Failures int           `yaml:"failures" range:"1..1000"` // wrong passwords in Per
	Per      time.Duration `yaml:"per" range:"1s..24h"`
	Ban      time.Duration `yaml:"ban" range:"1s..720h"`       // the first one; each further is twice as long
	MaxBan   time.Duration `yaml:"max_ban" range:"1s..720h"`   // the longest
	Ignored  int           `yaml:"ignored" range:"0..1000000"` // messages without an answer in Per; 0: any number
}
