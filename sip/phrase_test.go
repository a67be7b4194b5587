package sip

import "testing"

// Those that are passed on from one side of a call to the other, and told to
// whoever transfers a call.
func TestStatusesThatArePassedOnHaveTheirUsualWords(t *testing.T) {
	for _, status := range []int{
		100, 180, 183, 200, 402, 403, 404, 410, 480, 484, 486, 487, 488, 500, 503, 600, 603, 604, 606, 607, 608,
	} {
		if Phrase(status) == "Refused" {
			t.Errorf("%d has no words", status)
		}
	}
	if got := Phrase(499); got != "Refused" {
		t.Error(got)
	}
}
