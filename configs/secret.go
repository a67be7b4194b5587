package configs

// Secret is a value that never shows itself: printing, logging or marshalling
// it gives stars. Only Reveal returns what it holds.
type Secret struct{ value string }

// NewSecret wraps a value that must not be shown.
func NewSecret(value string) Secret { return Secret{value: value} }

// Reveal returns the hidden value, for the one place that needs it.
func (s Secret) Reveal() string { return s.value }

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.value == "" }

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

// MarshalText hides the value from JSON, YAML and slog.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
