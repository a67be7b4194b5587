package sip

import (
	"context"
	"errors"
	"strconv"
	"strings"

	sipmsg "github.com/emiago/sipgo/sip"
)

// maxReasons bounds how many values of a Reason header are kept.
const maxReasons = 8

// Reason is one value of a Reason header (RFC 3326).
type Reason struct {
	Protocol string `json:"protocol"` // "SIP" or "Q.850"
	Cause    int    `json:"cause"`    // 0: not given
	Text     string `json:"text,omitempty"`
}

// String is the header value.
func (r Reason) String() string {
	var b strings.Builder
	b.WriteString(token(r.Protocol))
	if r.Cause > 0 {
		b.WriteString(";cause=")
		b.WriteString(strconv.Itoa(r.Cause))
	}
	if r.Text != "" {
		b.WriteString(`;text="`)
		b.WriteString(quotable(r.Text))
		b.WriteByte('"')
	}
	return b.String()
}

// reasonsOf asks the cause of an ended context for the Reason headers of what
// the end makes us send.
func reasonsOf(ctx context.Context) []Reason {
	var with interface{ SIPReasons() []Reason }
	if errors.As(context.Cause(ctx), &with) {
		return with.SIPReasons()
	}
	return nil
}

func addReasons(m sipmsg.Message, reasons []Reason) {
	for _, r := range reasons {
		m.AppendHeader(sipmsg.NewHeader("Reason", r.String()))
	}
}

// messageReasons reads the Reason headers of a message.
func messageReasons(m sipmsg.Message) []Reason {
	var all []Reason
	for _, h := range headersOf(m, "reason") {
		all = append(all, parseReasons(h.Value())...)
	}
	return all[:min(len(all), maxReasons)]
}

// parseReasons reads one header value, which may be a list. What it does not
// understand it leaves out.
func parseReasons(value string) []Reason {
	var out []Reason
	for _, item := range splitQuoted(value, ',') {
		parts := splitQuoted(item, ';')
		r := Reason{Protocol: strings.TrimSpace(parts[0])}
		if r.Protocol == "" || len(out) == maxReasons {
			continue
		}
		for _, p := range parts[1:] {
			name, val, _ := strings.Cut(p, "=")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "cause":
				if n, err := strconv.Atoi(strings.TrimSpace(val)); err == nil && n > 0 && n < 1000 {
					r.Cause = n
				}
			case "text":
				r.Text = plainText(unquote(strings.TrimSpace(val)))
			}
		}
		out = append(out, r)
	}
	return out
}
