// Package local measures programs of ours on this machine, without a cluster. What is measured runs in processes of
// its own: the benchmark starts itself again in another role.
package local

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"time"

	"github.com/clawstaff/clawstaff/internal/pki"
)

// roles are what a process of the benchmark can be. Each listens, tells its address, and serves until its standard
// input ends.
var roles = map[string]func(dir string, args []string, listener net.Listener) error{
	"upstream": serveUpstream,
	"floor":    serveFloor,
	"gateway":  serveGateway,
	"ledger":   serveLedger,
	"agree":    serveAgree,
}

// Serve is the main function of a process started by Bench.start.
func Serve(args []string) error {
	if len(args) < 2 || roles[args[0]] == nil {
		return errors.New("serve ROLE DIRECTORY [ADDRESS...] is for the benchmark itself")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	stop, err := profile(args[0])
	if err != nil {
		return err
	}
	defer stop()
	fmt.Println(listener.Addr())
	ended := make(chan error, 1)
	go func() { ended <- roles[args[0]](args[1], args[2:], listener) }()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // the end is what matters
		ended <- nil
	}()
	return <-ended
}

// profile writes a CPU profile of a role into the directory that BENCH_PROFILE names, if it does.
func profile(role string) (stop func(), err error) {
	dir := os.Getenv("BENCH_PROFILE")
	if dir == "" {
		return func() {}, nil
	}
	file, err := os.Create(filepath.Join(dir, fmt.Sprintf("%s-%d.pprof", role, os.Getpid())))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		_ = file.Close()
	}, nil
}

// Bench is a place to measure in. Make it with New.
type Bench struct {
	dir string // keys, and the ledger's data
	// Say says what goes on.
	Say func(format string, args ...any)
}

// The hosts certificates are made for, beside providers'.
const (
	provider   = "api.anthropic.com"
	ledgerHost = "localhost"
)

// New makes keys and certificates in a directory, which must be on the disk that is to be measured.
func New(dir string, say func(format string, args ...any)) (*Bench, error) {
	b := &Bench{dir: dir, Say: say}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for name, host := range map[string]string{"claw": "", "upstream": provider, "ledger": ledgerHost} {
		ca, err := pki.NewCA("benchmark "+name, time.Now(), 24*time.Hour)
		if err != nil {
			return nil, err
		}
		files := map[string][]byte{name + "-ca.crt": ca.Cert, name + "-ca.key": ca.Key}
		if host != "" {
			leaf, err := ca.Issue(time.Now(), 24*time.Hour, host)
			if err != nil {
				return nil, err
			}
			files[name+".crt"], files[name+".key"] = leaf.Cert, leaf.Key
		}
		for file, content := range files {
			if err := os.WriteFile(filepath.Join(dir, file), content, 0o600); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

// process is one role that runs.
type process struct {
	address string
	pid     int
	stop    func()
}

// start runs a role.
func (b *Bench) start(ctx context.Context, role string, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, append([]string{"serve", role, b.dir}, args...)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{pid: cmd.Process.Pid, stop: func() {
		_ = in.Close()
		_ = cmd.Wait() // how it ended does not matter any more
	}}
	if _, err := fmt.Fscanln(bufio.NewReader(out), &p.address); err != nil {
		p.stop()
		return nil, fmt.Errorf("starting the %s: %w", role, err)
	}
	return p, nil
}

// roots are the certificates of a CA that New made.
func roots(dir, name string) (*x509.CertPool, error) {
	text, err := os.ReadFile(filepath.Join(dir, name+"-ca.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s-ca.crt holds no certificate", name)
	}
	return pool, nil
}
