package sip

import "net/netip"

// match says whose request this is: the exact address of a phone, else the
// exact address of a trunk, else a phone that is registered from that IP and
// named in From, else the trunks of that IP, else a phone by IP. A phone's own
// address never makes it a trunk. user is that of From.
func (d *directory) match(from netip.AddrPort, user string) (trunks []string, ext string) {
	if ext := d.phone(user, func(e *endpoint) bool { return e.at(from) }); ext != "" {
		return nil, ext
	}
	if ext := d.phones.at(from, user); ext != "" {
		return nil, ext
	}
	for _, t := range d.trunks() {
		if t.at(from) {
			trunks = append(trunks, t.Name)
		}
	}
	if len(trunks) > 0 {
		return trunks, ""
	}
	if d.phones.holds(user, from.Addr()) {
		return nil, user
	}
	for _, t := range d.trunks() {
		if t.mayUse(from.Addr()) {
			trunks = append(trunks, t.Name)
		}
	}
	if len(trunks) > 0 {
		return trunks, ""
	}
	if ext := d.phone(user, func(e *endpoint) bool { return e.on(from.Addr()) }); ext != "" {
		return nil, ext
	}
	return nil, d.phones.any(from.Addr())
}

// phone returns the extension whose address fits; of several behind one
// address the one with this user.
func (d *directory) phone(user string, fits func(*endpoint) bool) string {
	found := ""
	for _, e := range d.extensions() {
		if e.hop == nil || !fits(e.hop) {
			continue
		}
		if e.Number == user || userOf(e.uri.User) == user {
			return e.Number
		}
		if found == "" {
			found = e.Number
		}
	}
	return found
}
