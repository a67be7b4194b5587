package sip

import (
	"sync"

	sipmsg "github.com/emiago/sipgo/sip"
)

// sent knows the requests whose transactions are under way. The transaction
// layer matches a response by branch and method alone (RFC 3261 17.1.3); one
// that differs in anything else is an answer to something we never asked.
type sent struct {
	mu    sync.Mutex
	byKey map[string]identity // guarded by mu; by the transaction layer's key
}

// identity is what a response repeats of its request (RFC 3261 8.2.6.2).
type identity struct {
	callID, fromTag string
	seq             uint32
}

func identityOf(m sipmsg.Message) identity {
	id := identity{callID: callID(m), fromTag: fromTag(m)}
	if s := m.CSeq(); s != nil {
		id.seq = s.SeqNo
	}
	return id
}

func (s *sent) init() { s.byKey = make(map[string]identity) }

// add notes a request that is about to be sent.
func (s *sent) add(req *sipmsg.Request) (forget func()) {
	key, err := sipmsg.ClientTxKeyMake(req)
	if err != nil { // it will not be sent either
		return func() {}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byKey[key] = identityOf(req)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.byKey, key)
	}
}

// fits reports whether a response is one to the request that its branch names.
// Of a branch that nothing is known of it is true: no transaction will take it.
func (s *sent) fits(res *sipmsg.Response) bool {
	key, err := sipmsg.ClientTxKeyMake(res)
	if err != nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	want, known := s.byKey[key]
	return !known || want == identityOf(res)
}

// disown gives a response a branch that is nobody's, so that the transaction
// layer, which sees every message too, has nothing to give it to.
func disown(res *sipmsg.Response) {
	if v := res.Via(); v != nil {
		v.Params.Add("branch", sipmsg.RFC3261BranchMagicCookie+"-astray")
	}
}
