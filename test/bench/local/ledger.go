package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/test/bench/report"
	"github.com/clawstaff/clawstaff/test/bench/stats"
)

// byToken is an Authenticator for which a token is the name of its Claw.
type byToken struct{}

// Authenticate implements ledger.Authenticator.
func (byToken) Authenticate(_ context.Context, token string) (namespace, claw string, err error) {
	return "bench", token, nil
}

// ship starts the shipper of a gateway and waits until the ledger has told it the head.
func ship(ctx context.Context, dir, address string, of audit.ClawRef) (*audit.Shipper, error) {
	token := filepath.Join(dir, of.Name+".token")
	if err := os.WriteFile(token, []byte(of.Name), 0o600); err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ledger-ca.crt"))
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	url := "https://" + net.JoinHostPort(ledgerHost, port)
	shipper := audit.NewShipper(audit.ShipperConfig{Claw: of, URL: url, TokenFile: token})
	if err := shipper.SetRoots(ca); err != nil {
		return nil, err
	}
	go func() { _ = shipper.Run(ctx) }() // every Append fails once it has ended
	for end := time.Now().Add(10 * time.Second); !shipper.Ready(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return nil, errors.New("the ledger does not answer")
		}
	}
	return shipper, nil
}

// The sizes of the ledger's benchmark.
const (
	ledgerRounds = 3
	ledgerTime   = 3 * time.Second
	appenders    = 512 // in all
	manyClaws    = 8
)

// Ledger measures how many records a second become durable, beside single appends of the same bytes to the same disk.
func (b *Bench) Ledger(ctx context.Context) (report.Section, error) {
	process, err := b.start(ctx, "ledger")
	if err != nil {
		return report.Section{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		process.stop()
		_ = os.RemoveAll(filepath.Join(b.dir, "data"))
	}()
	shipper := func(i int) *audit.Shipper {
		if err != nil {
			return nil
		}
		ref := claw
		ref.Name = fmt.Sprintf("claw-%d", i)
		var made *audit.Shipper
		made, err = ship(ctx, b.dir, process.address, ref)
		return made
	}
	var many []*audit.Shipper
	for i := range manyClaws {
		many = append(many, shipper(i))
	}
	if err != nil {
		return report.Section{}, err
	}
	var raw, lone, one, all []float64
	for round := range ledgerRounds {
		b.Say("ledger: round %d of %d", round+1, ledgerRounds)
		for _, arm := range []struct {
			into *[]float64
			run  func() (float64, error)
		}{
			{&raw, b.rawAppends},
			{&lone, func() (float64, error) { return appends(ctx, many[:1], 1) }},
			{&one, func() (float64, error) { return appends(ctx, many[:1], appenders) }},
			{&all, func() (float64, error) { return appends(ctx, many, appenders) }},
		} {
			rate, err := arm.run()
			if err != nil {
				return report.Section{}, err
			}
			*arm.into = append(*arm.into, rate)
		}
	}
	perSecond := func(rates []float64) string { return fmt.Sprintf("%.0f/s", stats.Median(rates)) }
	figure := func(what string, rates []float64) report.Figure {
		return report.Figure{Name: what, Value: perSecond(rates), Baseline: perSecond(raw),
			Compared: fmt.Sprintf("%.2g×", stats.Ratio(stats.Median(rates), stats.Median(raw)))}
	}
	goal := func(f report.Figure, rates []float64) report.Figure {
		f.Goal, f.Met = "≥ 10000/s", stats.Median(rates) >= 10000
		return f
	}
	return report.Section{
		Part: "ledger", Title: "Durable records", Machine: report.Machine(""), Text: ledgerText,
		Figures: []report.Figure{
			figure("one Claw, one record at a time", lone),
			goal(figure(fmt.Sprintf("one Claw, %d records at a time", appenders), one), one),
			goal(figure(fmt.Sprintf("%d Claws, %d records at a time in all", manyClaws, appenders), all), all),
		},
	}, nil
}

const ledgerText = `
Records per second that a gateway's shipper has acknowledged: made, chained, sent to the ledger over TLS, verified there,
written and synced to disk (no "unsafe" setting anywhere). Records that wait together share one request and one sync. The
ledger runs in a process of its own; who it believes is fixed instead of asked of an API server, which it does once in 30
seconds. The baseline writes the same lines to a file on the same disk, one write and one sync each, in the same run, turn
by turn.`

// record is one of the usual size.
func record() audit.Record {
	return audit.Record{
		Claw: claw, Grant: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", Phase: audit.PhaseDecision,
		Direction: audit.Outbound, Kind: audit.KindModel, Connector: "anthropic", Operation: "messages.create", Action: "Write",
		Resources: []string{"model:" + model}, Parameters: []byte(`{"model":"` + model + `","max_tokens":512,"stream":true}`),
		Decision: audit.Allowed, Rule: "models[0]", Reason: "allowed by the grant", Credential: "anthropic",
	}
}

// appends has n appenders, spread over shippers, append as fast as they are acknowledged.
func appends(ctx context.Context, shippers []*audit.Shipper, n int) (perSecond float64, err error) {
	var count atomic.Int64
	failures := make([]error, n)
	begin := time.Now()
	end := begin.Add(ledgerTime)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			for time.Now().Before(end) && failures[i] == nil {
				_, failures[i] = shippers[i%len(shippers)].Append(ctx, record())
				count.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(count.Load()) / time.Since(begin).Seconds(), errors.Join(failures...)
}

// rawAppends writes and syncs the same lines one by one.
func (b *Bench) rawAppends() (perSecond float64, err error) {
	var chain audit.Chain
	_, line, err := chain.Seal(record(), time.Now())
	if err != nil {
		return 0, err
	}
	line = append(line, '\n')
	file, err := os.CreateTemp(b.dir, "raw-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	count, begin := 0, time.Now()
	for time.Since(begin) < ledgerTime {
		if _, err := file.Write(line); err != nil {
			return 0, err
		}
		if err := file.Sync(); err != nil {
			return 0, err
		}
		count++
	}
	return float64(count) / time.Since(begin).Seconds(), nil
}
