package media

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"

	"perezvon/media/sdp"
)

const (
	// replayWindow is how many packets behind the newest one may be late; RFC
	// 3711, section 3.3.2, wants 64 at least.
	replayWindow = 128
	// maxStreams bounds the SSRCs that are accepted under one key, since each
	// is remembered. A side that needs more sends new keys.
	maxStreams = 256
)

// cipher is the encryption of one agreement. Each half lives as long as its
// key: what it knows of packets already seen must not be forgotten before.
type cipher struct {
	in  *inward
	out *outward
}

// String is the name of the suite, empty for plain sound.
func (c *cipher) String() string {
	if c == nil {
		return ""
	}
	return c.out.key.Suite.String()
}

// inward opens what the other side encrypted.
type inward struct {
	key    sdp.Crypto
	rtp    *opener // used by the RTP reader alone, as the next three
	used   *opener // that which opened the last packet
	before *opener // of the key before this one, until this one is seen in use; nil: none
	spare  []byte  // scratch for before

	mu      sync.Mutex
	rtcp    *srtp.Context // guarded by mu
	sources int           // guarded by mu; SSRCs that rtcp knows
}

// opener opens the RTP of one key.
type opener struct {
	context *srtp.Context
	header  rtp.Header // scratch
	streams int        // SSRCs that context knows
}

// outward encrypts what we send.
type outward struct {
	key    sdp.Crypto
	rtp    *srtp.Context // guarded by the sender's mu, as the next three
	header rtp.Header    // scratch
	top    uint64        // the newest packet: how often the sequence began anew, times 65536, and its number
	spent  uint64        // which of the 64 packets up to top there were, the lowest bit for top; 0: none yet

	mu   sync.Mutex
	rtcp *srtp.Context // guarded by mu
}

// cipherFor is the encryption with a key of theirs and one of ours; nil when
// theirs is none. Halves in force go on. s.mu is held.
func (s *Session) cipherFor(theirs, ours sdp.Crypto) (*cipher, error) {
	if theirs.Suite == 0 {
		return nil, nil
	}
	c := &cipher{}
	var in *inward // in force
	if r := s.remote.Load(); r != nil && r.cipher != nil {
		in = r.cipher.in
		if in.key.Same(theirs) {
			c.in = in
		}
		if r.cipher.out.key.Same(ours) {
			c.out = r.cipher.out
		}
	}
	if c.in == nil {
		c.in = &inward{key: theirs, rtp: &opener{}}
		if err := contexts(theirs, &c.in.rtp.context, &c.in.rtcp); err != nil {
			return nil, err
		}
		if in != nil {
			c.in.before = in.rtp
		}
	}
	if c.out == nil {
		c.out = &outward{key: ours}
		if err := contexts(ours, &c.out.rtp, &c.out.rtcp); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// answerKey is what we answer a line of an offer with: the key in force where
// the other side keeps its own, so that a description that says nothing new is
// answered as before, else a fresh one. s.mu is held.
func (s *Session) answerKey(theirs sdp.Crypto) sdp.Crypto {
	if theirs.Suite == 0 {
		return sdp.Crypto{}
	}
	if r := s.remote.Load(); r != nil && r.cipher != nil && r.cipher.in.key.Same(theirs) {
		key := r.cipher.out.key
		key.Tag = theirs.Tag
		return key
	}
	return sdp.NewCrypto(theirs.Tag, theirs.Suite)
}

// contexts makes the states of one key for RTP and RTCP, which are used by
// different goroutines.
func contexts(key sdp.Crypto, both ...**srtp.Context) error {
	profile := srtp.ProtectionProfileAes128CmHmacSha1_80
	if key.Suite == sdp.AESGCM {
		profile = srtp.ProtectionProfileAeadAes128Gcm
	}
	for _, c := range both {
		var err error
		*c, err = srtp.CreateContext(key.Key(), key.Salt(), profile,
			srtp.SRTPReplayProtection(replayWindow), srtp.SRTCPReplayProtection(replayWindow))
		if err != nil {
			return fmt.Errorf("SRTP key: %w", err)
		}
	}
	return nil
}

// openRTP authenticates and decrypts a packet in place. It fails for one that
// was seen before, too. Whoever sends new keys goes on with the old ones until
// he has our answer, and what he sent is under way a while longer (RFC 4568,
// section 7.1.4): the old key holds until a packet comes with the new one.
func (c *inward) openRTP(b []byte) ([]byte, bool) {
	c.used = c.rtp
	if c.before == nil {
		return c.rtp.open(b)
	}
	c.spare = append(c.spare[:0], b...) // a failure may destroy b
	if out, ok := c.rtp.open(b); ok {
		c.before, c.spare = nil, nil
		return out, true
	}
	c.used = c.before
	out, ok := c.before.open(c.spare)
	if !ok {
		return nil, false
	}
	return b[:copy(b, out)], true
}

func (o *opener) open(b []byte) ([]byte, bool) {
	if len(b) < headerLen {
		return nil, false
	}
	_, known := o.context.ROC(binary.BigEndian.Uint32(b[8:]))
	if !known && o.streams >= maxStreams {
		return nil, false
	}
	out, err := o.context.DecryptRTP(b, b, &o.header)
	if err != nil {
		return nil, false
	}
	if !known {
		o.streams++
	}
	return out, true
}

// openRTCP is openRTP for reports, of which one that is under way with the old
// key is not missed.
func (c *inward) openRTCP(b []byte) ([]byte, bool) {
	if len(b) < 8 {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, known := c.rtcp.Index(binary.BigEndian.Uint32(b[4:]))
	if !known && c.sources >= maxStreams {
		return nil, false
	}
	out, err := c.rtcp.DecryptRTCP(b, b, nil)
	if err != nil {
		return nil, false
	}
	if !known {
		c.sources++
	}
	return out, true
}

// spend takes a sequence number for a packet. It is false for one that was
// taken, and for one so late that nobody knows: two packets under one number
// are encrypted with the same bits, and who sees both learns about their sound
// (RFC 3711, section 9.1). A party whose plain sound is relayed could bring that
// about. The sender's mu is held.
func (c *outward) spend(seq uint16) bool {
	if c.spent == 0 {
		c.top, c.spent = uint64(seq), 1
		return true
	}
	step := int16(seq - uint16(c.top))
	if step > 0 {
		c.top += uint64(step)
		c.spent = c.spent<<step | 1
		return true
	}
	late := -int64(step)
	bit := uint64(1) << late
	if bit == 0 || c.spent&bit != 0 || uint64(late) > c.top {
		return false
	}
	c.spent |= bit
	return true
}

// sealRTP encrypts a packet, in place where its buffer goes on behind it. The
// sender's mu is held.
func (c *outward) sealRTP(b []byte) ([]byte, error) {
	return c.rtp.EncryptRTP(b, b, &c.header)
}

// sealRTCP encrypts a report.
func (c *outward) sealRTCP(b []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rtcp.EncryptRTCP(nil, b, nil)
}
