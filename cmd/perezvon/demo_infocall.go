package main

import (
	"context"
	"fmt"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/client"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// The informational call of the demo.
const (
	demoListener = "+79990000002"
	demoMessage  = "Здравствуйте! Ваш заказ готов. Если заберёте его сегодня, нажмите один."
	demoKey      = "1"
	demoThinks   = 7 * time.Second // before the key is pressed
)

// listens is what the demo's listener does.
func listens() lab.Script {
	return append(lab.Customer(2*time.Second), lab.Talk(demoThinks), lab.Press(demoKey, 0))
}

// inform places the informational call, follows it and judges by ear.
func (st *theatre) inform(ctx context.Context, server *client.Client, out *console, quiet bool) (api.Call, checks, error) {
	if !quiet {
		out.line(plain, "")
		out.line(plain, "A business process asks: call %s, say this, and tell which key is pressed:", demoListener)
		out.line(plain, "    %s", demoMessage)
	}
	call, err := server.Infocall(ctx, api.InfocallBody{Line: demoLine, Number: demoListener, Text: demoMessage, Gather: len(demoKey)})
	if err != nil {
		return call, nil, err
	}
	f := &follower{client: server, out: out, quiet: quiet, call: call}
	if call, err = f.follow(ctx); err != nil {
		return call, nil, err
	}
	return call, st.judgeInfocall(call), nil
}

// judgeInfocall asks the listener what he heard, and holds the result against it.
func (st *theatre) judgeInfocall(call api.Call) checks {
	cs := checks{{"the call ended with " + value(call.Result), value(call.Result) == string(store.ResultDelivered)}}
	listeners := st.carrier.Calls(demoListener)
	if len(listeners) == 0 || call.Info == nil {
		return append(cs, check{"the listener's phone rang", false})
	}
	spoke := listeners[len(listeners)-1].HeardSpeech(time.Time{}, time.Time{})
	return append(cs, check{
		fmt.Sprintf("the listener heard the message (%.1f s of speech)", spoke.Seconds()), spoke > time.Second,
	}, check{
		fmt.Sprintf("the process got %s: %s", call.Info.OK, infoWords(call.Info)), call.Info.OK == "Y" && call.Info.Digits == demoKey,
	})
}
