package sip

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// Phones register with us (RFC 3261 section 10.3): what their REGISTER asks for
// and is answered with.

const (
	minGranted   = time.Minute
	maxGranted   = time.Hour
	usualGranted = time.Hour // where a phone does not say
	// streamGranted is the longest registration by a connection: it is with the
	// next REGISTER that a phone notices that we have restarted.
	streamGranted = 2 * time.Minute

	maxContact = 512 // bytes of a Contact's URI, and of a Call-ID
	// keepWithin is how long the answer to a REGISTER waits for the store.
	keepWithin = 2 * time.Second
)

// demand is how a password is asked for.
type demand struct {
	status      int
	phrase      string
	ask, answer string                       // names of headers
	nameOf      func(*sipmsg.Request) string // who asks to be let in, where there are no credentials
}

// toRegister and toCall are the demands of a registrar and of a proxy (RFC 3261
// sections 22.2 and 22.3).
func toRegister() demand {
	return demand{
		status: sipmsg.StatusUnauthorized, phrase: "Unauthorized", ask: "WWW-Authenticate", answer: "authorization",
		nameOf: func(req *sipmsg.Request) string { return userOf(req.To().Address.User) },
	}
}

func toCall() demand {
	return demand{
		status: sipmsg.StatusProxyAuthRequired, phrase: "Proxy Authentication Required", ask: "Proxy-Authenticate", answer: "proxy-authorization",
		nameOf: func(req *sipmsg.Request) string { return userOf(req.From().Address.User) },
	}
}

// authenticate returns the extension whose password the sender of a request
// knows, or the response that asks for it.
func (a *Agent) authenticate(req *sipmsg.Request, how demand) (ext string, refusal *sipmsg.Response) {
	now, src := time.Now(), sourceOf(req)
	from := src.Addr()
	one := a.challenger.judge(req, how.answer, from, a.peers.secretOf, now)
	switch one.standing {
	case credGood:
		if a.guard.barred(from, one.user) {
			break // it is not said that this guess was right
		}
		if a.challenger.use(one, now) {
			a.guard.passed(from, one.user)
			return one.user, nil
		}
		one.standing = credStale
	case credWrong, credAstray: // nor is this
		a.turnAway(req, src, one)
	}
	return "", a.challenge(req, how, one)
}

// authenticCaller returns the extension that an INVITE of a phone is from: that
// whose password it knows, or the one at whose fixed contact it is. Where it is
// false the INVITE has been answered.
func (a *Agent) authenticCaller(req *sipmsg.Request, tx *sipmsg.ServerTx, ext string) (string, bool) {
	if e := a.peers.extension(ext); e != nil && e.hop != nil && e.hop.on(sourceOf(req).Addr()) {
		return ext, true
	}
	ext, refusal := a.authenticate(req, toCall())
	if refusal == nil {
		return ext, true
	}
	if err := tx.Respond(refusal); err != nil {
		a.log.Debug("sip: respond", "status", refusal.StatusCode, "error", err)
	}
	return "", false
}

// challenge is the response that asks for a password.
func (a *Agent) challenge(req *sipmsg.Request, how demand, one claim) *sipmsg.Response {
	user := one.user
	if user == "" {
		user = how.nameOf(req)
	}
	_, kind, _ := a.peers.secretOf(user)
	return a.response(req, how.status, how.phrase, nil,
		a.challenger.ask(how.ask, kind, sourceOf(req).Addr(), one.standing == credStale, time.Now())...)
}

// serveRegister answers a REGISTER.
func (a *Agent) serveRegister(req *sipmsg.Request, tx *sipmsg.ServerTx) {
	res := a.register(req)
	if err := tx.Respond(res); err != nil {
		a.log.Debug("sip: respond", "status", res.StatusCode, "error", err)
	}
}

func (a *Agent) register(req *sipmsg.Request) *sipmsg.Response {
	was := a.peers.book.Load() // or one of before what the password is compared with
	ext, refusal := a.authenticate(req, toRegister())
	if refusal != nil {
		return refusal
	}
	if a.isClosing() {
		return a.response(req, sipmsg.StatusServiceUnavailable, "Service Unavailable", nil, retryAfter(closingRetry))
	}
	src := sourceOf(req)
	if to := userOf(req.To().Address.User); to != ext {
		a.log.Warn("sip: registration refused: the phone registers another number than its user name", "from", src, "user", ext, "number", to)
		return a.response(req, sipmsg.StatusForbidden, "Forbidden", nil)
	}
	o, err := orderOf(req, ext)
	if o.transport == transportUDP {
		o.listener = a.cameTo(req)
	}
	switch {
	case errors.Is(err, errTooBrief):
		return a.response(req, statusIntervalTooBrief, "Interval Too Brief", nil,
			sipmsg.NewHeader("Min-Expires", strconv.Itoa(int(minGranted/time.Second))))
	case err != nil:
		a.log.Info("sip: registration refused", "extension", ext, "from", src, "why", err)
		return a.response(req, sipmsg.StatusBadRequest, "Bad Request", nil)
	}
	if len(o.wishes) > 0 || o.all {
		commits, err := a.bind(o, was)
		switch {
		case errors.Is(err, errRevoked):
			return a.challenge(req, toRegister(), claim{user: ext, standing: credStale})
		case err != nil:
			a.log.Info("sip: registration refused", "extension", ext, "from", src, "why", err)
			return a.response(req, sipmsg.StatusInternalServerError, "Server Internal Error: CSeq out of order", nil)
		}
		a.await(commits)
	}
	return a.registeredAs(req, ext)
}

// bind does what a REGISTER asks for whose password was compared with that of a
// book, or of one of after it.
func (a *Agent) bind(o regOrder, was *book) (commits []commitFunc, err error) {
	_, commits, err = a.changed(func() ([]change, error) {
		if was.secret(o.extension) != a.peers.book.Load().secret(o.extension) {
			return nil, errRevoked // its phones may have been expelled already
		}
		return a.peers.phones.update(o)
	})
	return commits, err
}

// registeredAs is the 200 to a REGISTER: it lists all bindings (RFC 3261 section
// 10.3 step 8). Many phones set their clock by its Date.
func (a *Agent) registeredAs(req *sipmsg.Request, ext string) *sipmsg.Response {
	now := time.Now()
	res := a.response(req, sipmsg.StatusOK, "OK", nil)
	for _, b := range a.peers.phones.of(ext, now) {
		left := int((b.Expires.Sub(now) + time.Second - 1) / time.Second)
		res.AppendHeader(sipmsg.NewHeader("Contact", fmt.Sprintf("<%s>;expires=%d", b.Contact, left)))
	}
	res.AppendHeader(sipmsg.NewHeader("Date", now.UTC().Format(http.TimeFormat)))
	return res
}

// Errors of a REGISTER that cannot be taken.
var (
	errTooBrief = errors.New("it asks for less than a minute")
	errContact  = errors.New("its Contact is no SIP address")
	errRevoked  = errors.New("its extension has another password since")
	errStar     = errors.New("the Contact * stands beside others, or without Expires 0")
)

// orderOf reads what a REGISTER asks for.
func orderOf(req *sipmsg.Request, ext string) (regOrder, error) {
	src := sourceOf(req)
	o := regOrder{
		extension: ext, callID: callID(req), userAgent: plainText(header(req, "user-agent")),
		address: src, transport: transportOf(req), at: time.Now(),
	}
	if s := req.CSeq(); s != nil {
		o.cseq = s.SeqNo
	}
	if len(o.callID) > maxContact {
		return o, errors.New("its Call-ID is too long")
	}
	contacts := headersOf(req, "contact")
	given, said := seconds(header(req, "expires"))
	for _, h := range contacts {
		c, ok := h.(*sipmsg.ContactHeader)
		if !ok {
			return o, errContact
		}
		if c.Address.Wildcard {
			if len(contacts) > 1 || !said || given > 0 {
				return o, errStar
			}
			o.all = true
			return o, nil
		}
		w, err := wishOf(c, given, said, o.transport)
		if err != nil {
			return o, err
		}
		if w.life > 0 && o.transport == transportUDP {
			o.address = wayTo(req, c, src)
		}
		o.wishes = slices.DeleteFunc(o.wishes, func(other wish) bool { return other.contact == w.contact })
		o.wishes = append(o.wishes, w)
	}
	if len(o.wishes) > maxBindings {
		return o, errors.New("it has too many Contacts")
	}
	return o, nil
}

// wishOf reads one Contact. given is the Expires header, if that was said.
func wishOf(c *sipmsg.ContactHeader, given time.Duration, said bool, transport string) (wish, error) {
	uri, err := parseURI(withoutHeaders(c.Address.String()))
	if err != nil || uri.Scheme != "sip" && uri.Scheme != "sips" {
		return wish{}, errContact
	}
	w := wish{contact: uri.String(), life: usualGranted}
	if len(w.contact) > maxContact {
		return wish{}, errContact
	}
	if id, ok := param(c.Params, "+sip.instance"); ok {
		w.instance = plainText(unquote(id))
	}
	if said {
		w.life = given
	}
	if text, ok := param(c.Params, "expires"); ok {
		if w.life, ok = seconds(unquote(text)); !ok {
			w.life = usualGranted // RFC 3261 section 10.3 step 7
		}
	}
	switch longest := longestExpires(transport); {
	case w.life > 0 && w.life < minGranted:
		return wish{}, errTooBrief
	case w.life > longest:
		w.life = longest
	}
	return w, nil
}

func longestExpires(transport string) time.Duration {
	if transport == transportUDP {
		return maxGranted
	}
	return streamGranted
}

// withoutHeaders cuts what a URI wants to be put into requests (RFC 3261 section
// 19.1.1).
func withoutHeaders(uri string) string {
	uri, _, _ = strings.Cut(uri, "?")
	return uri
}

// wayTo is where requests to a phone over UDP go: to where its REGISTER came
// from. A phone that does not ask for responses there (rport, RFC 3581) and is
// behind no NAT may listen at another port, that of its Contact.
func wayTo(req *sipmsg.Request, c *sipmsg.ContactHeader, src netip.AddrPort) netip.AddrPort {
	if v := req.Via(); v != nil {
		if _, symmetric := param(v.Params, "rport"); symmetric {
			return src
		}
	}
	ip, err := netip.ParseAddr(c.Address.Host)
	if err != nil || ip.Unmap() != src.Addr() {
		return src
	}
	port := c.Address.Port
	if port <= 0 || port > 65535 {
		port = sipmsg.DefaultUdpPort
	}
	return netip.AddrPortFrom(src.Addr(), uint16(port))
}

// cameTo is the address of the socket that a request came to, empty if that is
// not known.
func (a *Agent) cameTo(req *sipmsg.Request) string {
	c := a.tp.Pool("udp").Get(req.Source())
	if c == nil {
		return ""
	}
	defer c.TryClose()
	ap, err := netip.ParseAddrPort(c.LocalAddr().String())
	if err != nil {
		return ""
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()).String()
}

// commitFunc waits until something is stored.
type commitFunc = func(context.Context) error

// await waits until changes are stored. A phone that rings is better than one
// that is kept: where the disk is full, it is registered all the same.
func (a *Agent) await(commits []commitFunc) {
	ctx, cancel := context.WithTimeout(a.base, keepWithin)
	defer cancel()
	for _, commit := range commits {
		if err := commit(ctx); err != nil {
			a.log.Warn("sip: a registration could not be stored; a restart loses it", "why", err)
			return
		}
	}
}

// Registered returns the phones that are registered as an extension, the newest
// first.
func (a *Agent) Registered(extension string) []Binding {
	all := a.peers.phones.of(extension, time.Now())
	for i := range all {
		all[i].Connected = a.connected(&all[i])
		all[i].Reachable = all[i].Reachable && len(a.waysTo(&all[i])) > 0
	}
	return all
}
