package sip

import (
	"net/netip"
	"strconv"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// LoginFailure is a phone that answered our question for a password wrongly.
type LoginFailure struct {
	At        time.Time
	Address   netip.AddrPort // where it came from
	UserAgent string         // what it says of itself; empty: nothing
	Reason    string         // what is wrong and what to do about it, in one sentence for people
}

// LastFailure returns the last phone that was not let in as an extension; false
// if there was none since the start, or since its configuration changed.
func (a *Agent) LastFailure(extension string) (LoginFailure, bool) {
	e := a.peers.extension(extension)
	if e == nil {
		return LoginFailure{}, false
	}
	last := e.lastFailure.Load()
	if last == nil {
		return LoginFailure{}, false
	}
	return *last, true
}

// turnAway counts wrong credentials and tells of them: most are guesses, but a
// phone that is set up wrongly looks just like that. Who guesses very often is
// not to fill a disk.
func (a *Agent) turnAway(req *sipmsg.Request, from netip.AddrPort, one claim) {
	a.guard.failed(from.Addr(), one.user)
	f := LoginFailure{At: time.Now(), Address: from, UserAgent: plainText(header(req, "user-agent")), Reason: a.whyNot(one)}
	if e := a.peers.extension(one.user); e != nil {
		e.lastFailure.Store(&f)
	}
	if suppressed, tell := a.turnedAway.press(from.Addr(), f.At); tell {
		a.log.Warn("sip: phone not let in", "extension", one.user, "address", from, "user_agent", f.UserAgent,
			"method", string(req.Method), "why", f.Reason, "suppressed", suppressed)
	}
}

// whyNot says what is wrong with credentials. It is for us alone: who sent them
// is told the same in every case.
func (a *Agent) whyNot(one claim) string {
	e, user := a.peers.extension(one.user), one.user
	switch {
	case user == "":
		return "the phone gives no user name; enter the number of its extension there"
	case e == nil:
		return "there is no extension " + strconv.Quote(user) + "; enter the number of the extension as the phone's user name, or add it to extensions"
	case !e.registers():
		return "extension " + user + " has no password: phones cannot register as it; see extensions[].password"
	case one.otherwise:
		return "the phone answers with another algorithm than extension " + user + " asks for; see extensions[].digest"
	case one.standing == credAstray:
		return "the phone's answer is for another request: the uri in it is not where its " +
			"request is sent; let domain and registrar of extension " + user + " be the same there, and nothing between change them"
	}
	return "wrong password for extension " + user + "; enter that of extensions[].password at the phone"
}
