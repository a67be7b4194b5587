package sip

import "strings"

// tortureMessage is a message after one of RFC 4475, for a user agent at
// 10.0.0.1 from its trunk at 10.0.0.9.
type tortureMessage struct {
	name    string // as the RFC calls it
	section string
	text    string // lines end in LF here
}

// wire is the message as it is sent.
func (m tortureMessage) wire() string {
	return strings.ReplaceAll(m.text, "\n", "\r\n")
}

// tortureSDP is a description that a message may carry: 105 bytes on the wire.
const tortureSDP = `v=0
o=mhandley 29739 7272939 IN IP4 10.0.0.9
s=-
c=IN IP4 10.0.0.9
t=0 0
m=audio 49216 RTP/AVP 8 0
`

// tortureHead is what an ordinary INVITE of them has.
func tortureHead(method, id string) string {
	return method + ` sip:user@10.0.0.1 SIP/2.0
Via: SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bK` + id + `
Max-Forwards: 70
To: <sip:user@10.0.0.1>
From: <sip:caller@10.0.0.9>;tag=` + id + `tag
Call-ID: ` + id + `@10.0.0.9
CSeq: 8 ` + method + `
Contact: <sip:caller@10.0.0.9>
`
}

// with replaces one line of a message.
func with(text, line, by string) string {
	if !strings.Contains(text, line) {
		panic("no line " + line)
	}
	return strings.Replace(text, line, by, 1)
}

const tortureOffer = "Content-Type: application/sdp\nContent-Length: 105\n\n" + tortureSDP

const noBody = "Content-Length: 0\n\n"

// tortureValid are the messages of section 3.1.1: unusual, and to be
// understood.
func tortureValid() []tortureMessage {
	return []tortureMessage{
		{"wsinv", "3.1.1.1", `INVITE sip:vivekg@10.0.0.1;unknownparam SIP/2.0
TO :
 sip:vivekg@10.0.0.1 ;   tag    = 
from   : "J Rosenberg \\\""       <sip:jdrosen@10.0.0.9>
  ;
  tag = 98asjd8
MaX-fOrWaRdS: 0068
Call-ID: wsinv.ndaksdj@192.0.2.1
Content-Length   : 105
cseq: 0009
  INVITE
Via  : SIP  /   2.0
 /UDP
    10.0.0.9:5060;branch=z9hG4bK390skdjuw
s :
NewFangledHeader:   newfangled value
 continued newfangled value
UnknownHeaderWithUnusualValue: ;;,,;;,;
Content-Type: application/sdp
Route:
 <sip:services.example.com;lr;unknownwith=value;unknown-no-value>
v:  SIP  / 2.0  / TCP     spindle.example.com   ;
  branch  =   z9hG4bK9ikj8  ,
 SIP  /    2.0   / UDP  192.168.255.111   ; branch=
 z9hG4bK30239
m:"Quoted string \"\"" <sip:jdrosen@10.0.0.9> ; newparam =
      newvalue ;
  secondparam ; q = 0.33

` + tortureSDP},
		{"intmeth", "3.1.1.2", "!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@10.0.0.1 SIP/2.0\n" +
			"Via: SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bK-.!%66*_+`'~\n" +
			"To: \"BEL:\x07 NUL:\\\x00 DEL:\x7f\" <sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@10.0.0.1>\n" +
			"From: token1~` token2'+_ token3*%!.- <sip:mundane@10.0.0.9>;fromParam''~+*_!.-%=\"работающий\";tag=_token~1'+`*%!-.\n" +
			"Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{\n" +
			"CSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~\n" +
			"Max-Forwards: 255\n" +
			"extensionHeader-!.%*+_`'~:\xef\xbb\xbf大停電\n" + noBody},
		{"esc01", "3.1.1.3", with(with(tortureHead("INVITE", "esc01"), "sip:user@10.0.0.1 ", "sip:sips%3Auser%40example.com@10.0.0.1 "),
			"<sip:caller@10.0.0.9>;", "<sip:I%20have%20spaces@10.0.0.9>;") + tortureOffer},
		{"escnull", "3.1.1.4", with(tortureHead("REGISTER", "escnull"), "Contact: <sip:caller@10.0.0.9>",
			"Contact: <sip:%00@host5.example.com>\nContact: <sip:%00%00@host5.example.com>") + noBody},
		{"esc02", "3.1.1.5", tortureHead("RE%47IST%45R", "esc02") + noBody},
		{"lwsdisp", "3.1.1.6", with(tortureHead("OPTIONS", "lwsdisp"), "From: <sip:caller", "From: caller<sip:caller") + noBody},
		{"longreq", "3.1.1.7", with(with(tortureHead("INVITE", "longreq"), "To: <sip:user@10.0.0.1>",
			`To: "I have a user name of `+strings.Repeat("extreme ", 20)+`proportion" <sip:user@10.0.0.1:5060;unknownparam1=very`+strings.Repeat("long", 40)+`value;longparam`+strings.Repeat("name", 30)+`=shortvalue>;unknownheaderparam`+strings.Repeat("name", 20)),
			"Call-ID: longreq", "Call-ID: longreq.one"+strings.Repeat("really", 20)+"longcallid") + tortureOffer},
		{"dblreq", "3.1.1.8", tortureHead("OPTIONS", "dblreq") + noBody + "INVITE sip:joe@10.0.0.1 SIP/2.0\nt: <sip:joe@10.0.0.1>\n"},
		{"semiuri", "3.1.1.9", with(tortureHead("OPTIONS", "semiuri"), "sip:user@10.0.0.1 ", "sip:user;par=u%40example.net@10.0.0.1 ") + noBody},
		{"transports", "3.1.1.10", with(tortureHead("OPTIONS", "transports"), "Max-Forwards", `Via: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKklasjdhf
Via: SIP/2.0/TLS t3.example.com;branch=z9hG4bK2980unddj
Via: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKasd0f3en
Max-Forwards`) + noBody},
		{"mpart01", "3.1.1.11", tortureHead("INVITE", "mpart01") + "Content-Type: multipart/mixed;boundary=7a9cbec02ceef655\nContent-Length: 227\n\n" +
			"--7a9cbec02ceef655\nContent-Type: application/sdp\n\n" + tortureSDP + "--7a9cbec02ceef655\nContent-Type: text/x\n\nx\n--7a9cbec02ceef655--\n"},
		{"unreason", "3.1.1.12", "SIP/2.0 200 = 2**3 * 5**2 но сто девяносто девять\n" + tortureReply("unreason")},
		{"noreason", "3.1.1.13", "SIP/2.0 100 \n" + tortureReply("noreason")},
	}
}

// tortureReply is the rest of a response to nothing that we have asked.
func tortureReply(id string) string {
	_, rest, _ := strings.Cut(tortureHead("INVITE", id), "\n")
	return rest + noBody
}

// tortureInvalid are the messages of section 3.1.2.
func tortureInvalid() []tortureMessage {
	return []tortureMessage{
		{"badinv01", "3.1.2.1", with(with(tortureHead("INVITE", "badinv01"), "branch=z9hG4bKbadinv01", "branch=z9hG4bKbadinv01;;,;,,"),
			"Contact: <sip:caller@10.0.0.9>", `Contact: "Joe" <sip:joe@example.org>;;;;,`) + tortureOffer},
		{"clerr", "3.1.2.2", tortureHead("INVITE", "clerr") + "Content-Type: application/sdp\nContent-Length: 9999\n\n" + tortureSDP},
		{"ncl", "3.1.2.3", tortureHead("INVITE", "ncl") + "Content-Type: application/sdp\nContent-Length: -999\n\n" + tortureSDP},
		{"scalar02", "3.1.2.4", with(with(tortureHead("REGISTER", "scalar02"), "Max-Forwards: 70", "Max-Forwards: 300"),
			"CSeq: 8 ", "CSeq: 36893488147419103232 ") + "Expires: 1" + strings.Repeat("0", 96) + "\n" + noBody},
		{"scalarlg", "3.1.2.5", "SIP/2.0 503 Service Unavailable\n" + with(tortureReply("scalarlg"), "CSeq: 8 ", "CSeq: 9292394834772304023312 ") +
			""},
		{"quotbal", "3.1.2.6", with(tortureHead("INVITE", "quotbal"), "To: <sip:user@10.0.0.1>", `To: "Mr. J. User <sip:j.user@10.0.0.1>`) + tortureOffer},
		{"ltgtruri", "3.1.2.7", with(tortureHead("INVITE", "ltgtruri"), "sip:user@10.0.0.1 ", "<sip:user@10.0.0.1> ") + tortureOffer},
		{"lwsruri", "3.1.2.8", with(tortureHead("INVITE", "lwsruri"), "sip:user@10.0.0.1 ", "sip:user@10.0.0.1; lr ") + tortureOffer},
		{"lwsstart", "3.1.2.9", with(tortureHead("INVITE", "lwsstart"), "INVITE sip:user@10.0.0.1 ", "INVITE  sip:user@10.0.0.1  ") + tortureOffer},
		{"trws", "3.1.2.10", with(tortureHead("OPTIONS", "trws"), "SIP/2.0\nVia", "SIP/2.0  \nVia") + noBody},
		{"escruri", "3.1.2.11", with(tortureHead("INVITE", "escruri"), "sip:user@10.0.0.1 ", "sip:user@10.0.0.1?Route=%3Csip:example.com%3E ") + tortureOffer},
		{"baddate", "3.1.2.12", tortureHead("INVITE", "baddate") + "Date: Fri, 01 Jan 2010 16:00:00 EST\n" + tortureOffer},
		{"regbadct", "3.1.2.13", with(tortureHead("REGISTER", "regbadct"), "Contact: <sip:caller@10.0.0.9>", "Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E") + noBody},
		{"badaspec", "3.1.2.14", with(tortureHead("OPTIONS", "badaspec"), "To: <sip:user@10.0.0.1>", `To: "Watson, Thomas" < sip:t.watson@10.0.0.1 >`) + noBody},
		{"baddn", "3.1.2.15", with(tortureHead("OPTIONS", "baddn"), "From: <sip:caller", "From: Bell, Alexander <sip:caller") + noBody},
		{"badvers", "3.1.2.16", with(with(tortureHead("OPTIONS", "badvers"), "SIP/2.0\nVia", "SIP/7.0\nVia"), "Via: SIP/2.0", "Via: SIP/7.0") + noBody},
		{"mismatch01", "3.1.2.17", with(tortureHead("OPTIONS", "mismatch01"), "CSeq: 8 OPTIONS", "CSeq: 8 INVITE") + noBody},
		{"mismatch02", "3.1.2.18", with(tortureHead("NEWMETHOD", "mismatch02"), "CSeq: 8 NEWMETHOD", "CSeq: 8 INVITE") + noBody},
		{"bigcode", "3.1.2.19", "SIP/2.0 4294967301 better not break the receiver\n" + tortureReply("bigcode")},
	}
}

// tortureSemantic are the messages of sections 3.2 to 3.4: well formed, and
// still not to be done.
func tortureSemantic() []tortureMessage {
	return []tortureMessage{
		{"badbranch", "3.2.1", with(tortureHead("OPTIONS", "badbranch"), "z9hG4bKbadbranch", "z9hG4bK") + noBody},
		{"insuf", "3.3.1", `INVITE sip:user@10.0.0.1 SIP/2.0
CSeq: 193942 INVITE
Via: SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bKkdj.insuf
Content-Type: application/sdp
l: 105

` + tortureSDP},
		{"unkscm", "3.3.2", with(tortureHead("OPTIONS", "unkscm"), "sip:user@10.0.0.1 ", "nobodyKnowsThisScheme:totallyopaquecontent ") + noBody},
		{"novelsc", "3.3.3", with(tortureHead("OPTIONS", "novelsc"), "sip:user@10.0.0.1 ", "soap.beep://192.0.2.103:3002 ") + noBody},
		{"unksm2", "3.3.4", with(with(tortureHead("REGISTER", "unksm2"), "To: <sip:user@10.0.0.1>", "To: isbn:2983792873"),
			"Contact: <sip:caller@10.0.0.9>", "Contact: <name:John_Smith>") + noBody},
		{"bext01", "3.3.5", tortureHead("OPTIONS", "bext01") + "Require: nothingSupportsThis, nothingSupportsThisEither\nProxy-Require: noProxiesSupportThis, norDoAnyProxiesSupportThis\n" + noBody},
		{"invut", "3.3.6", tortureHead("INVITE", "invut") + "Content-Type: application/unknownformat\nContent-Length: 40\n\n<audio>\n <pcmu port=\"443\"/>\n</audio>\n"},
		{"regaut01", "3.3.7", tortureHead("REGISTER", "regaut01") + "Authorization: NoOneKnowsThisScheme opaque-data=here\n" + noBody},
		{"multi01", "3.3.8", tortureHead("INVITE", "multi01") + "CSeq: 9 INVITE\nCall-ID: other@10.0.0.9\nMax-Forwards: 5\nFrom: <sip:other@10.0.0.9>;tag=3413415\nTo: <sip:other@10.0.0.1>\n" + tortureOffer},
		{"mcl01", "3.3.9", tortureHead("OPTIONS", "mcl01") + "Content-Length: 13\nContent-Length: 5\n\nThere's no way to know how many octets are supposed to be here.\n"},
		{"bcast", "3.3.10", "SIP/2.0 200 OK\n" + with(tortureReply("bcast"), "Max-Forwards", "Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23\nMax-Forwards")},
		{"zeromf", "3.3.11", with(tortureHead("OPTIONS", "zeromf"), "Max-Forwards: 70", "Max-Forwards: 0") + noBody},
		{"cparam01", "3.3.12", with(tortureHead("REGISTER", "cparam01"), "Contact: <sip:caller@10.0.0.9>", "Contact: sip:+19725552222@gw1.example.net;unknownparam") + noBody},
		{"cparam02", "3.3.13", with(tortureHead("REGISTER", "cparam02"), "Contact: <sip:caller@10.0.0.9>", "Contact: <sip:+19725552222@gw1.example.net;unknownparam>") + noBody},
		{"regescrt", "3.3.14", with(tortureHead("REGISTER", "regescrt"), "Contact: <sip:caller@10.0.0.9>", "Contact: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>") + noBody},
		{"sdp01", "3.3.15", tortureHead("INVITE", "sdp01") + "Accept: text/nobodyKnowsThis\n" + tortureOffer},
		{"inv2543", "3.4.1", with(with(tortureHead("INVITE", "inv2543"), ";branch=z9hG4bKinv2543", ""), "From: <sip:caller@10.0.0.9>;tag=inv2543tag", "From: <sip:caller@10.0.0.9>") + tortureOffer},
	}
}
