package trace

import "fmt"

// meaningOf says what a refusal of our INVITE means, and what to do about it;
// empty: nothing.
func meaningOf(t *talk, trunk bool) (meaning, advice string) {
	switch status := t.final.p.status; status {
	case 401, 407:
		return credentials(t)
	case 406, 415, 488, 606:
		return fmt.Sprintf("it takes none of what we offered (%s), or wants encryption, or wants none", list(codecsOf(t.ours))),
			"look at media.codecs and at srtp here, and at the codecs there"
	case 403:
		if trunk {
			return "the provider knows us and does not let us call",
				"ask the provider: the account may be blocked, the number or the destination not allowed, or the caller id not ours"
		}
		return "the phone does not let us call it", "look at whom the phone accepts calls from"
	case 404, 410, 604:
		if trunk {
			return "there is no such number for the provider", "look at the number in the INVITE: trunks[].format says how numbers are written"
		}
		return "nobody of that name is at the phone", "look at the user in the extension's contact"
	case 480:
		if trunk {
			return "who was called cannot be reached: the phone is off or out of reach", ""
		}
		return "the phone is there and takes no calls, or nobody is registered", "look at its do-not-disturb and at its account"
	case 486, 600:
		return "it is busy", ""
	case 603, 607, 608:
		return "the call was declined", ""
	case 408:
		return "nothing answered behind it in time", ""
	}
	return meaningOfRest(t.final.p.status)
}

func meaningOfRest(status int) (meaning, advice string) {
	switch status {
	case 400:
		return "it does not understand our message", "see the message itself, and whether a router on the way rewrites SIP (an ALG): switch that off"
	case 402:
		return "it wants money", "top up the account at the provider"
	case 405, 501:
		return "it does not know INVITE", "what answers there is no telephone system: check address and port"
	case 413, 513:
		return "our message is too large for it", "use transport tcp"
	case 416, 485:
		return "it cannot make out whom we call", "look at the number in the INVITE and at trunks[].format"
	case 420, 421, 494:
		return "it insists on something that we do not have", "see the message itself: Require, Unsupported, Security-Server"
	case 422, 423:
		return "it wants longer sessions than we could agree on", ""
	case 481:
		return "it does not know the call", "a proxy between may have been restarted"
	case 482, 483:
		return "the call went round in circles", "look at the forwards of all machines it passes"
	case 484:
		return "the number is not complete", "look at the number in the INVITE and at trunks[].format"
	case 487:
		return "the call was given up there", ""
	case 491:
		return "it was doing something else to the call at that moment", ""
	case 503:
		return "it cannot take the call now: overloaded, all its lines are busy, or it has no way on", "ask the provider how many calls the account may have; a second trunk of the line takes over"
	case 504, 580:
		return "something behind it did not answer in time", "ask the provider; a second trunk of the line takes over"
	}
	switch {
	case status < 400:
		return "it points elsewhere, and we do not follow", "take the forward out there"
	case status < 500:
		return "it refuses the call", "see the message itself"
	case status < 600:
		return "it has trouble of its own", "ask whoever runs it; a second trunk of the line takes over"
	}
	return "nobody wants the call", ""
}

// credentials is a challenge that stayed the last word.
func credentials(t *talk) (meaning, advice string) {
	if t.signed {
		return "it does not take our credentials", "check username, auth_user, password and domain of the trunk"
	}
	return "it wants credentials and we have none for it", "give the trunk its username and password"
}
