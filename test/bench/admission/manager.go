package admission

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/clawstaff/clawstaff/internal/testing/chart"
)

// managerName is that of the manager's service account, of its lease, and of what serves its webhook.
const (
	managerName = "clawstaff-manager"
	serviceName = "clawstaff-webhook"
)

// manage starts the manager's program as one that stands by: another one leads, so it makes nothing and answers
// admission like that one. It has the rights the chart gives it, makes its certificate itself, and is asked through its
// Service, which here is a name for this machine. The webhook is registered when this returns.
func (w *world) manage(ctx context.Context, program string) (pid int, stop func(), err error) {
	webhook, err := freePort()
	if err != nil {
		return 0, nil, err
	}
	health, err := freePort()
	if err != nil {
		return 0, nil, err
	}
	if err := w.route(ctx, webhook); err != nil {
		return 0, nil, err
	}
	kubeconfig, err := w.kubeconfig()
	if err != nil {
		return 0, nil, err
	}
	listen := net.JoinHostPort("127.0.0.1", strconv.Itoa(health))
	var log tail
	cmd := exec.CommandContext(ctx, program,
		"--operator-namespace="+chart.Namespace, "--gateway-image=clawstaff.dev/gateway:benchmark",
		"--ledger-url=https://clawstaff-ledger."+chart.Namespace+".svc:4318",
		"--webhook-port="+strconv.Itoa(webhook), "--health-listen="+listen, "--metrics-listen=0")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		return 0, nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // that it has ended is what matters
	}()
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		select {
		case <-ended:
		case <-time.After(cmd.WaitDelay):
			_ = cmd.Process.Kill()
			<-ended
		}
	}
	if err := w.ready(ctx, "http://"+listen+"/readyz", ended); err != nil {
		stop()
		return 0, nil, fmt.Errorf("the manager: %w; it says:\n%s", err, log.text())
	}
	return cmd.Process.Pid, stop, nil
}

// route leads the API server to a port of this machine where the chart leads it to the manager's pods.
func (w *world) route(ctx context.Context, port int) error {
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: chart.Namespace, Name: serviceName}}
	if err := w.api.Get(ctx, client.ObjectKeyFromObject(service), service); err != nil {
		return err
	}
	service.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"}
	if err := w.api.Update(ctx, service); err != nil {
		return err
	}
	number := int32(port)
	for i := range w.hooks.Webhooks {
		w.hooks.Webhooks[i].ClientConfig.Service.Port = &number
	}
	return w.api.Create(ctx, w.hooks)
}

// kubeconfig of the manager's user.
func (w *world) kubeconfig() (string, error) {
	user, err := w.env.AddUser(envtest.User{Name: chart.ManagerUser,
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + chart.Namespace}}, nil)
	if err != nil {
		return "", err
	}
	text, err := user.KubeConfig()
	if err != nil {
		return "", err
	}
	file := filepath.Join(w.dir, "manager.kubeconfig")
	return file, os.WriteFile(file, text, 0o600)
}

// ready waits until the manager says so, and remembers the webhook's configuration with the authority that it put in.
func (w *world) ready(ctx context.Context, url string, ended <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err := until(ctx, "ready", func(ctx context.Context) error {
		select {
		case <-ended:
			cancel() // it will not become ready
			return errors.New("it has ended")
		default:
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode != http.StatusOK {
			return errors.New(response.Status)
		}
		return nil
	})
	if err != nil {
		return err
	}
	registered := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	if err := w.api.Get(ctx, client.ObjectKeyFromObject(w.hooks), registered); err != nil {
		return err
	}
	for _, hook := range registered.Webhooks {
		if len(hook.ClientConfig.CABundle) == 0 {
			return fmt.Errorf("webhook %s has no authority although the manager is ready", hook.Name)
		}
	}
	w.hooks = registered
	return nil
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// tail keeps the last of what a program says.
type tail struct{ buffer bytes.Buffer }

const tailSize = 4096

// Write implements io.Writer. It is called by one goroutine: a command has one pipe for both of its outputs.
func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	t.buffer.Write(p)
	if more := t.buffer.Len() - tailSize; more > tailSize {
		t.buffer.Next(more)
	}
	return n, nil
}

// text is what was said last; to be asked once the program has ended.
func (t *tail) text() string { return t.buffer.String() }
