// Package sip is Perezvon's SIP user agent over UDP, TCP and TLS: outgoing and incoming
// calls, their dialogs, digest, and the trunks and phones it knows.
//
// Parsing, transport and transactions are sipgo's; everything that makes a
// call of them is here, because a call has to survive what libraries of dialog
// helpers give up on: a 200 that crosses a CANCEL, forks, lost ACKs, messages
// that are handled in another order than they came in.
//
// No type of sipgo leaves the package, and session descriptions cross it as
// bytes: a Negotiator makes and reads them.
package sip

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// Timers of RFC 3261 17.1.1.1 and of this package.
const (
	t1         = 500 * time.Millisecond
	t2         = 4 * time.Second
	txTimeout  = 64 * t1
	lateAnswer = 50 * time.Millisecond // how long a 2xx without SDP waits for a 183 it overtook
	ringAgain  = time.Minute           // RFC 3261 13.3.1.1: a ringing phone says so again

	defaultSilence   = 4 * time.Second
	defaultFirstRing = 10 * time.Second
	defaultRing      = 3 * time.Minute
	maxForwards      = 70 // RFC 3261 8.1.1.6
	maxAddresses     = 4  // of one host are tried for one call

	transportUDP = "udp"
	transportTCP = "tcp"
	transportTLS = "tls"
)

// Config is what an Agent needs. Listen and Handle are required.
type Config struct {
	// Listen are open UDP sockets, see ListenUDP. The agent owns them from
	// New on and closes them.
	Listen []net.PacketConn
	// ListenTCP are open TCP listeners, see ListenTCP. The agent owns them from
	// New on and closes them. A trunk over TCP does without, as long as it sends
	// by the connections that we make, and none is lost.
	ListenTCP []net.Listener
	// ListenTLS are open TCP listeners on which the agent speaks TLS, with TLS.
	// The agent owns them as those of ListenTCP.
	ListenTLS []net.Listener
	// TLS is for ListenTLS: it has the certificate, mostly Certificate.Get. The
	// agent speaks TLS 1.2 and newer, whatever it says.
	TLS *tls.Config
	// DialTCP connects to an address; nil: with a net.Dialer. ctx bounds it.
	// For TLS, too: the agent does the handshake.
	DialTCP func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	// PublicIP is written into Via and Contact, and given out by LocalIP, for
	// destinations outside; invalid: the local address that faces the
	// destination, and where that is private what STUN says, else where the
	// destination's trunk sees us. Loopback and, where PublicIP is not private
	// itself, private destinations always see the local address.
	PublicIP netip.Addr
	// STUN is a server, host or host:port, that is asked for our public address
	// from the sockets of Listen (RFC 8489); empty: nobody is asked.
	STUN      string
	UserAgent string // the User-Agent and Server header
	Trunks    []Trunk
	// Extensions are the phones of the office: those at a fixed address and
	// those that register.
	Extensions []Extension
	// Bindings keeps the registrations of phones; nil: a restart loses them.
	Bindings BindingStore
	// OnBinding is told of every phone that registers or leaves, in order and
	// from one goroutine. It must not block. May be nil.
	OnBinding func(BindingEvent)
	// Resolve looks a host name up; nil: net.DefaultResolver, IPv4 only.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	// LookupSRV returns the SRV records of _service._proto.name (RFC 2782), in
	// any order, their targets without a dot at the end. nil:
	// net.DefaultResolver, or no records where Resolve is set.
	LookupSRV func(ctx context.Context, service, proto, name string) ([]*net.SRV, error)
	Journal   Journal // nil: dialogs are not journalled
	// Handle is called in its own goroutine for every new INVITE of a known
	// peer. Its context ends, with a cause, when the caller cancels (*Failure),
	// when the dialog is over (Ended), when the agent closes (ErrClosed), and
	// when Handle returns. A handler that returns without a final response, or
	// panics, makes a 500.
	Handle func(ctx context.Context, in *Incoming)
	// OnTrunk is told of every trunk that goes down or comes back, in order and
	// from one goroutine. It must not block. May be nil.
	OnTrunk func(TrunkState)
	// OnMessage is told of every message, in the goroutine that reads or writes
	// it. It must not block, nor call the agent. May be nil.
	OnMessage func(Message)
	// OnCall is told which call of ours the messages of a Call-ID belong to:
	// those that follow, and those of an INVITE that came. It may be told
	// again, with the leg. It must not block. May be nil.
	OnCall func(callID string, ref DialogRef)
	// Perimeter says when an address is banned.
	Perimeter Perimeter
	// OnBan is told of bans that begin and end, in order and from one goroutine,
	// though not of each where there are very many: see Ban.Others. It must not
	// block. May be nil.
	OnBan  func(Ban)
	Logger *slog.Logger // nil: slog.Default
}

// Trunk is a provider or another PBX.
type Trunk struct {
	Name string
	// Host is host or host:port. Without a port its SRV records are used, and
	// if it has none its addresses at port 5060 (RFC 3263).
	Host     string
	Username string // also the user of our Contact
	AuthUser string // for digest; empty: Username
	Password string
	Domain   string // of Request-URI, From and To; empty: Host
	Proxy    string // host[:port] everything is sent to; empty: Host
	// Peers are the networks it may send from. Empty: every address the host
	// and the proxy resolve to.
	Peers []netip.Prefix
	Try   time.Duration // how long it may stay silent; 0: 4 s
	// Transport is udp, tcp or tls; empty: udp.
	Transport string
	// TLS is what the trunk's certificate is verified with. Without a ServerName
	// it has to be for the host, or for the proxy where there is one, also when
	// SRV records lead elsewhere (RFC 5922 section 4). nil: with the authorities
	// of this machine.
	TLS *tls.Config
	// Register makes the agent register Username at the trunk's domain
	// (RFC 3261 10.2), for Expires each time.
	Register bool
	Expires  time.Duration // asked for; the registrar decides. 0: 1 h
	Options  time.Duration // how often it is asked with OPTIONS whether it is there; 0: never
	// MaxCalls is how many calls it carries at one time, in both directions; 0:
	// as many as there are.
	MaxCalls int
	CPS      int // how many calls to it are begun within a second; 0: as many as there are
	// NumberIn is where its calls have the number that was dialled: InRequestURI,
	// InTo or InDiversion. Empty: InRequestURI.
	NumberIn Place
	// CallerIDIn is where its calls have the caller's number: InFrom, InAsserted
	// or InRemoteParty. Empty, or without such a header: InFrom.
	CallerIDIn Place
	// CallerIDOut is where calls to it show who calls: any of InFrom, InAsserted,
	// InRemoteParty and, in calls that are passed on, InDiversion. Empty: InFrom.
	// Without InFrom, From has Username.
	CallerIDOut []Place
}

// Extension is a number of the office. It has a Contact, or an HA1, or both: the
// Contact is called then while no phone is registered.
type Extension struct {
	Number  string
	Contact string // sip:user@host:port of a phone at a fixed address
	// HA1 is what phones that register as Number prove to know, see MakeHA1;
	// their user name is Number. Zero: none may.
	HA1    HA1
	Digest Digest // empty: DigestMD5
}

// Target is whom to call: exactly one of Trunk and Extension is set.
type Target struct {
	Trunk, Extension string
	// Binding is the ID of the phone that is called, of those that are
	// registered as Extension; empty: the newest.
	Binding string
}

// Negotiator makes and reads the session descriptions of one leg. Its methods
// are called one at a time and must not wait for the network.
type Negotiator interface {
	// CreateOffer is asked for the first offer, and for a new one when a peer
	// sends an INVITE without any.
	CreateOffer() ([]byte, error)
	// AcceptOffer answers an offer of the peer, the first or a later one
	// (hold, resume, unchanged). An error refuses it with 488.
	AcceptOffer(offer []byte) (answer []byte, err error)
	// AcceptAnswer takes the answer to our offer; it may come for a 183 and
	// again for the 200.
	AcceptAnswer(answer []byte) error
}

// DialogRef says which call and leg of ours a dialog belongs to. It is kept in
// the journal and not looked at here.
type DialogRef struct {
	Call string `json:"call"`
	Leg  string `json:"leg"`
}

// Invite is one outgoing call.
type Invite struct {
	Target Target
	// User is the number as the trunk wants it dialled. An extension is called
	// at its contact and needs none.
	User        string
	FromUser    string // caller's number; empty: the trunk's user name, or anonymous
	FromDisplay string // may hold any text
	// PassedOn says that somebody called FromUser and is passed on to the trunk,
	// Original who that is; empty: he withholds his number. Whether the trunk is
	// told of it is for its CallerIDOut to say.
	PassedOn bool
	Original string
	Ref      DialogRef
	Media    Negotiator
	// MaxForwards is how many further hops the call may take; 0: 70. A call
	// that is passed on has one less than it came with, lest it go round for
	// ever (RFC 3261 16.3 and 16.6).
	MaxForwards int
	// Turn is how long the call may wait where the trunk begins no more than CPS
	// in a second; 0: not at all.
	Turn time.Duration
	// Silence bounds the time without any response; 0: the trunk's Try, 4 s.
	Silence time.Duration
	// FirstRing bounds the time until the first 18x; 0: 10 s.
	FirstRing time.Duration
	// Ring bounds the time from the first 18x to the answer; 0: 3 minutes.
	Ring time.Duration
	// TakeCrossed makes a 2xx that crosses our CANCEL an answer: Invite returns
	// its dialog, and the caller sees by the end of his context, if it has
	// ended, that nobody waits for it any more. Without it such a dialog gets
	// ACK and BYE, and Failure.Crossed says so.
	TakeCrossed bool
	// OnProgress is told of every 18x, in order and from one goroutine. It must
	// not block. May be nil.
	OnProgress func(Progress)
	// OnInfo is given the body of every INFO request of the peer. It must not
	// block. May be nil.
	OnInfo func(contentType string, body []byte)
}

// Progress is a provisional response.
type Progress struct {
	Status int
	Media  bool   // its session description was accepted: early media may come
	Tag    string // To-tag: which fork it comes from; may be empty
}
