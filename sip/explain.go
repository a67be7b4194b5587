package sip

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"time"
)

// Error implements error. The text is for whoever looks after the telephones:
// what happened, where and after how long. What lies behind it is in Err.
func (f *Failure) Error() string {
	switch f.Kind {
	case Rejected:
		return f.response()
	case NoResponse:
		return "no answer" + before(" from ", f.Destination) + f.within() + f.comesBack()
	case NoRinging:
		if f.Destination == "" {
			return "it did not ring" + f.within()
		}
		return f.Destination + " did not ring" + f.within()
	case RingTimeout:
		return "not answered" + f.within()
	case Cancelled:
		if f.Err == nil {
			return "cancelled by the caller"
		}
		return f.Err.Error()
	case Transport:
		return "cannot send" + before(" to ", f.Destination) + because(innermost(f.Err)) + f.comesBack()
	case Unresolved:
		if errors.Is(f.Err, ErrUnknownTarget) {
			return ErrUnknownTarget.Error() + before(": ", f.Destination)
		}
		return "host" + before(" ", f.Destination) + " has no address" + before(": ", dnsReason(f.Err))
	case NotRegistered:
		if f.away {
			return "extension " + f.Destination + " cannot be reached" + f.comesBack()
		}
		return "extension " + f.Destination + " is not registered"
	case Full:
		return "trunk" + before(" ", f.Destination) + " takes no further call" + because(f.Err)
	case BadMedia:
		return "no usable media" + because(f.Err)
	}
	if errors.Is(f.Err, ErrClosed) {
		return ErrClosed.Error()
	}
	return "internal error" + because(f.Err)
}

// comesBack says what a phone without a connection does by itself.
func (f *Failure) comesBack() string {
	if !f.away {
		return ""
	}
	return "; the connection that the phone registered by has ended, and it comes back with its next registration"
}

// Unwrap returns Err.
func (f *Failure) Unwrap() error { return f.Err }

// response is the final response, and why there was one if somebody said so.
func (f *Failure) response() string {
	text := strings.TrimSpace(strconv.Itoa(f.Status) + " " + f.Phrase)
	for _, r := range f.Reasons {
		switch {
		case !strings.EqualFold(r.Protocol, "Q.850"):
			continue
		case r.Text != "" && !strings.EqualFold(r.Text, f.Phrase):
			return text + " (" + r.Text + ")"
		case r.Text == "" && r.Cause > 0:
			return text + " (Q.850 cause " + strconv.Itoa(r.Cause) + ")"
		}
		break
	}
	return text
}

func (f *Failure) within() string {
	if f.Waited <= 0 {
		return ""
	}
	return " within " + span(f.Waited)
}

// span writes a limit as people do: 3m, not 3m0s.
func span(d time.Duration) string {
	s := d.Round(time.Millisecond).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func before(separator, s string) string {
	if s == "" {
		return ""
	}
	return separator + s
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// innermost follows an error to its root, where what the kernel said is.
func innermost(err error) error {
	for {
		if next := errors.Unwrap(err); next != nil {
			err = next
			continue
		}
		var many interface{ Unwrap() []error }
		if !errors.As(err, &many) || len(many.Unwrap()) == 0 {
			return err
		}
		err = many.Unwrap()[0]
	}
}

// dnsReason says in a few words why a name has no address.
func dnsReason(err error) string {
	if err == nil {
		return ""
	}
	dns, ok := errors.AsType[*net.DNSError](err)
	switch {
	case ok && dns.IsNotFound:
		return "no such host"
	case ok && dns.IsTimeout, errors.Is(err, context.DeadlineExceeded):
		return "the DNS server did not answer"
	case ok:
		return "DNS: " + strings.TrimSpace(dns.Err[strings.LastIndex(dns.Err, ": ")+1:])
	}
	return innermost(err).Error()
}

// reasonOf is an error for the log: what a Failure inside says, else all of it.
func reasonOf(err error) string {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f.Error()
	}
	return err.Error()
}
