package route

import "testing"

func TestFormatWritesNumbersAsTrunksWantThem(t *testing.T) {
	for _, tt := range []struct{ number, format, region, want string }{
		{"+79160000000", "plus", "RU", "+79160000000"},
		{"+79160000000", "digits", "RU", "79160000000"},
		{"+79160000000", "national", "RU", "89160000000"},
		{"+79160000000", "national", "ru", "89160000000"},
		{"+79160000000", "raw", "RU", "+79160000000"},
		{"+74950000000", "national", "RU", "84950000000"},
		{"+77270000000", "national", "RU", "87270000000"},
		{"+442079460000", "national", "RU", "810442079460000"},
		{"+442079460000", "national", "GB", "02079460000"},
		{"+390612345678", "national", "IT", "0612345678"},
		{"+34910000000", "national", "ES", "910000000"},
		{"+79160000000", "national", "US", "01179160000000"},
		{"101", "digits", "RU", "101"},
		{"*98#", "national", "RU", "*98#"},
		{"+junk", "national", "RU", "+junk"},
		{"", "plus", "RU", ""},
	} {
		if got := Format(tt.number, tt.format, tt.region); got != tt.want {
			t.Errorf("Format(%q, %s, %s) = %q, want %q", tt.number, tt.format, tt.region, got, tt.want)
		}
	}
}
