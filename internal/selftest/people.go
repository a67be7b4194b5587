package selftest

import (
	"fmt"
	"time"

	"perezvon/internal/lab"
)

// The people of a scenario.
const (
	anna     = "Anna"
	boris    = "Boris"
	vera     = "Vera"
	mobile   = "mobile" // a manager's, behind the provider
	customer = "customer"
	second   = "second customer"
	third    = "third customer"
	caller   = "caller" // the customer, where he calls
)

// viaBackup marks who was reached through the line's second trunk.
const viaBackup = " (backup)"

// everybody is all of them in the order in which they are told.
func everybody() []string {
	return []string{anna, boris, vera, mobile, customer, customer + viaBackup, second, third, caller}
}

// pitches are apart from another, from the ringing tone (425 Hz) and from the
// beeps that stand in for speech (950 Hz). Neighbouring scenarios are in
// different keys, so that a call that reaches the wrong people is heard.
func pitch(who string, scenario int) float64 {
	shift := float64(scenario%8) * 15
	switch who {
	case anna:
		return 500 + shift
	case boris:
		return 650 + shift
	case vera:
		return 800 + shift
	case mobile:
		return 1000 + shift
	case customer:
		return 1200 + shift
	case customer + viaBackup:
		return 1400 + shift
	case second:
		return 1550 + shift
	case third:
		return 1750 + shift
	default: // caller
		return 1900 + shift
	}
}

// networkTone is what a far network plays while it rings.
const networkTone = 2200.0

// Steps that many people take.

// answers rings and answers soon.
func answers() lab.Script { return lab.Script{lab.Ring(0), lab.Answer(200 * time.Millisecond)} }

// talk is how long people talk where nothing else matters: long enough to be
// heard.
const talk = 1800 * time.Millisecond

// talks answers, talks and hangs up.
func talks(d time.Duration) lab.Script { return append(answers(), lab.Talk(d), lab.Bye()) }

// rings is never answered.
func rings() lab.Script { return lab.Script{lab.Ring(0)} }

// refuses rings for a moment and is then refused.
func refuses(status int, headers ...string) lab.Script {
	return lab.Script{lab.Ring(0), lab.Wait(300 * time.Millisecond), lab.Reject(status, phrase(status), headers...)}
}

// refusesAtOnce does not ring.
func refusesAtOnce(status int, headers ...string) lab.Script {
	return lab.Script{lab.Reject(status, phrase(status), headers...)}
}

func phrase(status int) string {
	switch status {
	case 486, 600:
		return "Busy"
	case 603:
		return "Decline"
	case 404:
		return "Not Found"
	}
	return fmt.Sprintf("Status %d", status)
}
