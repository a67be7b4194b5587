package configs

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// word is what a name or a key may consist of.
var word = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z_.-]{0,63}$`)

// leaf is how one type of value is read from its text.
type leafType struct {
	example string // for the message when something else than text stands there
	parse   func(d *decoder, text string) (any, error)
}

// leaves are the types of single values.
var leaves = map[reflect.Type]leafType{
	reflect.TypeFor[string]():         {"a text", func(_ *decoder, s string) (any, error) { return s, nil }},
	reflect.TypeFor[bool]():           {"true or false", func(_ *decoder, s string) (any, error) { return parseBool(s) }},
	reflect.TypeFor[int]():            {"a whole number", func(_ *decoder, s string) (any, error) { return parseInt(s) }},
	reflect.TypeFor[float64]():        {"a number such as 1.2", func(_ *decoder, s string) (any, error) { return parseNumber(s) }},
	reflect.TypeFor[time.Duration]():  {"a duration such as 25s", func(_ *decoder, s string) (any, error) { return parseDuration(s) }},
	reflect.TypeFor[netip.AddrPort](): {"an address such as 127.0.0.1:8080", func(_ *decoder, s string) (any, error) { return parseAddrPort(s) }},
	reflect.TypeFor[netip.Prefix]():   {"an address or network such as 192.0.2.0/28", func(_ *decoder, s string) (any, error) { return parsePrefix(s) }},
	reflect.TypeFor[Percent]():        {"a percentage such as 60%", func(_ *decoder, s string) (any, error) { return parsePercent(s) }},
	reflect.TypeFor[PortRange]():      {"a range such as 20000-39999", func(_ *decoder, s string) (any, error) { return parsePorts(s) }},
	reflect.TypeFor[Room]():           {"a size such as 1GiB, or a share such as 5%", func(_ *decoder, s string) (any, error) { return parseRoom(s) }},
	reflect.TypeFor[Listen]():         {"an address such as udp://0.0.0.0:5060", func(_ *decoder, s string) (any, error) { return parseListen(s) }},
	reflect.TypeFor[Store]():          {"sqlite or an address such as " + exampleRedis, func(d *decoder, s string) (any, error) { return d.store(s) }},
	reflect.TypeFor[Secret]():         {"env:NAME, file:PATH or the secret itself", func(d *decoder, s string) (any, error) { return d.secret(s) }},
}

// scalar returns the text of a node that must be a single value.
func (d *decoder) scalar(n *yaml.Node, path, example string) (string, bool) {
	if n.Kind != yaml.ScalarNode || isNull(n) {
		d.failAt(placeOf(n), path, "expected %s, found %s", example, describe(n))
		return "", false
	}
	return n.Value, true
}

// leaf reads one value and holds it against the tags of its field.
func (d *decoder) leaf(n *yaml.Node, text string, v reflect.Value, path string, tags reflect.StructTag, t leafType) {
	if strings.ContainsFunc(text, isControl) {
		d.failAt(placeOf(n), path, "contains a control character or a line break")
		return
	}
	value, err := t.parse(d, text)
	if wrong, ok := errors.AsType[*durationError](err); ok {
		err = wrong.within(tags)
	}
	if err == nil {
		err = checkTags(value, tags)
	}
	if err != nil {
		d.failAt(placeOf(n), path, "%v", err)
		return
	}
	v.Set(reflect.ValueOf(value))
}

func checkTags(value any, tags reflect.StructTag) error {
	switch v := value.(type) {
	case string:
		if v == "" && tags.Get("need") != "" {
			return errors.New("must not be empty")
		}
		return checkWord(v, tags.Get("oneof"))
	case time.Duration:
		text := shortDuration
		if inDays(tags) {
			text = days
		}
		return checkRange(v, tags.Get("range"), parseDuration, text)
	case float64:
		return checkRange(v, tags.Get("range"), parseNumber, func(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) })
	case int:
		return checkRange(v, tags.Get("range"), parseInt, strconv.Itoa)
	}
	return nil
}

// unavailable are words that the interface names and this version does not
// have.
var unavailable = []string{"ws", "wss"}

func checkWord(v, oneof string) error {
	if oneof == "" {
		return nil
	}
	valid := strings.Split(oneof, ",")
	switch {
	case slices.Contains(valid, v):
		return nil
	case slices.Contains(unavailable, v):
		return fmt.Errorf("%s is not available in this version; valid: %s", show(v), strings.Join(valid, ", "))
	}
	return fmt.Errorf("unknown value %s%s", show(v), hint(v, valid))
}

func checkRange[T int | float64 | time.Duration](v T, limits string, parse func(string) (T, error), text func(T) string) error {
	if limits == "" {
		return nil
	}
	low, high, _ := strings.Cut(limits, "..")
	least, err1 := parse(low)
	most, err2 := parse(high)
	if err := errors.Join(err1, err2); err != nil {
		panic("configs: range tag " + limits) // a tag of config.go; the tests read them all
	}
	if v < least || v > most {
		return fmt.Errorf("%s is out of range: %s to %s", text(v), low, high)
	}
	return nil
}

func parseBool(s string) (bool, error) {
	switch s {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	switch strings.ToLower(s) {
	case "yes", "on", "y", "1", "true":
		return false, fmt.Errorf("expected true or false, found %s; write true", show(s))
	case "no", "off", "n", "0", "false":
		return false, fmt.Errorf("expected true or false, found %s; write false", show(s))
	}
	return false, fmt.Errorf("expected true or false, found %s", show(s))
}

func parseInt(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("expected a whole number, found %s", show(s))
	}
	return n, nil
}

func parsePercent(s string) (Percent, error) {
	digits, ok := strings.CutSuffix(s, "%")
	n, err := strconv.Atoi(digits)
	switch {
	case err != nil:
		return 0, fmt.Errorf("expected a percentage such as 60%%, found %s", show(s))
	case !ok:
		return 0, fmt.Errorf("a percentage ends in %%: write %d%%", n)
	case n < 0 || n > 100:
		return 0, fmt.Errorf("%d%% is out of range: 0%% to 100%%", n)
	}
	return Percent(n), nil
}

func parseNumber(s string) (float64, error) {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(n) {
		return 0, fmt.Errorf("expected a number such as 1.2, found %s", show(s))
	}
	return n, nil
}

func parseDuration(s string) (time.Duration, error) {
	if v, err := time.ParseDuration(s); err == nil && (s != "0" && v >= 0) {
		return v, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n < 10000 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	return 0, &durationError{s}
}

// durationError is a text that is no duration, possibly for want of a unit.
type durationError struct{ text string }

func (e *durationError) Error() string { return e.within("").Error() }

// within advises what the range of the field allows: in days where it is told
// in days.
func (e *durationError) within(tags reflect.StructTag) error {
	units, such, example := []string{"s", "m", "h"}, "25s or 30m", "25s, 30m or 1h30m"
	if inDays(tags) {
		units, such, example = []string{"d"}, exampleDays, exampleDays
	}
	n, err := strconv.Atoi(e.text)
	if err != nil || n < 0 {
		return fmt.Errorf("expected a duration such as %s, found %s", example, show(e.text))
	}
	var words []string
	for _, unit := range units {
		text := strconv.Itoa(n) + unit
		if d, err := parseDuration(text); err == nil && checkTags(d, tags) == nil {
			words = append(words, text)
		}
	}
	if len(words) == 0 {
		return errors.New("a duration needs a unit, such as " + such)
	}
	last := max(len(words)-2, 0)
	return errors.New("a duration needs a unit: write " + strings.Join(append(words[:last], strings.Join(words[last:], " or ")), ", "))
}

// exampleDays is a duration as it stands where days are counted.
const exampleDays = "180d"

// inDays reports whether the range of a field is told in days.
func inDays(tags reflect.StructTag) bool { return strings.HasSuffix(tags.Get("range"), "d") }

// shortDuration writes a duration as a person would: 30m, not 30m0s.
func shortDuration(v time.Duration) string {
	s := v.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func parseAddrPort(s string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddrPort(s); err == nil {
		return a, knowable(a)
	}
	host, port, ok := strings.Cut(s, ":")
	switch {
	case ok && host == "" && isPort(port):
		return netip.AddrPort{}, fmt.Errorf("the address is missing: write 127.0.0.1:%s for this machine only, 0.0.0.0:%s for all networks", port, port)
	case ok && host == "localhost" && isPort(port):
		return netip.AddrPort{}, fmt.Errorf("expected a numeric address: write 127.0.0.1:%s", port)
	case isPort(s):
		return netip.AddrPort{}, fmt.Errorf("the address is missing: write 127.0.0.1:%s", s)
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPort{}, fmt.Errorf("the port is missing: write an address with a port such as %s:8080", s)
	}
	return netip.AddrPort{}, fmt.Errorf("expected a numeric address with a port such as 127.0.0.1:8080, found %s", show(s))
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("expected an address or network such as 192.0.2.10 or 192.0.2.0/28, found %s", show(s))
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("%s is an address inside a network: write %s for the network or %s for the address", p, p.Masked(), p.Addr())
	}
	if p.Bits() == 0 {
		return netip.Prefix{}, fmt.Errorf("%s is everybody: name the addresses that the trunk sends from", p)
	}
	return p, nil
}

func parsePorts(s string) (PortRange, error) {
	low, high, ok := strings.Cut(s, "-")
	first, err1 := strconv.ParseUint(strings.TrimSpace(low), 10, 16)
	last, err2 := strconv.ParseUint(strings.TrimSpace(high), 10, 16)
	if !ok || err1 != nil || err2 != nil {
		return PortRange{}, fmt.Errorf("expected a range of ports such as 20000-39999, found %s", show(s))
	}
	const lowest, fewest = 1024, 4
	switch {
	case first < lowest:
		return PortRange{}, fmt.Errorf("ports below %d belong to the system", lowest)
	case last <= first || last-first+1 < fewest:
		return PortRange{}, fmt.Errorf("a call needs %d ports: two for each side", fewest)
	case first%2 != 0:
		return PortRange{}, fmt.Errorf("the first port must be even: write %d-%d", first+1, last|1)
	case last%2 == 0:
		return PortRange{}, fmt.Errorf("the last port must be odd, ports come in pairs: write %d-%d", first, last-1)
	}
	return PortRange{First: uint16(first), Last: uint16(last)}, nil
}

func parseListen(s string) (Listen, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		if _, err := netip.ParseAddrPort(s); err == nil {
			return Listen{}, fmt.Errorf("the transport is missing: write udp://%s", s)
		}
		return Listen{}, fmt.Errorf("expected transport and address such as udp://0.0.0.0:5060, found %s", show(s))
	}
	switch u.Scheme {
	case "udp", "tcp", "tls":
	case "ws", "wss":
		return Listen{}, fmt.Errorf("%s:// is not available in this version: SIP listens on udp://, tcp:// and tls://", u.Scheme)
	default:
		return Listen{}, fmt.Errorf("unknown transport %s; write udp://, tcp:// or tls://", show(u.Scheme))
	}
	addr, err := netip.ParseAddrPort(u.Host)
	if err != nil {
		return Listen{}, fmt.Errorf("expected a numeric address with a port such as udp://0.0.0.0:5060, found %s", show(s))
	}
	if !addr.Addr().Is4() {
		return Listen{}, errors.New("IPv6 is not available in this version: SIP listens on IPv4 addresses")
	}
	return Listen{Transport: u.Scheme, Addr: addr}, knowable(addr)
}

// knowable refuses port 0, behind which is another one after every start.
func knowable(a netip.AddrPort) error {
	if a.Port() == 0 {
		return errors.New("port 0 is any free one, which nobody would know: give one from 1 to 65535")
	}
	return nil
}

// String returns the address as it is written in the configuration.
func (l Listen) String() string { return l.Transport + "://" + l.Addr.String() }

// String returns the range as it is written in the configuration.
func (p PortRange) String() string { return fmt.Sprintf("%d-%d", p.First, p.Last) }
