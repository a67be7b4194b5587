package lab

import "time"

// shortest is the least session that may be asked for (RFC 4028 section 5).
const shortest = 90 * time.Second

// checkSession holds what a request says about session timers against RFC
// 4028 section 7.1.
func (c *Carrier) checkSession(m *Message) {
	interval, refresher := sessionExpires(m)
	least := minSE(m)
	refreshes := m.Method == "INVITE" || m.Method == "UPDATE"
	switch {
	case !refreshes && (m.Get("Session-Expires") != "" || m.Get("Min-SE") != ""):
		c.blame(m, "session timers are for INVITE and UPDATE")
	case m.Get("Min-SE") != "" && least < shortest:
		c.blame(m, "Min-SE is %q", m.Get("Min-SE"))
	case m.Get("Session-Expires") == "":
	case interval < max(least, shortest):
		c.blame(m, "Session-Expires is %q, Min-SE %q", m.Get("Session-Expires"), m.Get("Min-SE"))
	case refresher != "" && refresher != "uac" && refresher != "uas":
		c.blame(m, "refresher is %q", refresher)
	case !lists(m, "Supported", "timer"):
		c.blame(m, "Session-Expires without Supported: timer")
	}
}

// checkSessionAnswer holds a response against what its request asked for (RFC
// 4028 section 9, table 2).
func (c *Carrier) checkSessionAnswer(req, m *Message) {
	interval, refresher := sessionExpires(m)
	asked, wanted := sessionExpires(req)
	capable := lists(req, "Supported", "timer")
	if m.Status == 422 {
		if least := minSE(m); least < shortest || asked == 0 || asked >= least || !capable {
			c.blame(m, "Min-SE %q to Session-Expires %q", m.Get("Min-SE"), req.Get("Session-Expires"))
		}
		return
	}
	if lists(m, "Require", "timer") != (refresher == "uac") {
		c.blame(m, "Require is %q, the refresher %q", m.Get("Require"), refresher)
	}
	if m.Get("Session-Expires") == "" {
		return
	}
	switch {
	case m.Status/100 != 2:
		c.blame(m, "Session-Expires in a refusal")
	case refresher != "uac" && refresher != "uas":
		c.blame(m, "refresher is %q", refresher)
	case refresher == "uac" && !capable:
		c.blame(m, "it makes us refresh, and we know no timers")
	case wanted != "" && refresher != wanted:
		c.blame(m, "refresher is %q, asked for was %q", refresher, wanted)
	case interval < max(minSE(req), shortest):
		c.blame(m, "a session of %s is too short", interval)
	case asked > 0 && interval > asked:
		c.blame(m, "a session of %s, asked for was %s", interval, asked)
	}
}
