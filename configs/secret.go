package configs

import (
	"crypto/subtle"
	"fmt"
	"io"
	"strings"
)

// Secret is a value that never shows itself: printing, logging or marshalling
// it gives stars. Only Reveal returns what it holds.
type Secret struct{ value string }

// NewSecret wraps a value that must not be shown.
func NewSecret(value string) Secret { return Secret{value: value} }

// Reveal returns the hidden value, for the one place that needs it.
func (s Secret) Reveal() string { return s.value }

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.value == "" }

// Hidden names where a secret would be that was not looked up; empty: it was.
func (s Secret) Hidden() string {
	at, ok := strings.CutPrefix(s.value, standIn)
	if !ok {
		return ""
	}
	return at
}

// Equal compares two secrets in a time that does not depend on where they
// differ.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.value), []byte(other.value)) == 1
}

const stars = "***"

// String hides the value.
func (s Secret) String() string {
	if s.value == "" {
		return ""
	}
	return stars
}

// GoString hides the value from %#v.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// Format hides the value from every verb of fmt, also those that would look
// inside, such as %d.
func (s Secret) Format(f fmt.State, verb rune) {
	text := s.String()
	if verb == 'q' || f.Flag('#') {
		text = s.GoString()
	}
	_, _ = io.WriteString(f, text) // the printer keeps its own error
}

// MarshalText hides the value from JSON, YAML and slog.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
